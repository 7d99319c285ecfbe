//! The hard limit of memory: who stays, who goes, and what is counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netsage_capture::{Meter, MeterConfig, Mode};
use netsage_schema::{FLOW_V1, FlowBatch, RECORD_V1, Schema, UNSW_NB15};

use super::packets::{ACK, MILLISECOND, SECOND, SYN, raw};

/// A TCP segment between any two hosts.
fn segment(from: (u32, u16), to: (u32, u16), flags: u8, sequence: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + data.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 6, 0, 0];
    bytes.extend(from.0.to_be_bytes());
    bytes.extend(to.0.to_be_bytes());
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(u32::from(flags & ACK != 0).to_be_bytes());
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend(data);
    bytes
}

/// A meter and the records that it gave.
struct Metered {
    meter: Meter,
    records: FlowBatch,
    /// Records that came out between two drains or before.
    largest_memory: usize,
    packets: usize,
}

impl Metered {
    fn new(schema: &'static Schema, flow_memory: usize, mode: Mode) -> Self {
        Self {
            meter: Meter::new(MeterConfig {
                schema,
                flow_memory,
                mode,
                ..MeterConfig::default()
            }),
            records: FlowBatch::new(schema),
            largest_memory: 0,
            packets: 0,
        }
    }

    fn packet(&mut self, time_ns: i64, bytes: &[u8]) {
        self.meter.packet(&raw(time_ns, bytes));
        self.packets += 1;
        if self.packets.is_multiple_of(256) {
            if self.meter.config().mode == Mode::Live {
                self.meter.advance(time_ns);
            }
            self.largest_memory = self.largest_memory.max(self.meter.memory().total());
            self.meter.drain(&mut self.records);
        }
    }

    fn finish(&mut self) {
        self.meter.finish();
        self.largest_memory = self.largest_memory.max(self.meter.memory().total());
        while self.meter.drain_some(100, &mut self.records) {}
    }
}

const VICTIM: u32 = 0x0a00_0001;
const FLOOD: u32 = 500_000;
const FLOOD_NS: i64 = 25 * SECOND;
const ESTABLISHED: u32 = 1_000;
/// Packets of an established flow: its handshake and one segment of data a second.
const PACKETS: u32 = 3 + 25;

/// A flood of SYNs from addresses that are never the same, and connections with traffic beside it.
fn flood(schema: &'static Schema, mode: Mode) {
    const LIMIT: usize = 16 << 20;
    let mut metered = Metered::new(schema, LIMIT, mode);
    let client = |index: u32| ((192 << 24) + index, 40_000);
    let server = (VICTIM, 443);
    for index in 0..ESTABLISHED {
        let time_ns = i64::from(index) * MILLISECOND / 10;
        metered.packet(time_ns, &segment(client(index), server, SYN, 1, b""));
        metered.packet(time_ns, &segment(server, client(index), SYN | ACK, 1, b""));
        metered.packet(time_ns, &segment(client(index), server, ACK, 2, b""));
    }
    let per_second = FLOOD / 25;
    for number in 0..FLOOD {
        let time_ns = SECOND + i64::from(number) * (FLOOD_NS / i64::from(FLOOD));
        // Spread over the address space, so that no two are alike.
        let source = (
            number.wrapping_mul(2_654_435_761) | 1,
            1024 + (number % 60_000) as u16,
        );
        metered.packet(time_ns, &segment(source, (VICTIM, 80), SYN, number, b""));
        let each = number % per_second * ESTABLISHED;
        if each.is_multiple_of(per_second) {
            let index = each / per_second;
            let data = segment(client(index), server, ACK, 2 + number / per_second * 4, b"data");
            metered.packet(time_ns, &data);
        }
    }
    metered.finish();

    let stats = metered.meter.stats();
    let name = schema.id;
    assert!(
        metered.largest_memory <= LIMIT,
        "{name}: {} bytes of {LIMIT}",
        metered.largest_memory
    );
    assert!(
        stats.evicted_half_open + stats.shortened_flows > 100_000,
        "{name}: {stats:?}"
    );
    assert_eq!((stats.evicted_idle, stats.evicted_active), (0, 0), "{name}");
    assert_eq!(stats.flows, u64::from(FLOOD + ESTABLISHED), "{name}");
    assert_eq!(metered.records.len() as u64, stats.flows, "{name}");

    let (sent, answered) = match schema.index_of("spkts") {
        Some(sent) => (sent, schema.index_of("dpkts").unwrap()),
        None => (
            schema.index_of("src_packets").unwrap(),
            schema.index_of("dst_packets").unwrap(),
        ),
    };
    let mut survivors = BTreeMap::new();
    for (row, identity) in metered.records.rows.iter().zip(&metered.records.identities) {
        if identity.destination_port == 443 {
            survivors.insert(identity.source, (row[sent], row[answered]));
        }
    }
    for index in 0..ESTABLISHED {
        let address = IpAddr::V4(Ipv4Addr::from(client(index).0));
        assert_eq!(
            survivors.get(&address),
            Some(&(f64::from(PACKETS - 1), 1.0)),
            "{name}: {address}"
        );
    }
}

#[test]
fn a_flood_of_half_open_flows_displaces_itself_and_established_flows_stay() {
    for schema in [&UNSW_NB15, &FLOW_V1, &RECORD_V1] {
        flood(schema, Mode::Replay);
        flood(schema, Mode::Live);
    }
}

/// Two-way UDP flows, `count` of them, 10 ms apart.
fn two_way(metered: &mut Metered, count: u32, from_ns: i64) {
    for index in 0..count {
        let time_ns = from_ns + i64::from(index) * 10 * MILLISECOND;
        let client = (0x0b00_0000 + index, 5_000);
        for (from, to) in [(client, (VICTIM, 9_000)), ((VICTIM, 9_000), client)] {
            let mut bytes = segment(from, to, 0, 0, b"");
            bytes[9] = 17;
            metered.packet(time_ns, &bytes);
        }
    }
}

#[test]
fn without_half_open_flows_the_one_idle_for_longest_goes() {
    for schema in [&UNSW_NB15, &FLOW_V1] {
        // 10 s of flows fill less than the least memory; after them each that comes displaces one.
        let mut metered = Metered::new(schema, 0, Mode::Live);
        two_way(&mut metered, 2_000, 0);
        let stats = metered.meter.stats();
        assert!(stats.evicted_idle + stats.evicted_active > 1_000, "{stats:?}");
        assert_eq!(stats.evicted_half_open, 0);
        metered.finish();
        let packets: f64 = match schema.index_of("spkts") {
            Some(column) => metered.records.rows.iter().map(|row| row[column]).sum(),
            None => {
                let column = schema.index_of("src_packets").unwrap();
                metered.records.rows.iter().map(|row| row[column]).sum()
            }
        };
        assert_eq!((metered.records.len(), packets), (2_000, 2_000.0));
        let ordered = metered
            .records
            .identities
            .windows(2)
            .all(|pair| pair[0].end_ns <= pair[1].end_ns);
        assert!(ordered, "the longest idle leave first");
    }
}

#[test]
fn timeouts_are_shortened_between_the_marks() {
    let mut metered = Metered::new(&UNSW_NB15, 1 << 20, Mode::Replay);
    // 25 attempts a second: a minute of them and their records would not fit.
    for number in 0..6_000_u32 {
        let time_ns = i64::from(number) * 40 * MILLISECOND;
        metered.packet(time_ns, &segment((number, 1024), (VICTIM, 80), SYN, 1, b""));
    }
    let stats = metered.meter.stats();
    assert!(stats.shortened_flows > 1_000, "{stats:?}");
    assert_eq!(stats.evicted_flows(), 0);
    metered.finish();
    assert_eq!(metered.records.len(), 6_000);
}

#[test]
fn draining_often_or_seldom_gives_the_same_records() {
    let run = |every: usize| {
        let mut meter = Meter::new(MeterConfig {
            flow_memory: 0,
            ..MeterConfig::default()
        });
        let mut batch = FlowBatch::default();
        for number in 0..5_000_u32 {
            let time_ns = i64::from(number) * MILLISECOND;
            let bytes = segment((number % 3_000, 1024), (VICTIM, 80), SYN, 1, b"");
            meter.packet(&raw(time_ns, &bytes));
            if (number as usize).is_multiple_of(every) {
                meter.drain(&mut batch);
            }
        }
        meter.finish();
        meter.drain(&mut batch);
        batch
    };
    let (often, seldom) = (run(1), run(4_000));
    assert_eq!(often.rows.values(), seldom.rows.values());
    assert_eq!(often.identities, seldom.identities);
}
