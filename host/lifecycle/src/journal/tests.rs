use netsage_api_types::{Stage, Step};

use super::*;
use crate::plan::{Planner, Wish};

fn wish(why: &str) -> Wish {
    Wish {
        by: "ada".to_owned(),
        why: why.to_owned(),
        share: 0.5,
        at: 1_700_000_000_000,
        asked: false,
        downgrade: false,
    }
}

/// A life in several transactions: two packages of one name, of which the second one becomes active.
fn transactions() -> Vec<Transaction> {
    let mut book = Book::default();
    let steps = [
        ("aa", Step::Check),
        ("aa", Step::Warm),
        ("aa", Step::Promote),
        ("bb", Step::Check),
        ("bb", Step::Warm),
        ("bb", Step::Canary),
        ("bb", Step::Promote),
        ("bb", Step::Rollback),
    ];
    let mut transactions = Vec::new();
    let mut write = |book: &mut Book, make: &dyn Fn(&mut Planner)| {
        let mut planner = Planner::new(&book.state);
        make(&mut planner);
        let mut moves = planner.finish();
        moves
            .iter_mut()
            .for_each(|a_move| a_move.entry.name = Some("guest".to_owned()));
        let transaction = Transaction {
            moves,
            ..Transaction::default()
        };
        book.apply(&transaction);
        transactions.push(transaction);
    };
    for digest in ["aa", "bb"] {
        write(&mut book, &|planner| {
            planner.push(digest, Step::Stage, Stage::Staged, &wish("brought"));
        });
    }
    for (digest, step) in steps {
        write(&mut book, &|planner| {
            planner.step(digest, step, &wish("a \"reason\"\n")).unwrap();
        });
    }
    transactions
}

fn opened(folder: &Path) -> Result<(Journal, Book), JournalError> {
    Journal::open(folder, &SetAside::new(folder))
}

fn book_of(transactions: &[Transaction]) -> Book {
    let mut book = Book::default();
    transactions
        .iter()
        .for_each(|transaction| book.apply(transaction));
    book
}

/// The bytes of a journal of these transactions, and the lengths at which a line is whole.
fn written(folder: &Path, transactions: &[Transaction]) -> (Vec<u8>, Vec<usize>) {
    let (mut journal, _) = opened(folder).unwrap();
    let length = |folder: &Path| std::fs::read(folder.join(NAME)).unwrap().len();
    let mut whole = vec![length(folder)];
    for transaction in transactions {
        journal.append(transaction).unwrap();
        whole.push(length(folder));
    }
    (std::fs::read(folder.join(NAME)).unwrap(), whole)
}

#[test]
fn a_journal_cut_at_any_byte_is_the_one_of_its_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let transactions = transactions();
    let (bytes, whole) = written(folder.path(), &transactions);
    for length in 0..=bytes.len() {
        let parsed = parse(&bytes[..length]).unwrap();
        // A line feed holds nothing.
        let lines = whole.iter().filter(|whole| **whole <= length + 1).count();
        assert_eq!(parsed.transactions.len(), lines, "cut at byte {length}");
        // The first line holds the format and no move.
        let expected = book_of(&transactions[..lines.saturating_sub(1)]);
        assert_eq!(book_of(&parsed.transactions), expected, "cut at byte {length}");
    }
    // On the disk: each line cut in its middle, and the journal goes on behind it.
    for line in 1..whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let cut = usize::midpoint(whole[line - 1], whole[line]);
        std::fs::write(folder.path().join(NAME), &bytes[..cut]).unwrap();
        let (mut journal, book) = opened(folder.path()).unwrap();
        assert_eq!(book, book_of(&transactions[..line - 1]));
        for transaction in &transactions[line - 1..] {
            journal.append(transaction).unwrap();
        }
        drop(journal);
        let (_, again) = opened(folder.path()).unwrap();
        assert_eq!(again, book_of(&transactions), "line {line}");
    }
}

#[test]
fn a_damaged_byte_costs_its_line_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let transactions = transactions();
    let (bytes, whole) = written(folder.path(), &transactions);
    for place in 0..bytes.len() {
        for damage in [1, 0x20, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= damage;
            let line = whole.iter().filter(|whole| **whole <= place).count();
            let is_feed = bytes[place] == b'\n';
            let mut left = vec![Book::default().snapshot()];
            left.extend(transactions.iter().cloned());
            if !is_feed {
                left.remove(line);
            }
            let parsed = parse(&damaged).unwrap();
            assert!(parsed.is_damaged, "byte {place} damaged by {damage:#x}");
            assert_eq!(parsed.transactions, left, "byte {place} damaged by {damage:#x}");
        }
    }
}

/// Whatever is done to a journal, it opens, what was there is kept, and it goes on.
fn check_damaged(damaged: &[u8], bytes: &[u8], what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let set_aside = SetAside::new(folder.path());
    std::fs::write(folder.path().join(NAME), damaged).unwrap();
    let (mut journal, book) = Journal::open(folder.path(), &set_aside).unwrap();
    let is_prefix = bytes.starts_with(damaged);
    if !is_prefix {
        let kept = std::fs::read(folder.path().join("set-aside").join(NAME)).unwrap();
        assert_eq!(kept, damaged, "{what}");
        assert_eq!(set_aside.told().len(), 1, "{what}");
    }
    for stage in [Stage::Active, Stage::Canary] {
        assert!(book.state.at("guest", stage).count() <= 1, "{what}");
    }
    let numbers: Vec<u64> = book.history.iter().map(|entry| entry.number).collect();
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "{what}: {numbers:?}"
    );
    let mut planner = Planner::new(&book.state);
    planner.push("cc", Step::Stage, Stage::Staged, &wish("later"));
    let next = Transaction {
        moves: planner.finish(),
        ..Transaction::default()
    };
    journal.append(&next).unwrap();
    drop(journal);
    let (_, again) = Journal::open(folder.path(), &set_aside).unwrap();
    let mut expected = book;
    expected.apply(&next);
    assert_eq!(again, expected, "{what}");
    assert!(set_aside.told().len() <= 1, "{what}: damaged once, mended once");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn a_journal_flipped_cut_or_doubled_anywhere_opens_and_goes_on(
        kind in 0..4, place in 0.0..1.0_f64, length in 0.0..1.0_f64, bit in 0..8_u8,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        fn part(of: usize, share: f64) -> usize {
            (of as f64 * share) as usize
        }
        static JOURNAL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let folder = tempfile::tempdir().unwrap();
            written(folder.path(), &transactions()).0
        });
        let bytes = JOURNAL.as_slice();
        let place = part(bytes.len(), place);
        let end = place + part(bytes.len() - place, length);
        let mut damaged = bytes.to_vec();
        match kind {
            0 => damaged[place] ^= 1_u8 << bit,
            1 => damaged.truncate(place),
            // A block that is missing in the middle.
            2 => drop(damaged.drain(place..end)),
            _ => damaged.extend_from_slice(&bytes[place..]),
        }
        check_damaged(&damaged, bytes, &format!("kind {kind}, {place} to {end}"));
    }
}

#[test]
fn of_two_active_packages_of_a_name_the_last_one_stays() {
    let mut transactions = transactions();
    // The promotion of `bb`, which retires `aa`, is lost; then `aa` is promoted again.
    transactions.truncate(9);
    let lost = transactions.pop().unwrap();
    assert_eq!(lost.moves.len(), 2);
    let mut state = book_of(&transactions).state;
    let again = state.packages.get("aa").cloned().unwrap();
    state.packages.insert(
        "cc".to_owned(),
        crate::state::Known {
            moved: again.moved + 1,
            ..again
        },
    );
    state.settle();
    assert_eq!(state.at("guest", Stage::Active).collect::<Vec<_>>(), ["cc"]);
    assert_eq!(state.at("guest", Stage::Retired).collect::<Vec<_>>(), ["aa"]);
}

#[test]
fn what_is_whole_and_not_understood_is_not_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"moves":[],"of_the_future":1}"#;
    let line = format!("{} {json}\n", checksum(json.as_bytes()));
    std::fs::write(folder.path().join(NAME), &line).unwrap();
    let error = opened(folder.path()).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join(NAME)).unwrap(), line);
}

#[test]
fn a_long_journal_is_written_anew_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, mut book) = opened(folder.path()).unwrap();
    let mut rewritten = 0;
    let planned = |book: &Book, make: &dyn Fn(&mut Planner)| {
        let mut planner = Planner::new(&book.state);
        make(&mut planner);
        let moves = planner.finish();
        Transaction {
            moves,
            ..Transaction::default()
        }
    };
    let first = planned(&book, &|planner| {
        planner.push("aa", Step::Stage, Stage::Staged, &wish(""));
    });
    journal.append(&first).unwrap();
    book.apply(&first);
    for turn in 0..MOST_ENTRIES + 10 {
        let step = if turn % 2 == 0 {
            Step::Quarantine
        } else {
            Step::Release
        };
        let transaction = planned(&book, &|planner| planner.step("aa", step, &wish("turn")).unwrap());
        // Waiting for the disk thousands of times would take long, and shows nothing here.
        let open = journal.open.as_mut().unwrap();
        open.entries += 1;
        book.apply(&transaction);
        if journal.is_full() {
            journal.compact(&book).unwrap();
            rewritten += 1;
        }
    }
    assert_eq!(rewritten, 1);
    assert!(book.history.len() <= MOST_ENTRIES);
    journal.compact(&book).unwrap();
    let last = planned(&book, &|planner| {
        planner.step("aa", Step::Quarantine, &wish("last")).unwrap();
    });
    journal.append(&last).unwrap();
    book.apply(&last);
    drop(journal);
    let (_, again) = opened(folder.path()).unwrap();
    assert_eq!(again.state, book.state);
    assert_eq!(again.history.back(), book.history.back());
    assert!(again.history.len() > MOST_ENTRIES / 2 - 1);
}
