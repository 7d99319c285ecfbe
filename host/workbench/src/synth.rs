//! `netsage synth`: generated traffic, with labels beside it.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::anyhow;
use netsage_console::say;
use netsage_console::{Failure, progress};
use netsage_synth::{Generator, SynthConfig, labels_csv, pcap};

/// Steps of the progress bar.
const STEPS: u64 = 1000;

/// Writes a capture of generated traffic, and its labels beside it as FILE.labels.csv. The same flags give the
/// same bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage synth --out demo.pcap --flows 24000 --seed 1\n  netsage synth --out day.pcap --minutes 1440 --flows 60000 --clean-first 0.33 --changes"
)]
pub struct SynthArgs {
    /// Capture to write (pcap)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Least number of flows
    #[arg(long, value_name = "N", default_value_t = SynthConfig::default().flows)]
    flows: u32,
    /// Seed of every random choice
    #[arg(long, value_name = "N", default_value_t = SynthConfig::default().seed)]
    seed: u64,
    /// Length of the capture in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Only ordinary traffic, no attacks
    #[arg(long)]
    clean: bool,
    /// Share of the flows that belong to attacks, 0.01 to 0.9
    #[arg(long, value_name = "SHARE", default_value_t = SynthConfig::default().attack_share, conflicts_with = "clean")]
    attack_share: f64,
    /// Share of the time, from the start, without attacks, 0 to 0.9: what a detector can learn from
    #[arg(long, value_name = "SHARE", default_value_t = SynthConfig::default().clean_share)]
    clean_first: f64,
    /// Change hosts, distances, sizes and rates after that share of the time, as in another office
    #[arg(long, requires = "clean_first")]
    changes: bool,
}

/// Writes the capture and its labels.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &SynthArgs) -> Result<(), Failure> {
    let config = SynthConfig {
        flows: args.flows,
        seed: args.seed,
        duration_ns: i64::from(args.minutes) * 60_000_000_000,
        attacks: !args.clean,
        attack_share: args.attack_share,
        clean_share: args.clean_first,
        changes: args.changes,
        ..SynthConfig::default()
    };
    let mut generator = Generator::new(config);
    let bar = progress::counted(STEPS, "writing");
    let written = pcap::write(&mut generator, create(&args.out)?, |share| {
        bar.set_position((share * STEPS as f64) as u64);
    })?;
    bar.finish_and_clear();
    let mut labels_path = args.out.clone().into_os_string();
    labels_path.push(".labels.csv");
    let labels_path = PathBuf::from(labels_path);
    let mut labels_file = create(&labels_path)?;
    labels_csv::write(generator.labels(), &mut labels_file)?;
    labels_file.flush()?;
    say!(
        "wrote {} ({} packets, {} bytes) and {} ({} conversations)",
        args.out.display(),
        written.packets,
        written.bytes,
        labels_path.display(),
        generator.labels().len()
    );
    Ok(())
}

fn create(path: &std::path::Path) -> anyhow::Result<BufWriter<File>> {
    File::create(path)
        .map(BufWriter::new)
        .map_err(|error: io::Error| anyhow!("cannot write {}: {error}", path.display()))
}
