//! States and answers by the flags of a few packets.

use netsage_windows::Answer;

use super::rows::{ACK, DESTINATION, FIN, RST, SOURCE, SYN, check_state, segment};
use crate::features::flow_v1::state::Facts;

#[test]
fn what_a_flow_comes_to() {
    let check = |flags: &[(usize, u8)], expected: &str| {
        let packets: Vec<_> = (0..)
            .zip(flags)
            .map(|(time_ms, &(direction, flags))| segment(direction, time_ms, flags, 0))
            .collect();
        check_state(&packets, expected);
    };
    let (s, d) = (SOURCE, DESTINATION);
    check(&[(s, SYN)], "attempt");
    check(&[(s, SYN), (s, SYN)], "attempt");
    check(&[(s, SYN), (d, RST | ACK)], "refused");
    check(&[(s, SYN), (d, RST | ACK), (s, SYN)], "refused");
    check(&[(s, SYN), (d, RST | ACK), (s, SYN), (d, SYN | ACK)], "half-open");
    check(&[(s, SYN), (s, RST)], "reset-src");
    check(&[(s, SYN), (d, SYN | ACK)], "half-open");
    check(&[(d, SYN | ACK)], "half-open");
    check(&[(s, SYN), (d, SYN | ACK), (s, RST)], "aborted");
    check(&[(s, SYN), (d, SYN | ACK), (s, ACK)], "established");
    check(&[(s, SYN), (d, ACK), (s, ACK)], "established");
    check(&[(s, SYN), (d, SYN | ACK), (s, ACK), (s, RST)], "reset-src");
    check(
        &[(s, SYN), (d, SYN | ACK), (s, ACK), (d, RST), (s, RST)],
        "reset-dst",
    );
    check(
        &[(s, SYN), (d, SYN | ACK), (s, ACK), (d, FIN | ACK)],
        "half-closed",
    );
    check(&[(s, FIN | ACK), (d, FIN | ACK), (s, ACK)], "closed");
    check(&[(s, ACK), (d, ACK)], "midstream");
    check(&[(s, 0)], "midstream");
    check(&[(d, RST | ACK)], "reset-dst");
    // A source that begins with a SYN-ACK, as a scanner does.
    check(&[(s, SYN | ACK)], "half-open");
    check(&[(s, SYN | ACK), (d, RST)], "reset-dst");
}

#[test]
fn answers_are_told_when_they_are_news() {
    let check = |flags: &[(usize, u8)], expected: &[Option<Answer>]| {
        let mut facts = Facts::default();
        let found: Vec<_> = (flags.iter())
            .map(|&(direction, flags)| facts.learn(&segment(direction, 0, flags, 0), SOURCE))
            .collect();
        assert_eq!(found, expected);
    };
    let (s, d) = (SOURCE, DESTINATION);
    let (refused, given) = (Some(Answer::Refused), Some(Answer::Given));
    check(
        &[(s, SYN), (d, SYN | ACK), (s, ACK), (d, RST)],
        &[None, given, None, None],
    );
    check(
        &[
            (s, SYN),
            (d, RST),
            (s, SYN),
            (d, RST),
            (s, SYN),
            (d, SYN | ACK),
            (d, ACK),
        ],
        &[None, refused, None, None, None, given, None],
    );
    check(&[(d, RST)], &[given]);
}
