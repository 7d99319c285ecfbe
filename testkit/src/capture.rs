//! The capture that benchmarks read.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use netsage_synth::{Generator, SynthConfig, pcap};

/// Conversations of the capture; some are two flows or more.
pub const CONVERSATIONS: u32 = 200_000;

/// The capture, made in `folder` when it is not there: an office of clients for ten minutes, and attacks whose flows are
/// short.
///
/// # Errors
/// When the folder cannot be written to.
pub fn generated(folder: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let path = folder.join("bench-meter-1.pcap");
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(folder)?;
    let unfinished = folder.join("bench-meter.partial");
    let mut generator = Generator::new(SynthConfig {
        flows: CONVERSATIONS,
        seed: 3,
        duration_ns: 10 * 60 * 1_000_000_000,
        attacks: true,
        attack_share: 0.5,
        ..SynthConfig::default()
    });
    pcap::write(&mut generator, BufWriter::new(File::create(&unfinished)?), |_| ())?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}
