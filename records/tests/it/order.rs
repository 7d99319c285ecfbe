//! What arrives in any order leaves in one.

use std::collections::HashSet;

use netsage_records::{Key, Network, Order, OrderCounters, Record, Standing};
use proptest::prelude::*;

use crate::rows::rows_of;
use crate::traffic::{SECOND, records};

const LATENESS: i64 = 30 * SECOND;

fn key(end_us: i64, number: u8) -> Key {
    let mut id = [0; 16];
    id[15] = number;
    Key { end_us, id }
}

/// Seconds at which records end, in the order of their arrival; the name of each is its place.
fn check(lateness: u64, most: usize, ends: &[i64], expected: &[(u8, Standing)], waiting: usize) {
    let mut order = Order::new(lateness * SECOND.unsigned_abs(), most);
    let mut left = Vec::new();
    for (number, &end) in (0..).zip(ends) {
        order.push(key(end * SECOND, number), number, |item, standing| {
            left.push((item, standing));
        });
    }
    assert_eq!((left.as_slice(), order.len()), (expected, waiting), "{ends:?}");
}

#[test]
fn a_record_leaves_when_none_is_expected_before_it() {
    use Standing::{InOrder, Late};
    check(10, 9, &[100, 105, 110], &[], 3);
    check(10, 9, &[100, 105, 111], &[(0, InOrder)], 2);
    check(10, 9, &[105, 100, 116], &[(1, InOrder), (0, InOrder)], 1);
    // Behind one that has left, and between those that have and those that wait.
    check(10, 9, &[100, 111, 99], &[(0, InOrder), (2, Late)], 1);
    check(10, 9, &[100, 200, 150], &[(0, InOrder), (2, InOrder)], 1);
    // Want of room.
    check(10, 2, &[102, 101, 103, 100], &[(1, InOrder), (3, Late)], 2);
    check(
        0,
        1,
        &[100, 101, 101, 100],
        &[(0, InOrder), (1, InOrder), (3, Late)],
        1,
    );
}

#[test]
fn one_record_of_another_time_moves_nothing() {
    use Standing::InOrder;
    let year = 365 * 86_400;
    check(10, 9, &[100, year, 105, 106], &[], 4);
    check(10, 9, &[year, 100, 105, 111], &[(1, InOrder)], 3);
    // Two of them do, as after a night without traffic.
    check(10, 9, &[100, year, year + 1], &[(0, InOrder)], 2);
}

#[test]
fn a_record_after_a_long_quiet_time_is_believed() {
    let hour = 3_600 * SECOND;
    for (quiet, expected) in [(0, 0), (hour - 2, 0), (hour, 2), (3 * hour, 2)] {
        // So late that the quiet time itself lets nothing leave.
        let mut order = Order::new(4 * hour.unsigned_abs(), 9);
        for number in [0, 1] {
            order.push(key(i64::from(number), number), (), |(), _| {});
        }
        order.quiet(quiet.unsigned_abs(), |(), _| {});
        order.push(key(2 * hour, 2), (), |(), _| {});
        // What is believed is the time that the clock goes on from.
        let mut left = 0;
        order.quiet(2 * hour.unsigned_abs() + 2, |(), _| left += 1);
        assert_eq!(left, expected, "after {quiet}");
    }
}

#[test]
fn equal_records_are_one_flow() {
    let mut order = Order::new(0, 4);
    let mut left = Vec::new();
    for end_us in [100, 100, 101, 100, 102, 100] {
        order.push(key(end_us, end_us as u8), end_us, |item, standing| {
            left.push((item, standing));
        });
    }
    order.finish(|item, standing| left.push((item, standing)));
    use Standing::{InOrder, Repeated};
    assert_eq!(
        left,
        [
            (100, InOrder),
            (100, Repeated),
            (100, Repeated),
            (101, InOrder),
            (100, Repeated),
            (102, InOrder)
        ]
    );
    let expected = OrderCounters {
        in_order: 3,
        repeated: 3,
        ..OrderCounters::default()
    };
    assert_eq!(order.counters(), expected);
}

#[test]
fn the_clock_moves_a_quiet_stream_on() {
    let mut order = Order::new(10, 4);
    let mut left = Vec::new();
    for end_us in [100, 105] {
        order.push(key(end_us, 0), end_us, |item, _| left.push(item));
    }
    order.quiet(5, |item, _| left.push(item));
    assert!(left.is_empty());
    order.quiet(6, |item, _| left.push(item));
    assert_eq!(left, [100]);
    // Less time does not turn it back.
    order.quiet(0, |item, _| left.push(item));
    order.quiet(u64::MAX, |item, _| left.push(item));
    assert_eq!((left.as_slice(), order.is_empty()), ([100, 105].as_slice(), true));
    order.quiet(u64::MAX, |item, _| left.push(item));
}

#[test]
fn times_at_the_ends_of_the_scale() {
    let ends = [i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN, -1];
    for lateness in [0, 1, u64::MAX] {
        let mut order = Order::new(lateness, 2);
        let mut left = 0;
        for (number, end_us) in (0..).zip(ends) {
            order.push(key(end_us, number), (), |(), _| left += 1);
            order.quiet(lateness, |(), _| left += 1);
        }
        order.finish(|(), _| left += 1);
        assert_eq!(left, ends.len());
    }
}

/// The records in an order in which each is late by at most [`LATENESS`].
fn delayed(records: &[(Network, Record)], delays: &[i64]) -> Vec<(Network, Record)> {
    let mut arrivals: Vec<_> = records.iter().zip(delays).collect();
    arrivals.sort_by_key(|((_, record), delay)| record.end_us + **delay);
    arrivals.into_iter().map(|(record, _)| record.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_order_within_the_lateness_gives_the_same_rows(
        records in records(80),
        delays in proptest::collection::vec(prop_oneof![0..=LATENESS, Just(LATENESS)], 80),
        other in proptest::collection::vec(0..=LATENESS, 80),
    ) {
        let rows = |delays: &[i64]| -> Vec<_> {
            let arrived = delayed(&records, delays);
            let left = rows_of(&arrived, LATENESS.unsigned_abs(), records.len());
            left.into_iter()
                .map(|(index, row, standing)| (arrived[index].clone(), row, standing))
                .collect()
        };
        let found = rows(&delays);
        prop_assert!(found.iter().all(|(.., standing)| *standing == Standing::InOrder));
        prop_assert_eq!(found, rows(&other));
    }

    #[test]
    fn nothing_is_lost_or_doubled_and_what_leaves_in_turn_rises(
        ends in proptest::collection::vec(-100..100_i64, 0..200),
        lateness in 0..120_u64,
        most in 1..20_usize,
    ) {
        let mut order = Order::new(lateness, most);
        let mut left = Vec::new();
        for (number, &end_us) in (0_u8..).zip(&ends) {
            order.push(key(end_us, number), (end_us, number), |item, standing| left.push((item, standing)));
            prop_assert!(order.len() <= most);
            let seen = &ends[..=usize::from(number)];
            let settled = seen.iter().max().unwrap() - lateness.cast_signed();
            prop_assert!(left.len() + order.len() == seen.len());
            prop_assert!(seen.iter().filter(|end| **end < settled).count() <= left.len());
        }
        order.finish(|item, standing| left.push((item, standing)));
        let names: HashSet<_> = left.iter().map(|((_, number), _)| *number).collect();
        prop_assert_eq!((names.len(), left.len()), (ends.len(), ends.len()));
        let in_turn: Vec<_> = (left.iter())
            .filter(|(_, standing)| *standing == Standing::InOrder)
            .map(|(item, _)| *item)
            .collect();
        prop_assert!(in_turn.is_sorted());
        // Each late one came behind one with a later key, and no other was called late.
        let mut latest = None;
        for (item, standing) in left {
            prop_assert_eq!(standing == Standing::Late, latest.is_some_and(|latest| item < latest));
            latest = latest.max(Some(item));
        }
        let counters = order.counters();
        prop_assert_eq!(counters.in_order + counters.late, ends.len() as u64);
    }
}
