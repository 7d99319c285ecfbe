//! Writes the corpus of the fuzz targets: small inputs that reach every protocol, from generated traffic.
//!
//! The same program writes the same files. What a fuzzer finds does not go here but into a test.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program reports on the terminal"
)]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use netsage_capture::LinkType;
use netsage_capture::decode::{DecodeOptions, Transport, decode};
use netsage_fuzz::packets::{in_tunnels, on_links};
use netsage_fuzz::{LINKS, write_head, write_packet};
use netsage_schema::Schema;
use netsage_synth::{Generator, SynthConfig, SynthPacket};

const ETHERNET_HEADER: usize = 14;
/// Packets of one run of the meter; more make the engine slow and find no more.
const RUN: usize = 24;
/// Runs, from all over the generated capture, so that every behaviour and attack is in one.
const RUNS: usize = 16;
/// Longer packets differ from these only in data.
const LONGEST: usize = 160;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("error: say where the corpus goes: `fuzz-corpus FOLDER`");
        return ExitCode::FAILURE;
    };
    match write(Path::new(&folder)) {
        Ok((files, bytes)) => {
            println!("{files} files with {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "error: cannot write the corpus to {}: {error}",
                Path::new(&folder).display()
            );
            ExitCode::FAILURE
        }
    }
}

/// Returns the number of files and of their bytes.
fn write(folder: &Path) -> io::Result<(usize, usize)> {
    let traffic = traffic();
    let sample = one_of_each(&traffic);
    let mut total = (0, 0);
    let named = |texts: Vec<Vec<u8>>| {
        let name = |(number, text)| (format!("records_{number}"), text);
        texts.into_iter().enumerate().map(name).collect()
    };
    let of_packets = [
        ("file", files(&sample)),
        ("decode", packets(&sample)),
        ("meter", runs(&traffic, &sample)),
    ];
    let of_records = netsage_fuzz::inputs().map(|(target, texts)| (target, named(texts)));
    for (target, inputs) in of_packets.into_iter().chain(of_records) {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            fs::remove_file(entry?.path())?;
        }
        for (name, bytes) in inputs {
            total = (total.0 + 1, total.1 + bytes.len());
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(total)
}

fn traffic() -> Vec<SynthPacket> {
    let config = SynthConfig {
        flows: 400,
        duration_ns: 120 * 1_000_000_000,
        ..SynthConfig::default()
    };
    let mut packets: Vec<SynthPacket> = Generator::new(config).collect();
    for packet in &mut packets {
        packet.bytes.truncate(LONGEST);
    }
    packets
}

/// The first packet of each kind: protocol, port of a server, first byte of data.
fn one_of_each(traffic: &[SynthPacket]) -> Vec<SynthPacket> {
    let mut seen = std::collections::BTreeSet::new();
    let mut sample = Vec::new();
    for packet in traffic {
        let capture = as_captured(&packet.bytes);
        let Ok(decoded) = decode(&capture, &DecodeOptions::default()) else {
            continue;
        };
        let kind = match decoded.transport {
            Transport::Tcp(segment) => {
                let port = segment.source_port.min(segment.destination_port);
                (6, port, segment.payload.first().copied())
            }
            Transport::Udp(datagram) => (17, datagram.source_port.min(datagram.destination_port), None),
            _ => (decoded.protocol, 0, None),
        };
        if (kind.1 < 1024 || kind.2.is_some()) && seen.len() < 48 && seen.insert(kind) {
            sample.push(packet.clone());
        }
    }
    sample
}

fn as_captured(bytes: &[u8]) -> netsage_capture::Packet<'_> {
    netsage_capture::Packet {
        link: LinkType::Ethernet,
        time_ns: 0,
        wire_length: bytes.len() as u32,
        bytes,
    }
}

type Inputs = Vec<(String, Vec<u8>)>;

/// Inputs of the target `decode`: link type, bytes that were not captured, the packet.
fn packets(sample: &[SynthPacket]) -> Inputs {
    let input = |link: LinkType, bytes: &[u8]| {
        let place = LINKS.iter().position(|known| *known == link).unwrap_or(0);
        [&[place as u8, 0], bytes].concat()
    };
    let mut inputs: Inputs = sample
        .iter()
        .enumerate()
        .map(|(number, packet)| {
            (
                format!("packet_{number}"),
                input(LinkType::Ethernet, &packet.bytes),
            )
        })
        .collect();
    if let Some(inner) = first_ipv4(sample) {
        inputs.extend(
            on_links(inner)
                .into_iter()
                .map(|(name, link, bytes)| (format!("link_{name}"), input(link, &bytes))),
        );
        let tunnels = in_tunnels(inner).into_iter();
        inputs.extend(
            tunnels.map(|(name, bytes)| (format!("tunnel_{name}"), input(LinkType::Ethernet, &bytes))),
        );
    }
    inputs
}

/// From its IPv4 header on.
fn first_ipv4(sample: &[SynthPacket]) -> Option<&[u8]> {
    let frame = sample
        .iter()
        .find(|packet| packet.bytes.get(12..14) == Some(&[8, 0]))?;
    frame.bytes.get(ETHERNET_HEADER..)
}

/// Inputs of the target `meter`.
fn runs(traffic: &[SynthPacket], sample: &[SynthPacket]) -> Inputs {
    let mut inputs = Inputs::new();
    for run in 0..RUNS {
        let start = traffic.len() * run / RUNS;
        let packets = &traffic[start..traffic.len().min(start + RUN)];
        let mut out = Vec::new();
        write_head(&mut out, (run % Schema::ALL.len()) as u8, false, run % 4 == 3);
        let mut before_ns = packets.first().map_or(0, |first| first.time_ns);
        for packet in packets {
            write_packet(
                &mut out,
                LinkType::Ethernet,
                packet.time_ns - before_ns,
                &packet.bytes,
            );
            before_ns = packet.time_ns;
        }
        inputs.push((format!("run_{run}"), out));
    }
    // All wrappings in one run, an hour and more apart, forwards and back.
    for (name, decapsulate) in [("closed", false), ("open", true)] {
        let mut out = Vec::new();
        write_head(&mut out, 0, decapsulate, false);
        let inner = first_ipv4(sample).unwrap_or_default();
        let steps = [
            1_000_000,
            5_000_000_000,
            7_200_000_000_000,
            -3_600_000_000_000,
            40_000_000_000,
        ];
        let links = on_links(inner).into_iter().map(|(_, link, bytes)| (link, bytes));
        let tunnels = in_tunnels(inner)
            .into_iter()
            .map(|(_, bytes)| (LinkType::Ethernet, bytes));
        for ((link, bytes), step_ns) in links.chain(tunnels).zip(steps.into_iter().cycle()) {
            write_packet(&mut out, link, step_ns, &bytes);
        }
        inputs.push((format!("wrapped_{name}"), out));
    }
    // Times at the ends of what can be told, alone and in pairs.
    let mut out = Vec::new();
    write_head(&mut out, 0, false, false);
    for (step_ns, packet) in [0, i64::MIN, 1, i64::MAX, i64::MAX, 1, i64::MIN, i64::MIN, 1]
        .into_iter()
        .zip(sample)
    {
        write_packet(&mut out, LinkType::Ethernet, step_ns, &packet.bytes);
    }
    inputs.push(("far_times".to_owned(), out));
    inputs
}

/// Inputs of the target `file`: both formats in their variants.
fn files(sample: &[SynthPacket]) -> Inputs {
    let sample = &sample[..sample.len().min(4)];
    vec![
        (
            "micro_little".to_owned(),
            pcap(sample, [0xd4, 0xc3, 0xb2, 0xa1], u32::to_le_bytes),
        ),
        (
            "nano_big".to_owned(),
            pcap(sample, [0xa1, 0xb2, 0x3c, 0x4d], u32::to_be_bytes),
        ),
        (
            "with_interface".to_owned(),
            pcap(sample, [0x34, 0xcd, 0xb2, 0xa1], u32::to_le_bytes),
        ),
        (
            "next_little".to_owned(),
            pcapng(sample, u32::to_le_bytes, u16::to_le_bytes),
        ),
        (
            "next_big".to_owned(),
            pcapng(sample, u32::to_be_bytes, u16::to_be_bytes),
        ),
    ]
}

fn pcap(sample: &[SynthPacket], magic: [u8; 4], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mut file = [&magic[..], &[0; 12], &word(65_535), &word(1)].concat();
    for (packet, number) in sample.iter().zip(0..) {
        let length = word(packet.bytes.len() as u32);
        file.extend([word(1_767_603_600), word(number), length, length].concat());
        if magic[0] == 0x34 {
            file.extend([0; 8]);
        }
        file.extend(&packet.bytes);
    }
    file
}

/// A section with two interfaces, and a packet in each kind of block.
fn pcapng(sample: &[SynthPacket], word: fn(u32) -> [u8; 4], half: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let block = |kind: u32, body: &[&[u8]]| {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = word(body.len() as u32 + 12);
        [&word(kind)[..], &length, &body, &length].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[&word(0x1a2b_3c4d), &half(1), &half(0), &[0xff; 8]]);
    // Nanoseconds and an offset; then powers of 2 and no offset.
    let clock = [
        &half(9)[..],
        &half(1),
        &[9, 0, 0, 0],
        &half(14),
        &half(8),
        &[0; 8],
        &half(0),
        &half(0),
    ]
    .concat();
    file.extend(block(1, &[&half(1), &half(0), &word(0), &clock]));
    file.extend(block(
        1,
        &[
            &half(1),
            &half(0),
            &word(96),
            &half(9),
            &half(1),
            &[0x94, 0, 0, 0],
        ],
    ));
    for (packet, number) in sample.iter().zip(0..) {
        let length = word(packet.bytes.len() as u32);
        let time = [word(0x0018_a000), word(number)].concat();
        file.extend(match number % 3 {
            0 => block(6, &[&word(number % 2), &time, &length, &length, &packet.bytes]),
            1 => block(2, &[&half(1), &half(0), &time, &length, &length, &packet.bytes]),
            _ => block(3, &[&length, &packet.bytes]),
        });
    }
    file.extend(block(5, &[&word(0), &[0; 8]]));
    file
}
