//! Rows of records that real meters wrote, where they lie beside the project.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use netsage_records::formats::{Format, Items, Options, Reader, Recognised, recognise};
use netsage_records::{Network, Record, Row, Standing};
use netsage_schema::RECORD_V1;

use crate::rows::rows_of;

fn records_of(path: &Path) -> (Format, Vec<Record>) {
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let file = File::open(path).unwrap();
        MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    } else {
        bytes = fs::read(path).unwrap();
    }
    let Recognised::Format(format) = recognise(&bytes[..bytes.len().min(4_096)]) else {
        panic!("{} is of no format", path.display());
    };
    let mut items = Items::default();
    Reader::new(format, &Options::default()).read(&bytes, true, &mut items);
    (format, items.records)
}

/// The rows as they leave, with the texts of their records, and how many records were one more copy of another.
fn left(records: &[(Network, Record)]) -> (Vec<(String, Row)>, usize) {
    let all = rows_of(records, 30 * 86_400_000_000, records.len());
    let mut repeated = 0;
    let mut rows = Vec::new();
    for (index, row, standing) in all {
        match standing {
            Standing::InOrder => rows.push((format!("{:?}", records[index].1), row)),
            Standing::Repeated => repeated += 1,
            Standing::Late => panic!("nothing is later than the lateness"),
        }
    }
    (rows, repeated)
}

#[test]
fn rows_of_real_records_do_not_depend_on_their_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/records");
    if !folder.is_dir() {
        eprintln!("skipped: no records of real meters in {}", folder.display());
        return;
    }
    for kind in ["argus", "suricata", "zeek"] {
        for entry in fs::read_dir(folder.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let (format, records) = records_of(&path);
            let mut placed: Vec<_> = records
                .into_iter()
                .map(|record| (Network::UNNAMED, record))
                .collect();
            let (rows, repeated) = left(&placed);
            placed.reverse();
            let (other, repeated_then) = left(&placed);
            println!("{}: {} rows, {repeated} repeated", path.display(), rows.len());
            assert_eq!(repeated, repeated_then);
            assert_eq!(rows.len() + repeated, placed.len());
            assert!(rows == other, "{} reversed gives other rows", path.display());
            let value = |row: &Row, column: &str| row[RECORD_V1.index_of(column).unwrap()];
            for (record, row) in &rows {
                assert!(
                    row.iter().all(|value| value.is_finite() && *value >= 0.0),
                    "{record}"
                );
                let is_link = format != Format::Zeek;
                assert_eq!(value(row, "bytes_of") == 1.0, is_link, "{record}");
                assert_eq!(
                    value(row, "service_missing") == 1.0,
                    format == Format::Argus,
                    "{record}"
                );
            }
        }
    }
}
