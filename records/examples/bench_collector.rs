//! Time of reading datagrams of exporters, for each version, from memory and on one core: records of one direction to flows,
//! and to flows in order with their rows of `record-v1`. Prints one JSON object.
//!
//! The best of several rounds counts: what else the machine does only makes one slower.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use netsage_records::netflow::{Collector, Datagram, Options};
use netsage_records::{Network, Origin, Partition, row_of};
use netsage_testkit::datagrams::{FLOW, FLOW_ABSOLUTE, Head, flow, ipfix, set, template, v5, v5_flow, v9};

/// Flows, of two records each.
const FLOWS: u32 = 150_000;
/// Flows of one datagram.
const FLOWS_EACH: u32 = 15;
/// Between two flows.
const STEP_MS: u32 = 1;
const ROUNDS: usize = 7;
const EXPORTER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2_055);

fn main() {
    let figures = [
        ("v5", datagrams(Version::Five)),
        ("v9", datagrams(Version::Nine)),
        ("ipfix", datagrams(Version::Ipfix)),
    ]
    .map(|(name, datagrams)| {
        format!(
            "\"{name}_records_per_s\":{:.0},\"{name}_records_per_s_with_rows\":{:.0}",
            best(&datagrams, false),
            best(&datagrams, true)
        )
    });
    println!(
        "{{\"bench\":\"collector\",\"records\":{},{}}}",
        FLOWS * 2,
        figures.join(",")
    );
}

#[derive(Clone, Copy)]
enum Version {
    Five,
    Nine,
    Ipfix,
}

/// Makes a record of one direction: source, destination, their ports, and the number of the flow.
type Make<'a> = &'a dyn Fn([u8; 4], [u8; 4], (u16, u16), u32) -> Vec<u8>;

/// What one exporter sends: both directions of each flow beside each other, as softflowd does.
fn datagrams(version: Version) -> Vec<Vec<u8>> {
    let firsts = (0..FLOWS).step_by(FLOWS_EACH as usize);
    firsts.map(|first| datagram(version, first)).collect()
}

fn datagram(version: Version, first: u32) -> Vec<u8> {
    let both = |make: Make<'_>| -> Vec<Vec<u8>> {
        (first..first + FLOWS_EACH)
            .flat_map(|number| {
                let [_, _, high, low] = number.to_be_bytes();
                let (client, server) = ([10, 0, high % 16, low], [192, 0, 2, low % 8]);
                let port = 1_024 + (number % 60_000) as u16;
                [
                    make(client, server, (port, 443), number),
                    make(server, client, (443, port), number),
                ]
            })
            .collect()
    };
    let sets = |templates: u16, fields: &[(u16, u16)], records: Vec<Vec<u8>>| {
        let mut sets = vec![set(256, &records)];
        // Exporters repeat their templates.
        if first.is_multiple_of(FLOWS_EACH * 100) {
            sets.insert(0, set(templates, &[template(256, fields)]));
        }
        sets
    };
    let time_ms = |number: u32| number * STEP_MS;
    let head = |sequence| Head {
        sequence,
        // The last packet of the datagram is of now.
        uptime_ms: time_ms(first + FLOWS_EACH) + 100,
        seconds: Head::default().seconds + time_ms(first) / 1_000,
        ..Head::default()
    };
    match version {
        Version::Five => {
            let records = both(&|one, other, ports, number| {
                v5_flow(one, other, ports, 3, (time_ms(number), time_ms(number) + 50))
            });
            v5(&head(first * 2), records.len() as u16, &records)
        }
        Version::Nine => {
            let records = both(&|one, other, ports, number| {
                flow(one, other, ports, 3, (time_ms(number), time_ms(number) + 50))
            });
            v9(&head(first / FLOWS_EACH), &sets(0, &FLOW, records))
        }
        Version::Ipfix => {
            let records = both(&|one, other, ports, number| {
                let seconds = Head::default().seconds + time_ms(number) / 1_000;
                flow(one, other, ports, 3, (seconds, seconds))
            });
            ipfix(&head(first * 2), &sets(2, &FLOW_ABSOLUTE, records))
        }
    }
}

/// Records a second in the best round.
fn best(datagrams: &[Vec<u8>], with_rows: bool) -> f64 {
    (0..ROUNDS)
        .map(|_| round(datagrams, with_rows))
        .fold(0.0, f64::max)
}

fn round(datagrams: &[Vec<u8>], with_rows: bool) -> f64 {
    let mut collector = Collector::new(Options::default());
    let mut partition = Partition::new(1_000_000, 1 << 18, 64 << 20);
    let (mut flows, mut arrival_us) = (0, i64::from(Head::default().seconds) * 1_000_000);
    let started = Instant::now();
    for bytes in datagrams {
        arrival_us += i64::from(FLOWS_EACH * STEP_MS) * 1_000;
        let datagram = Datagram {
            exporter: EXPORTER,
            arrival_us,
            bytes,
        };
        collector.take(&datagram, |record, exporter| {
            flows += 1;
            if with_rows {
                let origin = Origin {
                    network: Network::UNNAMED,
                    exporter: Some(exporter),
                };
                partition.push(record, &origin, (), |ordered, _, counts| {
                    black_box(row_of(&ordered.record, counts));
                });
            } else {
                black_box(record);
            }
        });
    }
    let took = started.elapsed().as_secs_f64();
    let counts = collector.counts();
    assert_eq!(
        (counts.records, counts.unused(), flows),
        (u64::from(FLOWS) * 2, 0, FLOWS),
        "{counts}"
    );
    f64::from(FLOWS * 2) / took
}
