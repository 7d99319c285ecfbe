//! Datagrams of NetFlow and IPFIX: what exporters in the field do, by tables; harm, by floods and damage.

mod facts;
mod harm;
mod pairs;

use std::net::{IpAddr, SocketAddr};

use netsage_records::netflow::{Collector, Datagram, Options};
use netsage_records::{Exporter, Record};

/// Where datagrams come from, and when.
const EXPORTER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9_995);
const NOW_US: i64 = 1_767_603_600_000_000;

/// Every record is a flow, so that a test sees what was sent.
fn unpaired() -> Options {
    Options {
        pairing_us: 0,
        ..Options::default()
    }
}

/// A collector that keeps what it gives.
struct Kept {
    collector: Collector,
    records: Vec<(Record, Exporter)>,
    now_us: i64,
}

impl Kept {
    fn new(options: Options) -> Self {
        Self {
            collector: Collector::new(options),
            records: Vec::new(),
            now_us: NOW_US,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> &mut Self {
        self.take_from(EXPORTER, bytes)
    }

    fn take_from(&mut self, exporter: SocketAddr, bytes: &[u8]) -> &mut Self {
        let datagram = Datagram {
            exporter,
            arrival_us: self.now_us,
            bytes,
        };
        (self.collector).take(&datagram, |record, exporter| {
            self.records.push((record, exporter));
        });
        self
    }

    fn advance(&mut self, elapsed_us: i64) -> &mut Self {
        self.now_us += elapsed_us;
        (self.collector).advance(self.now_us, |record, exporter| {
            self.records.push((record, exporter));
        });
        self
    }

    fn finish(&mut self) -> &mut Self {
        (self.collector).finish(self.now_us, |record, exporter| {
            self.records.push((record, exporter));
        });
        self
    }

    /// Source port, packets and bytes of each flow: a short text for tables.
    fn flows(&self) -> Vec<(u16, u64, u64)> {
        (self.records.iter())
            .map(|(record, _)| {
                let packets = record.packets.unwrap_or_default();
                let bytes = record.bytes.unwrap_or_default();
                (record.source_port, packets.source, bytes.source)
            })
            .collect()
    }

    fn counted(&self) -> String {
        self.collector.counts().to_string()
    }
}

/// What comes of datagrams of one exporter, every record a flow.
fn read(datagrams: &[Vec<u8>]) -> Kept {
    let mut kept = Kept::new(unpaired());
    for datagram in datagrams {
        kept.take(datagram);
    }
    kept.finish();
    kept
}
