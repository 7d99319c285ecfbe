//! A wire between two network namespaces, and a replayer for one end of it.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use netsage_capture::file::CaptureReader;
pub(crate) use netsage_testkit::wire::End;

/// A wire that captures are replayed on.
pub(crate) struct Wire(netsage_testkit::wire::Wire);

impl Deref for Wire {
    type Target = netsage_testkit::wire::Wire;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Wire {
    /// The name of the interface at either end.
    pub(crate) const INTERFACE: &str = netsage_testkit::wire::Wire::INTERFACE;

    /// Makes it; says why not when it cannot.
    pub(crate) fn new() -> Option<Self> {
        match netsage_testkit::wire::Wire::new() {
            Ok(wire) => Some(Self(wire)),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    /// Takes the wire away and lays it anew.
    pub(crate) fn replace(&self) {
        self.take_away().unwrap();
        self.lay().unwrap();
    }

    /// Sends the packets of a capture at the times that it states, and gives their number.
    pub(crate) fn replay(&self, capture: &Path) -> u64 {
        self.sending(|| {
            let mut out = pcap::Capture::from_device(Self::INTERFACE)
                .unwrap()
                .open()
                .unwrap();
            let mut reader = CaptureReader::new(File::open(capture).unwrap()).unwrap();
            let begin = Instant::now();
            let mut first_ns = None;
            while let Some(packet) = reader.next_packet().unwrap() {
                let first_ns = *first_ns.get_or_insert(packet.time_ns);
                let due = Duration::from_nanos(u64::try_from(packet.time_ns - first_ns).unwrap());
                let early = due.saturating_sub(begin.elapsed());
                // Shorter waits than the system can keep come out even over the next packets.
                if early > Duration::from_millis(1) {
                    thread::sleep(early);
                }
                out.sendpacket(packet.bytes).unwrap();
            }
            reader.packets_read()
        })
    }
}

/// Writes a capture's packets into another, as if they had been sent at this rate, without a pause; those that
/// `keep` refuses by their number are left out.
pub(crate) fn retime(from: &Path, to: &Path, bits_per_second: u64, keep: impl Fn(u64) -> bool) {
    let mut reader = CaptureReader::new(File::open(from).unwrap()).unwrap();
    // The magic of nanosecond times, version 2.4, Ethernet.
    let mut file = 0xa1b2_3c4d_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    let mut time_ns = 1_767_603_600 * 1_000_000_000_u64;
    let mut number = 0;
    while let Some(packet) = reader.next_packet().unwrap() {
        number += 1;
        if !keep(number) {
            continue;
        }
        let length = u32::try_from(packet.bytes.len()).unwrap().to_le_bytes();
        file.extend(u32::try_from(time_ns / 1_000_000_000).unwrap().to_le_bytes());
        file.extend(u32::try_from(time_ns % 1_000_000_000).unwrap().to_le_bytes());
        file.extend(length);
        file.extend(length);
        file.extend(packet.bytes);
        time_ns += packet.bytes.len() as u64 * 8 * 1_000_000_000 / bits_per_second;
    }
    std::fs::write(to, file).unwrap();
}
