//! Captures for what real ones rarely show, made by fixed rules: the same bytes on every machine.

mod datagrams;
mod endings;
mod frame;
mod openings;
mod random;
mod script;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// 2023-11-14 22:13:20 UTC; the oracle takes second 0 for no time at all.
const START_US: i64 = 1_700_000_000_000_000;
const MILLISECOND: i64 = 1_000;
const SECOND: i64 = 1_000_000;

/// A capture: frames with the microsecond of each.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about; also the name of its file.
    pub name: &'static str,
    frames: Vec<(i64, Vec<u8>)>,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            frames: Vec::new(),
        }
    }

    /// Adds a frame, `at_us` microseconds after the start.
    fn add(&mut self, at_us: i64, frame: Vec<u8>) {
        self.frames.push((START_US + at_us, frame));
    }

    /// Adds other traffic for as long as the capture lasts, so that timers move: a datagram per second.
    fn with_traffic_around(mut self) -> Self {
        let last = self.frames.iter().map(|(at, _)| *at).max().unwrap_or(START_US);
        for second in 0..=(last - START_US) / SECOND + 3 {
            let port = 20_000 + u16::try_from(second % 1_000).unwrap_or(0);
            self.add(
                second * SECOND + 7,
                frame::udp(frame::Ip::new(250, 251), (port, 9), b"."),
            );
        }
        self
    }

    /// Orders the frames by time; frames of the same time stay in the order in which they were added.
    fn sorted(mut self) -> Self {
        self.frames.sort_by_key(|(at, _)| *at);
        self
    }

    /// Writes it as a pcap file.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
        for word in header {
            out.write_all(&word.to_le_bytes())?;
        }
        for (at, frame) in &self.frames {
            let length = u32::try_from(frame.len()).expect("the frames of the cases are small");
            let seconds = u32::try_from(at / SECOND).expect("the cases lie before 2106");
            let microseconds = u32::try_from(at % SECOND).expect("less than a second");
            for word in [seconds, microseconds, length, length] {
                out.write_all(&word.to_le_bytes())?;
            }
            out.write_all(frame)?;
        }
        out.flush()
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let cases = [
        endings::endings(),
        endings::reuse(),
        openings::openings(),
        openings::retransmissions(),
        openings::long(),
        datagrams::names(),
        datagrams::fragments(),
        datagrams::fragments_v6(),
        datagrams::icmp(),
        datagrams::icmp_v6(),
        datagrams::arp(),
        datagrams::pauses(),
        random::tcp(),
        random::datagrams(),
    ];
    cases.into_iter().map(Case::sorted).collect()
}

/// Writes every case into a folder, and gives their paths.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    all()
        .iter()
        .map(|case| {
            let path = folder.join(format!("{}.pcap", case.name));
            case.write(io::BufWriter::new(std::fs::File::create(&path)?))?;
            Ok(path)
        })
        .collect()
}
