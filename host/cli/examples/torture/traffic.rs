//! What the programs are fed with, at 2,000 flows a second.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netsage_synth::{Generator, SynthConfig};
use netsage_testkit::wire::Wire;

/// Flows a second.
pub(crate) const RATE: u64 = 2_000;
/// Length of a line of the log: a second, a space, bytes, a line feed.
pub(crate) const LINE_BYTES: u64 = 15;
/// The second of the first line.
const FIRST_SECOND: i64 = 1_700_000_000;
/// Further behind than this, traffic does not catch up: it would come as a flood.
const MOST_BEHIND: Duration = Duration::from_millis(500);
/// Time between two attempts to open an interface.
const BETWEEN_OPENINGS: Duration = Duration::from_millis(100);

/// What was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    /// Packets that the interface did not take: it was down or away.
    pub(crate) refused: u64,
    pub(crate) flows: u64,
}

/// Sends generated packets from one end of a wire until it is told to end.
pub(crate) fn send(wire: &Wire, seed: u64, seconds: u64, is_over: &AtomicBool) -> Sent {
    // The generator knows no shorter capture than a minute, and begins nothing at its very end.
    let duration = seconds.max(60) + 20;
    let mut generator = Generator::new(SynthConfig {
        flows: u32::try_from(RATE * duration).unwrap_or(u32::MAX),
        seed,
        duration_ns: i64::try_from(duration).unwrap() * 1_000_000_000,
        ..SynthConfig::default()
    });
    let mut sent = Sent::default();
    wire.sending(|| {
        let mut begin = Instant::now();
        let mut out = None;
        let mut opened = begin;
        let mut first_ns = None;
        for packet in generator.by_ref() {
            let first_ns = *first_ns.get_or_insert(packet.time_ns);
            let due = Duration::from_nanos(u64::try_from(packet.time_ns - first_ns).unwrap());
            let early = due.saturating_sub(begin.elapsed());
            // Shorter waits than the system can keep come out even over the next packets.
            if early > Duration::from_millis(1) {
                thread::sleep(early);
            }
            if begin.elapsed().saturating_sub(due) > MOST_BEHIND {
                begin += MOST_BEHIND;
            }
            if is_over.load(Ordering::Acquire) {
                return;
            }
            if out.is_none() && opened.elapsed() >= BETWEEN_OPENINGS {
                opened = Instant::now();
                out = pcap::Capture::from_device(Wire::INTERFACE)
                    .and_then(|device| device.open())
                    .ok();
            }
            sent.packets += 1;
            let is_sent = out
                .as_mut()
                .is_some_and(|out| out.sendpacket(packet.bytes).is_ok());
            if !is_sent {
                sent.refused += 1;
                out = None;
            }
        }
    });
    sent.flows = generator.labels().len() as u64;
    sent
}

/// A log that is written on.
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    lines: AtomicU64,
    clock: AtomicI64,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        File::create(&path).unwrap();
        Self {
            path,
            lines: AtomicU64::new(0),
            clock: AtomicI64::new(0),
        }
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Acquire)
    }

    /// Sets by how many seconds the clock of the lines is off.
    pub(crate) fn set_clock(&self, seconds: i64) {
        self.clock.store(seconds, Ordering::Release);
    }

    /// Writes so many lines a second until it is told to end.
    pub(crate) fn write(&self, rate: u64, is_over: &AtomicBool) {
        let mut file = File::options().append(true).open(&self.path).unwrap();
        let begin = Instant::now();
        while !is_over.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(10));
            let due = begin.elapsed().as_millis() as u64 * rate / 1_000;
            let written = self.lines();
            let clock = self.clock.load(Ordering::Acquire);
            let lines: String = (written..due).map(|number| line(number, clock)).collect();
            file.write_all(lines.as_bytes()).unwrap();
            self.lines.store(due.max(written), Ordering::Release);
        }
    }
}

/// A line of the log. Each has a second of its own, also while the clock is off.
fn line(number: u64, clock: i64) -> String {
    let second = FIRST_SECOND + clock + i64::try_from(number).unwrap();
    format!("{second} {:03}\n", 40 + number % 900)
}

/// Steps of the clock of a log: further apart than the lines of any run.
pub(crate) fn step_of_log(draw: u64) -> i64 {
    let steps = i64::try_from(draw % 9).unwrap() - 4;
    let steps = if steps >= 0 { steps + 1 } else { steps };
    steps * 100_000_000
}

/// The library that makes a program see another clock, where it is installed.
pub(crate) fn clock_library() -> Option<PathBuf> {
    const PLACE: &str = "faketime/libfaketimeMT.so.1";
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders
        .filter_map(Result::ok)
        .map(|folder| folder.path().join(PLACE))
        .chain([Path::new("/usr/lib64").join(PLACE)])
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_one_length_and_a_second_of_their_own() {
        let mut seconds = std::collections::BTreeSet::new();
        for clock in (0..9).map(step_of_log).chain([0]) {
            for number in [0, 1, 899, 50_000_000] {
                let line = line(number, clock);
                assert_eq!(line.len() as u64, LINE_BYTES, "{line}");
                assert!(seconds.insert(line[..10].to_owned()), "{line} comes twice");
            }
        }
    }
}
