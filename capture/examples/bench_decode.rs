//! Time of decoding, against `etherparse`, on generated packets in memory. Prints one JSON object.
//!
//! Both read every packet to its ports; ours also finds what the meter needs of TCP: flags, options and true lengths.
//! The best of several rounds counts: what else the machine does only makes one slower.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use etherparse::SlicedPacket;
use netsage_capture::decode::{DecodeOptions, decode};
use netsage_capture::{LinkType, Packet};
use netsage_synth::{Generator, SynthConfig, SynthPacket};

/// Few enough to stay in the cache: what is measured is decoding, not memory.
const PACKETS: usize = 1_000;
const ROUNDS: usize = 5_000;

fn main() {
    let generator = Generator::new(SynthConfig::default());
    let packets: Vec<SynthPacket> = generator.take(PACKETS).collect();
    let ours = |decapsulate: bool| {
        let options = DecodeOptions { decapsulate };
        best(&packets, |packet| {
            black_box(decode(&captured(packet), &options)).is_ok()
        })
    };
    let (closed, open) = (ours(false), ours(true));
    let library = best(&packets, |packet| {
        black_box(SlicedPacket::from_ethernet(&packet.bytes)).is_ok()
    });
    println!(
        "{{\"bench\":\"decode\",\"packets\":{},\"ns_per_packet\":{closed:.1},\
         \"decapsulating_ns_per_packet\":{open:.1},\"etherparse_ns_per_packet\":{library:.1}}}",
        packets.len()
    );
}

fn captured(packet: &SynthPacket) -> Packet<'_> {
    Packet {
        link: LinkType::Ethernet,
        time_ns: packet.time_ns,
        wire_length: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
        bytes: &packet.bytes,
    }
}

/// Nanoseconds per packet in the best round.
fn best(packets: &[SynthPacket], decodes: impl Fn(&SynthPacket) -> bool) -> f64 {
    let round = || {
        let started = Instant::now();
        let decoded = packets.iter().filter(|packet| decodes(packet)).count();
        assert_eq!(decoded, packets.len(), "every generated packet can be decoded");
        started.elapsed()
    };
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / packets.len() as f64
}
