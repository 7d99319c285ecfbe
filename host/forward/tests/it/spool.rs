//! What is in the spool is sent or counted, whatever becomes of the process and its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netsage_forward::spool::{Batch, Reader, Spool};
use proptest::prelude::*;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn open(folder: &TempDir, limit: u64) -> Arc<Spool> {
    Arc::new(Spool::open(folder.path(), limit).unwrap())
}

fn text(number: u64) -> Vec<u8> {
    format!("record {number} {}", "x".repeat((number % 97) as usize)).into_bytes()
}

fn number_of(text: &[u8]) -> u64 {
    let text = str::from_utf8(text).unwrap();
    let number = text.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(text.as_bytes(), self::text(number));
    number
}

fn append(spool: &Spool, numbers: std::ops::Range<u64>) {
    let texts: Vec<_> = numbers.map(text).collect();
    spool.append(texts.iter().map(Vec::as_slice)).unwrap();
}

/// Sends everything that is there, and says which records that was.
fn drain(spool: &Arc<Spool>) -> Vec<u64> {
    let (mut reader, mut batch, mut sent) = (Reader::new(Arc::clone(spool)), Batch::default(), Vec::new());
    loop {
        reader.next(&mut batch, 100, 10_000).unwrap();
        let Some(mark) = batch.mark(usize::MAX) else {
            return sent;
        };
        sent.extend(batch.texts().map(number_of));
        spool.sent(mark);
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "spool"))
        .collect();
    segments.sort();
    segments
}

#[test]
fn records_come_out_as_they_went_in_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder, MIB);
    append(&spool, 0..1_000);
    assert_eq!(spool.status().waiting, 1_000);
    assert!(spool.status().oldest_ms.is_some());
    let (mut reader, mut batch) = (Reader::new(Arc::clone(&spool)), Batch::default());
    reader.next(&mut batch, 10, usize::MAX).unwrap();
    // Seven of ten arrived; the rest comes again after the restart.
    spool.sent(batch.mark(6).unwrap());
    drop((reader, spool));
    let spool = open(&folder, MIB);
    append(&spool, 1_000..1_500);
    assert_eq!(spool.status().waiting, 1_493);
    assert_eq!(drain(&spool), (7..1_500).collect::<Vec<_>>());
    let status = spool.status();
    assert_eq!(
        (status.waiting, status.waiting_bytes, status.oldest_ms),
        (0, 0, None)
    );
    assert_eq!((status.given_up, status.cut_off, status.unreadable), (0, 0, 0));
    drop(spool);
    assert_eq!(drain(&open(&folder, MIB)), Vec::<u64>::new());
    // Without its place everything that is left comes again, and nothing is overwritten.
    fs::remove_file(folder.path().join("cursor")).unwrap();
    let spool = open(&folder, MIB);
    append(&spool, 1_500..1_501);
    let again = drain(&spool);
    assert_eq!(again.last(), Some(&1_500));
    assert_eq!(spool.status().taken, 1_501);
}

#[test]
fn a_full_spool_counts_what_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = 0;
    for _ in 0..3 {
        // A kill between two appends.
        let spool = open(&folder, MIB);
        for _ in 0..20 {
            append(&spool, written..written + 500);
            written += 500;
            let on_disk: u64 = segments(folder.path())
                .iter()
                .map(|path| path.metadata().unwrap().len())
                .sum();
            assert!(on_disk <= MIB, "{on_disk}");
            assert_eq!(spool.status().bytes, on_disk);
        }
    }
    let spool = open(&folder, MIB);
    let given_up = spool.status().given_up;
    assert!(given_up > 0);
    // The oldest have left, and nothing else.
    assert_eq!(drain(&spool), (given_up..written).collect::<Vec<_>>());
}

#[test]
fn what_leaves_on_its_way_is_counted_only_if_it_does_not_arrive() {
    let fill = |folder: &TempDir| {
        let spool = open(folder, MIB);
        append(&spool, 0..1_000);
        let (mut reader, mut batch) = (Reader::new(Arc::clone(&spool)), Batch::default());
        reader.next(&mut batch, 300, usize::MAX).unwrap();
        assert_eq!(batch.len(), 300);
        for start in (1_000..30_000).step_by(500) {
            append(&spool, start..start + 500);
        }
        (spool, reader, batch)
    };
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut reader, mut batch) = fill(&folder);
    spool.sent(batch.mark(299).unwrap());
    reader.next(&mut batch, 1, usize::MAX).unwrap();
    let first = number_of(batch.text(0));
    assert_eq!(spool.status().given_up, first - 300);
    drop((spool, reader));
    assert_eq!(open(&folder, MIB).status().given_up, first - 300);

    let folder = tempfile::tempdir().unwrap();
    let (spool, reader, _) = fill(&folder);
    drop((spool, reader));
    let spool = open(&folder, MIB);
    assert_eq!(spool.status().given_up, first);
    assert_eq!(drain(&spool)[0], first);
}

#[test]
fn records_that_are_refused_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder, MIB);
    append(&spool, 0..2);
    spool.set_aside(&text(0));
    drop(spool);
    assert_eq!(open(&folder, MIB).status().set_aside, 1);
    let kept = fs::read(folder.path().join("refused.ndjson")).unwrap();
    assert_eq!(kept, [&text(0), &b"\n"[..]].concat());
}

/// Writes records in some runs, and gives how many there are.
fn filled(folder: &TempDir, runs: &[u64]) -> u64 {
    let mut written = 0;
    for &count in runs {
        append(&open(folder, MIB), written..written + count);
        written += count;
    }
    written
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A kill, or a loss of power, in the middle of a record: those before are there, and the next ones come behind them.
    #[test]
    fn a_cut_costs_what_was_cut_off(count in 1_u64..200, share in 0.0..1.0_f64, more in 0_u64..100) {
        let folder = tempfile::tempdir().unwrap();
        filled(&folder, &[count]);
        // The place is written behind the records, so that it knows of none of those that are cut off.
        fs::remove_file(folder.path().join("cursor")).unwrap();
        let last = segments(folder.path()).pop().unwrap();
        let bytes = fs::read(&last).unwrap();
        let cut = (bytes.len() as f64 * share) as usize;
        fs::write(&last, &bytes[..cut]).unwrap();
        let spool = open(&folder, MIB);
        let whole = spool.status().waiting;
        prop_assert!(whole <= count);
        append(&spool, 1_000..1_000 + more);
        let expected: Vec<_> = (0..whole).chain(1_000..1_000 + more).collect();
        prop_assert_eq!(drain(&spool), expected.clone());
        drop(spool);
        prop_assert_eq!(open(&folder, MIB).status().waiting, 0);
    }

    /// Whatever becomes of a byte, each record is sent whole or counted, once.
    #[test]
    fn damage_is_counted(
        runs in prop::collection::vec(1_u64..3_000, 1..5),
        segment in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
        sent_before in 0_usize..2_000,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let written = filled(&folder, &runs);
        let spool = open(&folder, MIB);
        let (mut reader, mut batch) = (Reader::new(Arc::clone(&spool)), Batch::default());
        reader.next(&mut batch, sent_before + 1, usize::MAX).unwrap();
        let mut sent: BTreeSet<u64> = batch.texts().map(number_of).collect();
        spool.sent(batch.mark(usize::MAX).unwrap());
        drop((reader, spool));
        let paths = segments(folder.path());
        let path = segment.get(&paths);
        let mut bytes = fs::read(path).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        fs::write(path, bytes).unwrap();
        // Twice: what was counted is not counted again.
        drop(open(&folder, MIB));
        let spool = open(&folder, MIB);
        for number in drain(&spool) {
            prop_assert!(sent.insert(number), "{} was sent", number);
        }
        let given_up = spool.status().given_up;
        prop_assert_eq!(sent.len() as u64 + given_up, written);
        append(&spool, written..written + 10);
        prop_assert_eq!(drain(&spool), (written..written + 10).collect::<Vec<_>>());
    }
}
