//! What an idle `netsage run` with four detectors keeps in memory, as the kernel counts it.

use netsage_package::Package;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Failure, rounded};

const DETECTORS: usize = 4;
/// The name that the copies of the detector replace, and what stands in its place.
const NAME: &[u8] = b"iforest";
const LETTERS: [u8; DETECTORS] = *b"abcd";
/// A capture file without packets: magic number, version 2.4, no limit of length, Ethernet.
const EMPTY_CAPTURE: [u8; 24] = [
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 4, 0, 1, 0, 0, 0,
];
/// From the start until the figure is taken.
const SETTLED: Duration = Duration::from_secs(5);

pub(crate) fn measure(package: &Package, program: &Path) -> Result<serde_json::Value, Failure> {
    let folder = tempfile::tempdir()?;
    let capture = folder.path().join("empty.pcap");
    fs::write(&capture, EMPTY_CAPTURE)?;
    let mut command = Command::new(program);
    command.arg("run").arg("--pcap").arg(&capture);
    command
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"));
    for letter in LETTERS {
        // Only one of a name is active at once, so each copy gets another: four different packages with four models.
        let path = folder.path().join(format!("{}.wasm", char::from(letter)));
        fs::write(&path, renamed(package.bytes(), letter))?;
        command.arg("--detector").arg(path);
    }
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut figures = serde_json::Map::new();
    // Twice: the first start compiles.
    for start in ["first_start", "later_start"] {
        let mut child = Running(quiet(&mut command)?);
        std::thread::sleep(SETTLED);
        if let Some(status) = child.0.try_wait()? {
            return Err(format!("netsage run ended early ({status})").into());
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.0.id()))?;
        let figure = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: f64 = line
                .trim_start_matches(':')
                .split_whitespace()
                .next()?
                .parse()
                .ok()?;
            Some(rounded(kibibytes / 1024.0))
        };
        let figures_of_start = serde_json::json!({
            "resident_mib": figure("VmRSS"),
            "of_which_file_mib": figure("RssFile"),
            "largest_mib": figure("VmHWM"),
            "threads": figure("Threads").map(|threads| (threads * 1024.0).round()),
        });
        figures.insert(start.to_owned(), figures_of_start);
    }
    figures.insert("detectors".to_owned(), DETECTORS.into());
    Ok(figures.into())
}

/// The package with another name, of the same length, wherever the name stands.
fn renamed(package: &[u8], letter: u8) -> Vec<u8> {
    let mut bytes = package.to_vec();
    let mut place = 0;
    while let Some(found) = bytes[place..].windows(NAME.len()).position(|part| part == NAME) {
        place += found + NAME.len();
        bytes[place - 1] = letter;
    }
    bytes
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
