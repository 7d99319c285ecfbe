//! The members of the suite: captures, tables and the toy.

use std::io::{self, Cursor, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_capture::file::CaptureReader;
use netsage_capture::{Meter, MeterConfig, Packet};
use netsage_schema::{FLOW_V1, FlowBatch, Schema, UNSW_NB15, csv};
use netsage_sources::{Input, Source, read_all};
use netsage_synth::{Generator, SynthConfig, pcap};

use crate::contract::Member;
use netsage_testkit::toy::ToyLog;

/// More flows than one read hands over.
const FLOWS: u32 = 6_000;

pub(crate) fn capture() -> Vec<u8> {
    let mut generator = Generator::new(SynthConfig {
        flows: FLOWS,
        seed: 3,
        attacks: true,
        ..SynthConfig::default()
    });
    let mut bytes = Vec::new();
    pcap::write(&mut generator, &mut bytes, |_| ()).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub(crate) fn config(schema: &'static Schema, flow_memory: usize) -> MeterConfig {
    MeterConfig {
        schema,
        flow_memory,
        hash_key: Some([1, 2]),
        ..MeterConfig::default()
    }
}

fn open(bytes: impl Read + Send + 'static, config: &MeterConfig) -> Box<dyn Source> {
    match Input::open("file", bytes).unwrap() {
        Input::Capture(capture) => Box::new(capture.metered(config)),
        Input::Table(table) => Box::new(table.into_source(config.schema).unwrap()),
        Input::Records(records) => Box::new(records.into_source(config.schema).unwrap()),
    }
}

/// What the meter makes of the whole packets of a capture, drained after each packet.
pub(crate) fn metered(bytes: &[u8], config: &MeterConfig) -> (FlowBatch, Meter) {
    let mut reader = CaptureReader::new(bytes).unwrap();
    let mut meter = Meter::new(config.clone());
    let mut batch = FlowBatch::new(config.schema);
    while let Ok(Some(packet)) = reader.next_packet() {
        meter.packet(&packet);
        meter.drain(&mut batch);
    }
    meter.finish();
    meter.drain(&mut batch);
    (batch, meter)
}

#[test]
fn captures_keep_the_contract() {
    let whole = capture();
    let cut = &whole[..whole.len() * 2 / 3];
    for (bytes, error) in [
        (whole.clone(), None),
        (gzip(&whole), None),
        (cut.to_vec(), Some("file: the capture is truncated")),
    ] {
        for (schema, flow_memory) in [
            (&UNSW_NB15, 64 << 20),
            (&FLOW_V1, 64 << 20),
            (&FLOW_V1, 256 << 10),
        ] {
            let config = config(schema, flow_memory);
            let plain = if error.is_none() { &whole } else { cut };
            let (flows, meter) = metered(plain, &config);
            let stats = meter.stats();
            Member {
                open: &|| open(Cursor::new(bytes.clone()), &config),
                records: stats.packets,
                rejected: stats.not_metered(),
                flows: flows.len() as u64,
                error,
            }
            .check();
        }
    }
}

#[test]
fn the_loop_gives_the_rows_of_the_meter() {
    let bytes = capture();
    for schema in Schema::ALL {
        let config = config(schema, 64 << 20);
        let (expected, _) = metered(&bytes, &config);
        let mut source = open(Cursor::new(bytes.clone()), &config);
        let seen = Arc::new(AtomicU64::new(0));
        let packets = Arc::clone(&seen);
        source.tap(Box::new(move |_: &Packet<'_>| {
            packets.fetch_add(1, Ordering::Relaxed);
        }));
        let mut found = FlowBatch::new(schema);
        let damage = read_all(&mut *source, |batch| {
            found.append(batch);
            Ok::<(), ()>(())
        });
        assert!(matches!(damage, Ok(None)));
        assert!(found.rows.values() == expected.rows.values());
        assert!(found.identities == expected.identities);
        assert!(found.community_ids == expected.community_ids);
        assert_eq!(seen.load(Ordering::Relaxed), source.counters().records);
    }
}

/// The flows of a capture as a table, with a line that is none after every hundredth.
pub(crate) fn table(schema: &'static Schema) -> (Vec<u8>, u64, u64) {
    let (flows, _) = metered(&capture(), &config(schema, 64 << 20));
    let mut text = Vec::new();
    writeln!(text, "{}", csv::header(schema)).unwrap();
    let mut bad = 0;
    for (number, (row, identity)) in flows.rows.iter().zip(&flows.identities).enumerate() {
        csv::write_fields(&mut text, schema, identity, row).unwrap();
        text.push(b'\n');
        if number % 100 == 0 {
            text.extend_from_slice(b"no,flow\n");
            bad += 1;
        }
    }
    (text, flows.len() as u64, bad)
}

/// Gives these bytes and then fails.
struct Breaking(Cursor<Vec<u8>>);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the cable is cut")),
            length => Ok(length),
        }
    }
}

#[test]
fn tables_keep_the_contract() {
    for schema in Schema::ALL {
        let config = config(schema, 64 << 20);
        let (text, flows, bad) = table(schema);
        Member {
            open: &|| open(Cursor::new(text.clone()), &config),
            records: flows + bad,
            rejected: bad,
            flows,
            error: None,
        }
        .check();
        Member {
            open: &|| open(Breaking(Cursor::new(text.clone())), &config),
            records: flows + bad,
            rejected: bad,
            flows,
            error: Some("the cable is cut"),
        }
        .check();
    }
}

#[test]
fn a_table_gives_the_flows_of_the_capture_it_was_made_of() {
    let config = config(&FLOW_V1, 64 << 20);
    let (expected, _) = metered(&capture(), &config);
    let (text, ..) = table(&FLOW_V1);
    let mut found = FlowBatch::new(&FLOW_V1);
    let damage = read_all(&mut *open(Cursor::new(text), &config), |batch| {
        found.append(batch);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)));
    assert!(found.rows.values() == expected.rows.values());
    assert!(found.community_ids == expected.community_ids);
}

#[test]
fn a_table_that_does_not_fit_is_refused() {
    let refusal = |text: &[u8], schema| {
        let Input::Table(table) = Input::open("rows.csv", Cursor::new(text.to_vec())).unwrap() else {
            panic!("no table");
        };
        table.into_source(schema).err().unwrap().to_string()
    };
    let (text, ..) = table(&FLOW_V1);
    let of_another = refusal(&text, &UNSW_NB15);
    assert!(
        of_another.contains("rows.csv: the rows are of schema flow-v1"),
        "{of_another}"
    );
    let names: Vec<&str> = FLOW_V1.columns.iter().map(|column| column.name).collect();
    let nameless = refusal(names.join(",").as_bytes(), &FLOW_V1);
    assert!(nameless.contains("do not say who talked to whom"), "{nameless}");
}

#[test]
fn the_toy_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.log");
    let lines = |number: u32| match number % 7 {
        0 => "no flow\n".to_owned(),
        _ => format!("{} 100\n", 1_700_000_000 + number),
    };
    let text: String = (0..10_000).map(lines).collect();
    std::fs::write(&path, text).unwrap();
    let bad = (0..10_000).filter(|number| number % 7 == 0).count() as u64;
    Member {
        open: &|| Box::new(ToyLog::open(&path)),
        records: 10_000,
        rejected: bad,
        flows: 10_000 - bad,
        error: None,
    }
    .check();
}
