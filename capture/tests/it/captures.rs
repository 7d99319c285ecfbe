//! Every capture at hand gives rows or an error, and never a panic.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use netsage_capture::file::CaptureReader;
use netsage_capture::{FlowBatch, Meter, MeterConfig};

use crate::invariants::check_batch;

fn captures(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/pcaps")
        .join(folder);
    let Ok(entries) = fs::read_dir(&path) else {
        println!("skipped: there is no folder {}", path.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Meters a file; the error, if any, comes after the records of what could be read.
fn meter(path: &Path) -> (FlowBatch, Option<String>) {
    let mut meter = Meter::new(MeterConfig::default());
    let mut batch = FlowBatch::default();
    let read = |meter: &mut Meter| {
        let mut reader = CaptureReader::new(File::open(path).unwrap())?;
        while let Some(packet) = reader.next_packet()? {
            meter.packet(&packet);
        }
        Ok::<_, netsage_capture::file::FileError>(())
    };
    let error = read(&mut meter).err();
    meter.finish();
    meter.drain(&mut batch);
    let metered = batch.rows.iter().map(|row| (row[4] + row[5]) as u64).sum::<u64>();
    assert_eq!(
        metered + meter.stats().not_metered(),
        meter.stats().packets,
        "every packet counts once"
    );
    assert_eq!(batch.len() as u64, meter.stats().flows);
    (batch, error.map(|error| error.to_string()))
}

#[test]
fn sound_captures_give_rows() {
    for path in captures("good") {
        let (batch, error) = meter(&path);
        assert_eq!(error, None, "{}", path.display());
        check_batch(&batch);
        let again = meter(&path).0;
        assert_eq!(
            batch.rows.values(),
            again.rows.values(),
            "the same packets give the same rows"
        );
    }
}

#[test]
fn damaged_captures_give_rows_or_an_error() {
    for path in captures("malformed") {
        let (batch, error) = meter(&path);
        check_batch(&batch);
        println!("{}: {} records, {error:?}", path.display(), batch.len());
    }
}
