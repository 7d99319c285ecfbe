//! `cargo xtask fuzz`: coverage-guided fuzzing of the packet path and of formats of records, with the stable compiler.
//!
//! The targets are the programs of the crate `netsage-fuzz`. What libFuzzer needs from the compiler are the
//! same flags that cargo-fuzz gives, less the sanitizers, which only the nightly compiler has: there is next to
//! no `unsafe` here for them to line_by_line, and mistakes show as panics. Arithmetic is checked for overflow.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::command::{line_by_line, openly, quietly};
use crate::setup::{self, Purpose};
use crate::steps::Steps;
use crate::tally::Tally;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz meter --seconds 3600\n  \
                  cargo xtask fuzz decode --input crash-1234\n  cargo xtask fuzz --write-corpus"
)]
pub(crate) struct FuzzArguments {
    /// Only this target; all of them at the same time otherwise.
    target: Option<Target>,
    /// How long each target runs.
    #[arg(long, default_value_t = SECONDS, value_name = "N")]
    seconds: u64,
    /// Runs the target once on this file: what an earlier run has found.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Writes fuzz/corpus anew and runs nothing.
    #[arg(long, conflicts_with_all = ["target", "input", "seconds"])]
    write_corpus: bool,
}

/// What is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The readers of pcap and pcapng.
    File,
    /// The decoder.
    Decode,
    /// The meter, with any packets, times and settings.
    Meter,
    /// The project's own JSON of flows.
    FlowJson,
    /// Zeek's logs.
    Zeek,
    /// Suricata's events.
    Suricata,
    /// What `ra` of Argus prints.
    Argus,
    /// Datagrams of NetFlow and IPFIX.
    Netflow,
}

impl Target {
    const ALL: [Self; 8] = [
        Self::File,
        Self::Decode,
        Self::Meter,
        Self::FlowJson,
        Self::Zeek,
        Self::Suricata,
        Self::Argus,
        Self::Netflow,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Decode => "decode",
            Self::Meter => "meter",
            Self::FlowJson => "flow-json",
            Self::Zeek => "zeek",
            Self::Suricata => "suricata",
            Self::Argus => "argus",
            Self::Netflow => "netflow",
        }
    }

    /// Longest input, in bytes: a file of some records, a large packet, a run of some dozen packets
    /// or datagrams, some lines.
    const fn max_length(self) -> u32 {
        match self {
            Self::File | Self::Decode | Self::FlowJson | Self::Zeek | Self::Suricata | Self::Argus => 4_096,
            Self::Meter | Self::Netflow => 16_384,
        }
    }
}

/// How long a target runs when nothing else is said, and in `cargo xtask test`.
const SECONDS: u64 = 60;
/// The same in `cargo xtask test --long`.
const LONG_SECONDS: u64 = 600;
/// The steps of [`all`].
pub(crate) const STEPS: u64 = 2;

/// Longest time for one input, in seconds: the largest take a few milliseconds.
const INPUT_SECONDS: u32 = 20;
/// Most memory, in megabytes; a target takes some dozen.
const MEGABYTES: u32 = 1_024;

const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

/// Runs what the arguments ask for.
pub(crate) fn run(arguments: &FuzzArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    if arguments.write_corpus {
        let mut command =
            workspace.cargo(&["run", "--quiet", "--release", "--package", "netsage-fuzz", "--"]);
        command.arg(workspace.root.join("fuzz/corpus"));
        return openly(command);
    }
    let steps = Steps::new(STEPS);
    let programs = steps.run("Building the fuzz targets", |line| build(&workspace, line))?;
    if let (Some(target), Some(input)) = (arguments.target, &arguments.input) {
        steps.finish();
        let mut command = Command::new(programs.path(target));
        command.arg(input);
        return openly(command);
    }
    let targets = arguments
        .target
        .map_or(Target::ALL.to_vec(), |target| vec![target]);
    let tally = programs.fuzz(&steps, &targets, arguments.seconds)?;
    steps.finish();
    if tally.failed > 0 {
        bail!("{} fuzz targets found something; see above", tally.failed);
    }
    Ok(())
}

/// Builds all targets and fuzzes each for [`SECONDS`], or for [`LONG_SECONDS`]; each counts as a test.
pub(crate) fn all(workspace: &Workspace, steps: &Steps, long: bool) -> Result<Tally> {
    let programs = steps.run("Building the fuzz targets", |line| build(workspace, line))?;
    programs.fuzz(steps, &Target::ALL, if long { LONG_SECONDS } else { SECONDS })
}

/// The built targets.
struct Programs {
    /// Where they lie.
    programs: PathBuf,
    /// Folders of the corpora, and of the inputs that fail.
    work: PathBuf,
    /// Where they start from.
    corpus: PathBuf,
}

fn build(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<Programs> {
    setup::ensure(workspace, Purpose::Fuzz, &mut *on_line)?;
    let version = workspace.command("rustc").arg("-vV").output();
    let version = version.context("cannot start rustc")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let machine = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` does not say which machine it is for")?;
    let folder = workspace.target.join("netsage-fuzz");
    let mut command = workspace.cargo(&["build", "--profile", "fuzz", "--package", "netsage-fuzz"]);
    // With a target named, the flags leave out build scripts and macros, which would not link with them.
    command.args(["--target", machine]);
    for target in Target::ALL {
        command.arg("--bin").arg(format!("fuzz-{}", target.name()));
    }
    command
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    quietly(command, on_line)?;
    Ok(Programs {
        programs: folder.join(machine).join("fuzz"),
        work: folder.join("work"),
        corpus: workspace.root.join("fuzz/corpus"),
    })
}

impl Programs {
    fn path(&self, target: Target) -> PathBuf {
        self.programs.join(format!("fuzz-{}", target.name()))
    }

    /// Runs targets at the same time, and prints what came of each.
    fn fuzz(&self, steps: &Steps, targets: &[Target], seconds: u64) -> Result<Tally> {
        let outcomes = steps.run(&format!("Fuzzing for {seconds} s"), |on_line| {
            self.fuzz_at_once(targets, seconds, on_line)
        })?;
        let mut tally = Tally::default();
        for (target, outcome) in targets.iter().zip(outcomes) {
            let text = match outcome {
                Ok(runs) => {
                    tally.passed += 1;
                    format!("{runs} runs, nothing found")
                }
                Err(error) => {
                    tally.failed += 1;
                    format!("{error:#}")
                }
            };
            steps.print(&format!("fuzz target {}: {text}", target.name()));
        }
        Ok(tally)
    }

    /// The outcome of each target: how often it ran, or what it found.
    fn fuzz_at_once(
        &self,
        targets: &[Target],
        seconds: u64,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Vec<Result<u64>>> {
        let (sender, progress) = mpsc::channel();
        thread::scope(|scope| {
            let workers: Vec<_> = targets
                .iter()
                .enumerate()
                .map(|(place, &target)| {
                    let sender = sender.clone();
                    scope.spawn(move || {
                        self.fuzz_one(target, seconds, |runs| {
                            // Nobody listens any more when the command is being ended.
                            let _ = sender.send((place, runs));
                        })
                    })
                })
                .collect();
            drop(sender);
            let mut runs = vec![0; targets.len()];
            for (place, count) in progress {
                runs[place] = count;
                let shown: Vec<_> = targets
                    .iter()
                    .zip(&runs)
                    .map(|(target, runs)| format!("{} {runs} runs", target.name()))
                    .collect();
                on_line(&shown.join(", "));
            }
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| anyhow!("a thread of xtask panicked")))
                .collect()
        })
    }

    fn fuzz_one(&self, target: Target, seconds: u64, mut on_runs: impl FnMut(u64)) -> Result<u64> {
        let learned = self.work.join(target.name());
        fs::create_dir_all(&learned).with_context(|| format!("cannot make {}", learned.display()))?;
        let prefix = self.work.join(format!("{}-", target.name()));
        let mut command = Command::new(self.path(target));
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={}", target.max_length()))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEGABYTES}"))
            .arg(format!("-artifact_prefix={}", prefix.display()))
            .arg("-use_value_profile=1")
            .args([learned, self.corpus.join(target.name())]);
        let mut total = 0;
        let ended = line_by_line(command, |line| {
            if let Some(runs) = runs(line) {
                total = runs;
                on_runs(runs);
            }
        })?;
        if ended.success {
            return Ok(total);
        }
        // Its progress and its hints about sanitizers say nothing about the finding.
        let said: Vec<_> = ended.tail.iter().filter(|line| tells_of_finding(line)).collect();
        let input = ended
            .tail
            .iter()
            .find_map(|line| line.split_once("Test unit written to "));
        bail!(
            "it found something after {total} runs; `cargo xtask fuzz {} --input {}` shows it again. It said:\n{}",
            target.name(),
            input.map_or("FILE", |(_, path)| path),
            said.into_iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    }
}

fn tells_of_finding(line: &str) -> bool {
    let progress = ["#", "INFO:", "WARNING:", "NOTE:", "NEW_FUNC", "MS:"];
    let line = line.trim_start();
    !progress.iter().any(|start| line.starts_with(start))
}

/// The number of runs in a line of libFuzzer, where there is one.
fn runs(line: &str) -> Option<u64> {
    let number = line.strip_prefix('#').or_else(|| line.strip_prefix("Done "))?;
    number.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_engine_are_read() {
        let check = |line: &str, expected: Option<u64>| assert_eq!(runs(line), expected, "{line}");
        check("#65536\tpulse  cov: 340 ft: 1200 corp: 90/12Kb", Some(65_536));
        check("Done 676469 runs in 16 second(s)", Some(676_469));
        check("###### End of recommended dictionary. ######", None);
        check("INFO: Seed: 1", None);
    }
}
