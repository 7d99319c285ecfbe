//! `cargo xtask test`: what has to hold before a change goes in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::build;
use crate::command::{line_by_line, quietly};
use crate::deny;
use crate::figures;
use crate::files;
use crate::fuzz;
use crate::peers;
use crate::record_figures;
use crate::serve::{self, Host};
use crate::setup::{self, Purpose};
use crate::steps::Steps;
use crate::tally::{CargoReader, NodeReader, Tally};
use crate::torture;
use crate::wit_check;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --no-browser\n  cargo xtask test community_id\n  cargo xtask test --long"
)]
pub(crate) struct TestArguments {
    /// Leaves out the tests that need Chromium and Node.
    #[arg(long)]
    no_browser: bool,
    /// What takes an hour and a half as well: fuzzing for ten minutes a target, half an hour of torture, sixteen times as
    /// many cases for each property, ten thousand random ONNX models, 200 kills and 200 damages of files before a start,
    /// a million flows through three scorers that are killed five times each,
    /// and the figures of docs/detection.md and docs/detection-records.md measured again on the whole data.
    #[arg(long, conflicts_with = "filter")]
    long: bool,
    /// Only tests with this in their name; formatting, lints and the contract are not checked then.
    filter: Option<String>,
}

/// Cases of a property that names no number itself, where a test may take long; the library's own number is 256.
const MANY_CASES: &str = "4096";

/// Random models that are compared with onnxruntime, from a seed that is another each time; without these the test has a
/// number and a seed of its own.
const MANY_MODELS: &str = "10000";

/// Kills, and damaged journals, that a start must survive; without these the tests have a number of their own.
const MANY_STARTS: &str = "200";

/// Rotations of a log that is followed by a program that is killed; without this the test has a number of its own.
const MANY_ROTATIONS: &str = "50";

/// Seconds that the receiver of forwarded flows is away, longer than a client of Kafka tries by itself; without this the tests
/// have a number of their own.
const LONG_OUTAGE: &str = "420";

/// Flows of a topic, kills of each of the three programs that score them, and kills of the broker; without these the test has
/// numbers of its own.
const MANY_SCORED: &str = "1000000,5,2";

/// Milliseconds for which a program that has died keeps the lease of an output; without this the test has a shorter one.
const LONG_LEASE: &str = "2000";

/// Alerts of the test that kills a program with outputs of every kind; without this it makes fewer.
const MANY_ALERTS: &str = "1000";

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// The default members of the workspace.
const NATIVE: &[&str] = &[];
/// What the default members leave out: their pure parts are tested natively. A call of its own, so that it
/// does not change the features that the dependencies of the program are built with.
const BROWSER_AND_TOOLS: &[&str] = &[
    "--package",
    "netsage-web",
    "--package",
    "netsage-lab",
    "--package",
    "xtask-wasm",
];

/// Runs everything, sums it up, and fails when anything failed.
pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let browser = !arguments.no_browser;
    let filter = arguments.filter.as_deref();
    let steps = Steps::new(
        build::STEPS
            + 3
            + u64::from(browser)
            + if filter.is_none() {
                CHECKS + DEPENDENCIES + fuzz::STEPS + 1
            } else {
                0
            }
            + if arguments.long {
                figures::STEPS + record_figures::STEPS
            } else {
                0
            },
    );
    let program = build::all(&workspace, &steps, Purpose::Test { browser })?;

    let mut summary = Summary::default();
    if filter.is_none() {
        checks(&workspace, &steps, &mut summary);
        dependencies(&workspace, &steps, &mut summary);
    }
    let python = steps.run("Fetching the Python peers", |line| {
        peers::interpreter(&workspace, line)
    });
    if let Err(error) = &python {
        summary.lines.push(format!(
            "Python peers: not available, so what compares with them is skipped: {}",
            one_line(error)
        ));
    }
    for (name, packages) in [
        ("Rust tests", NATIVE),
        ("Rust tests of browser code and tools", BROWSER_AND_TOOLS),
    ] {
        let tests = steps.run(name, |line| {
            rust_tests(
                &workspace,
                &steps,
                &python,
                packages,
                filter,
                arguments.long,
                line,
            )
        });
        summary.add_tests(name, tests);
    }
    if browser {
        let tests = steps.run("Browser tests", |line| {
            browser_tests(&workspace, &steps, &program, &python, filter, line)
        });
        summary.add_tests("browser tests", tests);
    }
    if filter.is_none() {
        summary.add_tests("fuzz targets", fuzz::all(&workspace, &steps, arguments.long));
    }
    if filter.is_none() {
        let outcome = steps.run("Disturbing the program", |line| {
            torture::test(&workspace, &steps, &program, arguments.long, line)
        });
        summary.add_tests("torture", outcome);
    }
    if arguments.long {
        summary.add_tests("figures", figures::differences(&workspace, &steps, &program));
        summary.add_tests(
            "figures of records",
            record_figures::differences(&workspace, &steps, &program),
        );
    }
    Ok(summary.finish(steps))
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    tally: Tally,
    lines: Vec<String>,
}

impl Summary {
    /// A check counts as one test.
    pub(crate) fn add_check(&mut self, name: &str, outcome: Result<()>) {
        self.add_tests(
            name,
            outcome.map(|()| Tally {
                passed: 1,
                ..Tally::default()
            }),
        );
    }

    pub(crate) fn add_tests(&mut self, name: &str, outcome: Result<Tally>) {
        let tally = match outcome {
            Ok(tally) => {
                self.lines.push(format!("{name}: {tally}"));
                tally
            }
            Err(error) => {
                self.lines.push(format!("{name}: failed: {error:#}"));
                Tally {
                    failed: 1,
                    ..Tally::default()
                }
            }
        };
        self.tally += tally;
    }

    /// Prints what has been found, and says with which status to end.
    pub(crate) fn finish(self, steps: Steps) -> ExitCode {
        let took = steps.finish();
        eprintln!("\nSummary after {:.0} s", took.as_secs_f64());
        for line in &self.lines {
            eprintln!("  {line}");
        }
        eprintln!("{}", self.tally);
        if self.tally.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The steps of [`checks`].
pub(crate) const CHECKS: u64 = 4;

/// Format, lints and the contract: what is checked without running anything.
pub(crate) fn checks(workspace: &Workspace, steps: &Steps, summary: &mut Summary) {
    let formatted = steps.run("Checking the format", |line| {
        quietly(workspace.cargo(&["fmt", "--all", "--check"]), line)
    });
    summary.add_check("format", formatted);
    let native = ["clippy", "--release", "--all-targets", "--", "-D", "warnings"];
    let linted = steps.run("Linting host code", |line| {
        quietly(workspace.cargo(&native), line)
    });
    summary.add_check("lints of host code", linted);
    let mut browser = workspace.cargo(&["clippy"]);
    browser.args(build::BROWSER).args(["--", "-D", "warnings"]);
    let linted = steps.run("Linting browser code", |line| quietly(browser, line));
    summary.add_check("lints of browser code", linted);
    let contract = steps.run("Comparing the detector contract", |_| wit_check::check(workspace));
    summary.add_check("detector contract", contract);
}

/// The steps of [`dependencies`].
const DEPENDENCIES: u64 = 2;

/// Licences, sources and known faults of what the project depends on.
fn dependencies(workspace: &Workspace, steps: &Steps, summary: &mut Summary) {
    let program = steps.run("Fetching cargo-deny", |line| deny::program(workspace, line));
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            summary
                .lines
                .push(format!("dependencies: skipped: {}", one_line(&error)));
            return;
        }
    };
    let allowed = steps.run("Comparing dependencies with deny.toml", |line| {
        deny::check(workspace, &program, line)
    });
    summary.add_check("dependencies", allowed);
    match deny::advisories(workspace, &program, &mut |_| {}) {
        Some(outcome) => summary.add_check("advisories", outcome),
        None => summary.lines.push(deny::WITHOUT_DATABASE.to_owned()),
    }
}

/// Runs the Rust tests of some packages, of the default members where none is named.
pub(crate) fn rust_tests(
    workspace: &Workspace,
    steps: &Steps,
    python: &Result<PathBuf>,
    packages: &[&str],
    filter: Option<&str>,
    long: bool,
    on_line: &mut dyn FnMut(&str),
) -> Result<Tally> {
    let mut command = workspace.cargo(&["test", "--release", "--no-fail-fast"]);
    command.args(packages).args(filter).args(["--", "--show-output"]);
    // The tests of the stores install a server there once, unless MONGODB_URI names one.
    command.env("NETSAGE_TOOLS", workspace.cache.join("tools"));
    name_python(&mut command, python);
    // Those that take longest wait for other processes.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    command.env("RUST_TEST_THREADS", (2 * processors).to_string());
    if long {
        command.env("PROPTEST_CASES", MANY_CASES);
        command.env("NETSAGE_ONNX_MODELS", MANY_MODELS);
        command.env("NETSAGE_TEST_STARTS", MANY_STARTS);
        command.env("NETSAGE_TEST_ROTATIONS", MANY_ROTATIONS);
        command.env("NETSAGE_TEST_OUTAGE", LONG_OUTAGE);
        command.env("NETSAGE_TEST_SCORERS", MANY_SCORED);
        command.env("NETSAGE_TEST_LEASE", LONG_LEASE);
        command.env("NETSAGE_TEST_KILLED_ALERTS", MANY_ALERTS);
        command.env("NETSAGE_ONNX_SEED", seed().to_string());
    }
    let mut reader = CargoReader::default();
    let ended = line_by_line(command, |line| {
        if reader.line(line) && !line.is_empty() {
            let compiling = line.trim_start().starts_with("Compiling");
            if compiling {
                on_line(line);
            } else {
                steps.print(line);
            }
        }
    })?;
    finish(reader.tally, ended.success, "cargo test")
}

/// Tells tests which Python has the peers, or why there is none.
fn name_python(command: &mut Command, python: &Result<PathBuf>) {
    match python {
        Ok(interpreter) => command.env(peers::INTERPRETER, interpreter),
        Err(error) => command.env(peers::WHY_NOT, one_line(error)),
    };
}

fn browser_tests(
    workspace: &Workspace,
    steps: &Steps,
    program: &Path,
    python: &Result<PathBuf>,
    filter: Option<&str>,
    on_line: &mut dyn FnMut(&str),
) -> Result<Tally> {
    let folder = node_folder(workspace, &mut *on_line)?;
    let capture = serve::capture(workspace, program, on_line)?;
    let host = Host::start(
        workspace,
        program,
        &capture,
        &workspace.target.join("netsage-test"),
    )?;
    let mut command = node(workspace, &folder, program, &capture, &host);
    command.env("NETSAGE_CSV", feature_rows(workspace, program, &capture)?);
    name_python(&mut command, python);
    // The dataset is no part of the project; without it, what needs it says that it was skipped.
    let dataset = workspace.root.join("../shared/data/unsw/dev.csv.gz");
    if dataset.is_file() {
        command.env("NETSAGE_DATASET", dataset);
    }
    command.args(["--test", "--test-reporter=tap"]);
    if let Some(filter) = filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    // Named one by one: versions of Node differ in what they make of a folder.
    let tests: Vec<PathBuf> = files::list(&folder)?
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    if tests.is_empty() {
        bail!("{} holds no *.test.mjs", folder.display());
    }
    command.args(tests);
    let mut reader = NodeReader::default();
    let ended = line_by_line(command, |line| {
        reader.line(line);
        steps.print(line);
    })?;
    finish(reader.tally, ended.success, "node --test")
}

/// The feature rows of a capture, as a CSV for the tests that score a table.
fn feature_rows(workspace: &Workspace, program: &Path, capture: &Path) -> Result<PathBuf> {
    let table = workspace.target.join("netsage-test/flows.csv");
    let file = fs::File::create(&table).with_context(|| format!("cannot write {}", table.display()))?;
    let status = workspace
        .command(program)
        .arg("flows")
        .arg(capture)
        .stdout(file)
        .status();
    if !status.context("cannot start netsage flows")?.success() {
        bail!(
            "`netsage flows {}` failed; what it printed says why",
            capture.display()
        );
    }
    Ok(table)
}

/// An error as tests quote it when they say why they were skipped: what was tried, and the last that was said.
fn one_line(error: &anyhow::Error) -> String {
    let cause = error.root_cause().to_string();
    let last = cause.lines().rev().find(|line| !line.trim().is_empty());
    match last.filter(|last| *last != error.to_string()) {
        Some(last) => format!("{error}: {}", last.trim()),
        None => error.to_string(),
    }
}

/// A runner that failed without a failed test (it did not compile, say) is a failure all the same.
fn finish(tally: Tally, success: bool, runner: &str) -> Result<Tally> {
    if !success && tally.failed == 0 {
        bail!("`{runner}` failed before it could report; its output above says why");
    }
    Ok(tally)
}

/// The folder of the browser tests, with the packages that they use.
pub(crate) fn node_folder(workspace: &Workspace, on_line: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let folder = workspace.root.join("web/tests");
    let (lock, stamp_path) = (
        folder.join("package-lock.json"),
        folder.join("node_modules/.netsage-stamp"),
    );
    let stamp = files::stamp(&[&lock])?;
    if fs::read_to_string(&stamp_path).is_ok_and(|present| present == stamp) {
        return Ok(folder);
    }
    let mut command = workspace.command("npm");
    command
        .current_dir(&folder)
        .args(["ci", "--no-audit", "--no-fund"]);
    quietly(command, on_line)?;
    files::write_if_changed(&stamp_path, stamp.as_bytes())?;
    Ok(folder)
}

/// Node in the folder of the browser tests; what they need to know is in the environment.
pub(crate) fn node(
    workspace: &Workspace,
    folder: &Path,
    program: &Path,
    capture: &Path,
    host: &Host,
) -> Command {
    let mut command = workspace.command("node");
    command
        .current_dir(folder)
        .env("NETSAGE_URL", host.url())
        .env("NETSAGE_BIN", program)
        .env("NETSAGE_CAPTURE", capture)
        .env("NETSAGE_WEB", workspace.dist.join("web"));
    if let Some(chromium) = setup::chromium() {
        command.env("CHROMIUM", chromium);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        let check = |error: anyhow::Error, expected: &str| assert_eq!(one_line(&error), expected);
        check(anyhow::anyhow!("no python3"), "no python3");
        check(
            anyhow::anyhow!("`pip` failed:\nlooking\nERROR: no numpy\n").context("cannot install"),
            "cannot install: ERROR: no numpy",
        );
    }
}
