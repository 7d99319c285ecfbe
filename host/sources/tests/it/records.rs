//! Files of records: the contract, and rows that depend on nothing but the records.

use std::io::{self, Cursor, Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_records::formats::{Format, Items, Options, Reader};
use netsage_records::{Origin, Partition, row_of};
use netsage_schema::{FlowBatch, RECORD_V1, UNSW_NB15};
use netsage_sources::{Input, RecordOptions, Records, Source, SourceError, read_all};

use crate::contract::Member;

/// More flows than one read hands over.
pub(crate) const FLOWS: u64 = 5_000;
const HOUR_US: u64 = 3_600_000_000;

/// Records in the project's own JSON, one on each line; those of a host are an hour apart at most.
pub(crate) fn lines() -> Vec<String> {
    (0..FLOWS)
        .map(|number| {
            let end_us = HOUR_US + number * 7_919_000 % HOUR_US;
            let start_us = end_us - number % 90 * 1_000_000;
            let (source, port) = (number % 17, 1_024 + number % 40_000);
            format!(
                "{{\"start_us\":{start_us},\"end_us\":{end_us},\"source\":\"10.0.0.{source}\",\
                 \"destination\":\"10.1.0.1\",\"source_port\":{port},\"destination_port\":443,\
                 \"protocol\":\"tcp\",\"source_packets\":{},\"destination_packets\":3}}\n",
                number % 9
            )
        })
        .collect()
}

fn open(bytes: impl Read + Send + 'static) -> Box<dyn Source> {
    let Ok(Input::Records(records)) = Input::open("file", bytes) else {
        panic!("records are recognised");
    };
    Box::new(records.into_source(&RECORD_V1).unwrap())
}

fn flows(bytes: Vec<u8>) -> FlowBatch {
    let mut all = FlowBatch::new(&RECORD_V1);
    let damage = read_all(&mut *open(Cursor::new(bytes)), |batch| {
        all.append(batch);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)));
    all
}

#[test]
fn records_keep_the_contract() {
    let mut lines = lines();
    // A copy is no flow of its own; what cannot be read ends nothing.
    lines.push(lines[7].clone());
    lines.insert(9, "{\"start_us\":1,\"end_us\":\"never\"}\n".to_owned());
    lines.insert(11, "\n".to_owned());
    let whole = lines.concat().into_bytes();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&whole).unwrap();
    let packed = packed.finish().unwrap();
    for bytes in [whole.clone(), packed] {
        Member {
            open: &|| open(Cursor::new(bytes.clone())),
            records: FLOWS + 2,
            rejected: 1,
            flows: FLOWS,
            error: None,
        }
        .check();
    }

    // What damage cuts off is no record, though the rest of it may look like one.
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    // The first bytes must be whole, or the file does not open.
    let cut = lines[..100].concat();
    let cut = cut.trim_end().as_bytes().to_vec();
    Member {
        open: &|| open(Cursor::new(cut.clone()).chain(Broken)),
        records: 98,
        rejected: 1,
        flows: 97,
        error: Some("file: the records cannot be read on: the disk is gone"),
    }
    .check();
}

#[test]
fn rows_do_not_depend_on_the_order_of_the_file() {
    let mut lines = lines();
    let found = flows(lines.concat().into_bytes());
    assert_eq!(found.len() as u64, FLOWS);
    lines.reverse();
    lines.rotate_left(1_234);
    let other = flows(lines.concat().into_bytes());
    assert!(found.rows.values() == other.rows.values());
    assert!(found.ids == other.ids);

    // A stream that waits long enough gives the same.
    let mut items = Items::default();
    Reader::new(Format::FlowJson, &Options::default()).read(lines.concat().as_bytes(), true, &mut items);
    let mut partition = Partition::new(2 * HOUR_US, 1 << 20, 64 << 20);
    let mut rows: Vec<f64> = Vec::new();
    let mut each = |ordered: netsage_records::Ordered<()>, _, counts: &_| {
        rows.extend(row_of(&ordered.record, counts));
    };
    for record in items.records {
        partition.push(record, &Origin::default(), (), &mut each);
    }
    partition.finish(&mut each);
    assert!(found.rows.values() == rows);
}

#[test]
fn what_was_not_used_is_said_by_reason() {
    let mut lines = lines();
    lines.truncate(3);
    lines.insert(1, "{\"start_us\":1,\"end_us\":\"never\"}\n".to_owned());
    lines.push(lines[0].clone());
    let mut source = open(Cursor::new(lines.concat().into_bytes()));
    read_all(&mut *source, |_| Ok::<(), ()>(())).unwrap();
    let said = source.unused().unwrap();
    for part in [
        "file: 4 records",
        "refused: 1 (`end_us` is no time",
        "the first refused is line 2",
        "repeated: 1",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn records_are_of_one_schema() {
    let records = Records::new("file", io::empty(), Format::Zeek, &RecordOptions::default());
    let refused = records.into_source(&UNSW_NB15).err();
    assert!(
        matches!(refused, Some(SourceError::Schema { found, .. }) if found == RECORD_V1.id),
        "{refused:?}"
    );
}
