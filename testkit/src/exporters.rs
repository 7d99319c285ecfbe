//! Programs that export flows, and what a capture that they read has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use netsage_capture::decode::{DecodeOptions, Transport, decode};
use netsage_capture::file::CaptureReader;
use netsage_synth::{Generator, SynthConfig, pcap};

/// Source and destination, each with its port, and the protocol.
pub type Ends = (SocketAddr, SocketAddr, u8);

/// What one direction of a flow has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP packets.
    pub bytes: u64,
}

/// A flow of two directions as a capture has it: by its ends, the lower first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole {
    /// From the lower end.
    pub from_low: Sent,
    /// From the higher end.
    pub from_high: Sent,
    /// First packet, microseconds since the epoch.
    pub start_us: i64,
    /// Last packet.
    pub end_us: i64,
}

/// The output of a program; `None`, and why the test is skipped, where it is not installed.
#[allow(
    clippy::print_stderr,
    reason = "who runs the tests is to see what was skipped"
)]
pub fn run(programs: &[&str], arguments: &[&str]) -> Option<Output> {
    for program in programs {
        match Command::new(program)
            .args(arguments)
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
        {
            Ok(output) => return Some(output),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{program}: {error}"),
        }
    }
    eprintln!("skipped: {} is not installed", programs[0]);
    None
}

/// A capture of so many conversations in two minutes, which no exporter's timeout cuts.
pub fn capture(folder: &Path, flows: u32) -> PathBuf {
    let path = folder.join("capture.pcap");
    let mut generator = Generator::new(SynthConfig {
        flows,
        seed: 11,
        duration_ns: 120 * 1_000_000_000,
        ..SynthConfig::default()
    });
    pcap::write(
        &mut generator,
        BufWriter::new(File::create(&path).unwrap()),
        |_| (),
    )
    .unwrap();
    path
}

/// What each pair of ends of TCP and UDP over IPv4 sent in a capture.
pub fn sent(path: &Path) -> BTreeMap<Ends, Whole> {
    let mut reader = CaptureReader::new(File::open(path).unwrap()).unwrap();
    let mut flows = BTreeMap::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let Ok(decoded) = decode(&packet, &DecodeOptions::default()) else {
            continue;
        };
        let (source, destination) = match decoded.transport {
            Transport::Tcp(segment) => (segment.source_port, segment.destination_port),
            Transport::Udp(datagram) => (datagram.source_port, datagram.destination_port),
            _ => continue,
        };
        if decoded.source.is_ipv6() {
            continue;
        }
        let source = SocketAddr::new(decoded.source, source);
        let destination = SocketAddr::new(decoded.destination, destination);
        let (low, high) = (source.min(destination), source.max(destination));
        let time_us = packet.time_ns / 1_000;
        let whole = flows.entry((low, high, decoded.protocol)).or_insert(Whole {
            start_us: time_us,
            ..Whole::default()
        });
        let side = if source == low {
            &mut whole.from_low
        } else {
            &mut whole.from_high
        };
        side.packets += 1;
        side.bytes += u64::from(decoded.length);
        whole.end_us = whole.end_us.max(time_us);
    }
    flows
}

/// Lets softflowd export a capture to an address; `None` where it is not installed.
pub fn export(folder: &Path, capture: &Path, to: SocketAddr, arguments: &[&str]) -> Option<()> {
    let (to, pid) = (to.to_string(), folder.join("softflowd.pid"));
    let named = ["-d", "-r", capture.to_str()?, "-n", &to, "-p", pid.to_str()?];
    // With a control socket softflowd now and then waits for it instead of reading the capture.
    let all = [&named[..], &["-c", "none"], arguments].concat();
    let output = run(&["softflowd", "/usr/sbin/softflowd"], &all)?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(())
}
