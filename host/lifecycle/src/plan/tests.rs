use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::state::{Book, Transaction};
use crate::trust::Signed;

fn wish() -> Wish {
    Wish {
        by: "ada".to_owned(),
        why: "because".to_owned(),
        share: 0.1,
        at: 7,
        asked: false,
        downgrade: false,
    }
}

const NAMES: [&str; 2] = ["one", "two"];

/// Six packages, of two names.
fn name_of(package: usize) -> &'static str {
    NAMES[package % 2]
}

fn digest(package: usize) -> String {
    format!("{package:064x}")
}

fn apply(book: &mut Book, transactions: &mut Vec<Transaction>, planner: Planner) {
    let mut moves = planner.finish();
    for a_move in &mut moves {
        let package = usize::from_str_radix(&a_move.entry.digest, 16).unwrap();
        a_move.entry.name = Some(name_of(package).to_owned());
    }
    let transaction = Transaction {
        moves,
        ..Transaction::default()
    };
    book.apply(&transaction);
    transactions.push(transaction);
}

proptest! {
    #[test]
    fn any_steps_keep_the_order(steps in proptest::collection::vec((0..6_usize, 0..STEPS.len()), 1..80)) {
        let (mut book, mut transactions) = (Book::default(), Vec::new());
        for package in 0..6 {
            let mut planner = Planner::new(&book.state);
            planner.push(&digest(package), Step::Stage, Stage::Staged, &wish());
            apply(&mut book, &mut transactions, planner);
        }
        for (package, step) in steps {
            let (digest, step) = (digest(package), STEPS[step]);
            let can = possible(&book.state, &digest).contains(&step);
            let mut planner = Planner::new(&book.state);
            match planner.step(&digest, step, &wish()) {
                Ok(()) => {
                    prop_assert!(can);
                    apply(&mut book, &mut transactions, planner);
                }
                Err(Impossible::ManyShadows { .. }) => {}
                Err(_) => prop_assert!(!can, "{step:?}"),
            }
            for name in NAMES {
                prop_assert!(book.state.at(name, Stage::Active).count() <= 1);
                prop_assert!(book.state.at(name, Stage::Canary).count() <= 1);
                if let Some(previous) = book.state.previous(name) {
                    prop_assert_eq!(book.state.packages[previous].stage, Stage::Retired);
                }
            }
        }
        // Numbers rise and are given once, to those that begin to score.
        let mut generations = BTreeSet::new();
        for (place, entry) in book.history.iter().enumerate() {
            prop_assert_eq!(entry.number, place as u64 + 1);
            let begins = crate::transition::scores(entry.to) && entry.from != Some(entry.to);
            prop_assert_eq!(entry.generation.is_some(), begins);
            if let Some(generation) = entry.generation {
                prop_assert!(generations.last().is_none_or(|last| *last < generation));
                generations.insert(generation);
            }
        }
        // The journal says the same again, also from its middle on.
        let mut replayed = Book::default();
        for (place, transaction) in transactions.iter().enumerate() {
            if place == transactions.len() / 2 {
                let snapshot = replayed.snapshot();
                replayed = Book::default();
                replayed.apply(&snapshot);
            }
            replayed.apply(transaction);
        }
        prop_assert_eq!(replayed, book);
    }
}

/// A state in which packages 0, 2 and 4, all of name `one`, became active one after another.
fn three_activations() -> (Book, Vec<Transaction>) {
    let (mut book, mut transactions) = (Book::default(), Vec::new());
    for package in [0, 2, 4] {
        let mut planner = Planner::new(&book.state);
        planner.push(&digest(package), Step::Stage, Stage::Staged, &wish());
        apply(&mut book, &mut transactions, planner);
        for step in [Step::Check, Step::Warm, Step::Promote] {
            let mut planner = Planner::new(&book.state);
            planner.step(&digest(package), step, &wish()).unwrap();
            apply(&mut book, &mut transactions, planner);
        }
    }
    (book, transactions)
}

#[test]
fn rollbacks_go_back_one_by_one_and_end() {
    let (mut book, mut transactions) = three_activations();
    for (active, previous) in [(4, Some(2)), (2, Some(0)), (0, None)] {
        let active = digest(active);
        assert_eq!(book.state.active("one"), Some(active.as_str()));
        assert_eq!(book.state.previous("one"), previous.map(digest).as_deref());
        let mut planner = Planner::new(&book.state);
        let outcome = planner.step(&active, Step::Rollback, &wish());
        assert_eq!(outcome.is_ok(), previous.is_some());
        apply(&mut book, &mut transactions, planner);
    }
}

#[test]
fn whoever_is_quarantined_while_active_is_followed_by_the_one_before() {
    let (mut book, mut transactions) = three_activations();
    let mut planner = Planner::new(&book.state);
    planner.step(&digest(4), Step::Quarantine, &wish()).unwrap();
    apply(&mut book, &mut transactions, planner);
    assert_eq!(book.state.active("one"), Some(digest(2).as_str()));
    let last = book.history.back().unwrap();
    assert_eq!(
        (last.digest.as_str(), last.generation),
        (digest(2).as_str(), Some(4))
    );
    assert!(last.why.contains("was quarantined: because"), "{}", last.why);
}

#[test]
fn a_signed_package_does_not_take_the_place_of_a_younger_one() {
    let mut book = Book::default();
    let signed = |key: &str, at: Option<u64>| Signed {
        key: key.to_owned(),
        at,
    };
    // Package 0 was signed at 100 and runs; 2 and 4 have its name and never ran; 1 has another name.
    for (package, active_with) in [(0, Some(signed("k", Some(100)))), (2, None), (4, None), (1, None)] {
        let mut planner = Planner::new(&book.state);
        planner.push(&digest(package), Step::Stage, Stage::Staged, &wish());
        if let Some(signed) = active_with {
            planner
                .push(&digest(package), Step::Promote, Stage::Active, &wish())
                .signed = Some(signed);
        }
        apply(&mut book, &mut Vec::new(), planner);
    }
    let check = |package: usize, signed: Option<Signed>, downgrade: bool, expected: bool| {
        let wish = Wish { downgrade, ..wish() };
        let found = check_downgrade(
            &book.state,
            &digest(package),
            Step::Promote,
            &wish,
            signed.as_ref(),
        );
        assert_eq!(found.is_ok(), expected, "{package} {signed:?} {found:?}");
    };
    check(2, Some(signed("k", Some(99))), false, false);
    check(2, Some(signed("k", None)), false, false);
    check(2, Some(signed("k", Some(99))), true, true);
    check(2, Some(signed("k", Some(100))), false, true);
    check(2, Some(signed("k", Some(101))), false, true);
    // Another key is another maker; where signatures do not count there is no signer.
    check(2, Some(signed("other", Some(1))), false, true);
    check(2, None, false, true);
    check(1, Some(signed("k", Some(1))), false, true);
    // What ran before may run again.
    check(0, Some(signed("k", Some(99))), false, true);
}
