//! What goes out when, with times that are given.

use netsage_api_types::{Alert, AlertState, DetectorRef, Severity};
use proptest::prelude::*;

use super::*;

/// An alert with this id.
pub(super) fn alert(id: &str, severity: Severity) -> Alert {
    Alert {
        id: id.to_owned(),
        first_seen: 0,
        last_seen: 1,
        count: 1,
        kind: "tcp/tls".to_owned(),
        source: "192.0.2.1".to_owned(),
        source_port: 1,
        destination: "192.0.2.2".to_owned(),
        destination_port: 443,
        protocol: "tcp".to_owned(),
        network: String::new(),
        sensor: String::new(),
        community_id: String::new(),
        score: 0.9,
        threshold: 0.5,
        severity,
        detector: DetectorRef {
            name: "iforest".to_owned(),
            version: "1".to_owned(),
            digest: String::new(),
            generation: 0,
        },
        schema: "flow-v1@1".to_owned(),
        contributions: Vec::new(),
        state: AlertState::New,
        changed_by: None,
        changed_at: None,
        sources: None,
        merged_into: None,
    }
}

/// The second of a message, and id, revision and reason of each of its alerts.
type Sent = (u64, Vec<(String, u64, Reason)>);
/// The same, as a test writes it.
type Expected<'a> = (u64, &'a [(&'a str, u64, Reason)]);

fn at(seconds: u64) -> Moment {
    Moment {
        wall_ms: seconds.cast_signed() * 1_000,
        uptime: Duration::from_secs(seconds),
    }
}

fn growing() -> Rules {
    Rules {
        growth: Some(Duration::from_secs(60)),
        ..Rules::default()
    }
}

/// Offers changes at their seconds and takes what is due each second; gives second, id, revision and reason of each message,
/// and of a digest those of its alerts.
fn run(rules: Rules, changes: &[(u64, Alert)], seconds: u64) -> Vec<Sent> {
    let mut sending = Sending::new(rules, 0);
    let mut changes = (1..).zip(changes).peekable();
    let mut sent = Vec::new();
    for second in 0..seconds {
        while let Some((revision, (_, alert))) = changes.next_if(|(_, (when, _))| *when <= second) {
            let alert = alert.clone();
            sending.offer(Change { revision, alert }, at(second));
        }
        for message in sending.due(at(second), 100) {
            sending.done(&message, at(second));
            let alerts = match message {
                Message::Digest(digest) => digest.alerts,
                Message::Alert(alert) => vec![alert],
                other => panic!("{other:?}"),
            };
            let of_each = alerts
                .into_iter()
                .map(|alert| (alert.alert.id, alert.revision, alert.reason));
            sent.push((second, of_each.collect()));
        }
    }
    assert_eq!((sending.waiting(), sending.cursor()), (0, sending.read()));
    sent
}

fn check(rules: Rules, changes: &[(u64, Alert)], seconds: u64, expected: &[Expected<'_>]) {
    let expected: Vec<Sent> = expected
        .iter()
        .map(|(second, alerts)| {
            let alerts = alerts
                .iter()
                .map(|(id, revision, reason)| ((*id).to_owned(), *revision, *reason));
            (*second, alerts.collect())
        })
        .collect();
    assert_eq!(run(rules, changes, seconds), expected);
}

#[test]
fn growth_is_told_before_its_minute_when_nothing_more_will_come() {
    let mut sending = Sending::new(growing(), 0);
    for revision in [1, 2] {
        let alert = alert("a", Severity::Low);
        sending.offer(Change { revision, alert }, at(revision));
        for message in sending.due(at(revision), 100) {
            sending.done(&message, at(revision));
        }
    }
    assert_eq!((sending.waiting(), sending.due(at(3), 100).len()), (1, 0));
    sending.end_growth(at(3));
    assert_eq!(sending.due(at(3), 100).len(), 1);
}

#[test]
fn an_alert_is_told_when_it_begins_rises_or_changes_and_once_a_minute_while_it_grows() {
    use Severity::{High, Low};
    let closed = Alert {
        state: AlertState::Closed,
        ..alert("a", High)
    };
    check(
        growing(),
        &[
            (0, alert("a", Low)),
            (1, alert("a", Low)),
            (2, alert("b", Low)),
            (30, alert("a", Low)),
            (70, alert("a", High)),
            (71, closed.clone()),
            (72, closed),
        ],
        200,
        &[
            (0, &[("a", 1, Reason::Begun)]),
            (2, &[("b", 3, Reason::Begun)]),
            (60, &[("a", 4, Reason::Grown)]),
            (70, &[("a", 5, Reason::Severity)]),
            (71, &[("a", 6, Reason::State)]),
            (131, &[("a", 7, Reason::Grown)]),
        ],
    );
}

#[test]
fn what_a_rate_holds_back_follows_in_digests() {
    let rate = Some(Rate {
        messages: 2,
        per: Duration::from_secs(20),
    });
    let changes: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|id| (0, alert(id, Severity::Low)))
        .into();
    check(
        Rules { rate, ..growing() },
        &changes,
        60,
        &[
            (0, &[("a", 1, Reason::Begun)]),
            (0, &[("b", 2, Reason::Begun)]),
            (
                10,
                &[
                    ("c", 3, Reason::Begun),
                    ("d", 4, Reason::Begun),
                    ("e", 5, Reason::Begun),
                ],
            ),
        ],
    );
}

#[test]
fn what_quiet_hours_hold_back_follows_in_one_digest_the_most_severe_first() {
    let quiet_hours = Some(QuietHours {
        from: 0,
        until: 2,
        except: Some(Severity::Critical),
    });
    check(
        Rules {
            quiet_hours,
            ..growing()
        },
        &[
            (0, alert("a", Severity::Low)),
            (1, alert("b", Severity::High)),
            (2, alert("c", Severity::Critical)),
            (3, alert("a", Severity::Medium)),
        ],
        200,
        &[
            (2, &[("c", 3, Reason::Begun)]),
            (120, &[("b", 2, Reason::Begun), ("a", 4, Reason::Begun)]),
        ],
    );
}

#[test]
fn scheduled_digests_are_as_far_apart_as_asked_for() {
    let digest_every = Some(Duration::from_secs(50));
    check(
        Rules {
            digest_every,
            ..growing()
        },
        &[
            (0, alert("a", Severity::Low)),
            (40, alert("b", Severity::Low)),
            (60, alert("c", Severity::Low)),
        ],
        200,
        &[
            (50, &[("a", 1, Reason::Begun), ("b", 2, Reason::Begun)]),
            (100, &[("c", 3, Reason::Begun)]),
        ],
    );
}

#[test]
fn an_alert_that_no_longer_passes_the_filter_waits_no_longer() {
    let filter = Filter {
        networks: vec!["one".to_owned()],
        ..Filter::default()
    };
    let mut sending = Sending::new(Rules { filter, ..growing() }, 0);
    let of = |network: &str| Alert {
        network: network.to_owned(),
        ..alert("a", Severity::Low)
    };
    assert!(sending.offer(
        Change {
            revision: 1,
            alert: of("one")
        },
        at(0)
    ));
    assert_eq!((sending.waiting(), sending.cursor()), (1, 0));
    assert!(!sending.offer(
        Change {
            revision: 2,
            alert: of("two")
        },
        at(0)
    ));
    assert_eq!((sending.waiting(), sending.cursor()), (0, 2));
}

proptest! {
    /// Whatever fails and wherever the program is killed: the receiver has each alert in its last state in the end, and no
    /// cursor lies behind a change that was not taken.
    #[test]
    fn the_last_change_of_every_alert_is_told(
        changes in prop::collection::vec((0..6_u8, 0..4_u8), 1..60),
        steps in prop::collection::vec((0..8_u8, 0..4_usize), 1..200),
        limits in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let rules = Rules {
            rate: limits.0.then_some(Rate { messages: 2, per: Duration::from_secs(9) }),
            quiet_hours: limits.1.then_some(QuietHours { from: 1, until: 2, except: None }),
            digest_every: (limits.0 && limits.2).then_some(Duration::from_secs(20)),
            ..growing()
        };
        let severities = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        // What the store has: of each alert the last change.
        let mut store: BTreeMap<u64, Alert> = BTreeMap::new();
        let mut changes = (1..).zip(changes);
        let mut sending = Sending::new(rules.clone(), 0);
        let mut taken: HashMap<String, u64> = HashMap::new();
        let (mut saved, mut start) = (0, 0);
        let read = |sending: &mut Sending, store: &BTreeMap<u64, Alert>, now: Moment| {
            let next = sending.read() + 1;
            for (revision, alert) in store.range(next..) {
                sending.offer(Change { revision: *revision, alert: alert.clone() }, now);
            }
        };
        let steps = steps.into_iter().map(Some).chain((0..200).map(|_| None));
        for (second, step) in (0_u64..).step_by(5).zip(steps) {
            let now = Moment { wall_ms: second.cast_signed() * 1_000, uptime: Duration::from_secs(second - start) };
            let (kind, count) = step.unwrap_or((7, usize::MAX));
            match kind {
                0..4 => {
                    if let Some((revision, (id, severity))) = changes.next() {
                        let id = format!("{id}");
                        store.retain(|_, alert| alert.id != id);
                        store.insert(revision, alert(&id, severities[usize::from(severity)]));
                    }
                }
                4 => {
                    sending = Sending::new(rules.clone(), saved);
                    start = second;
                }
                _ => {
                    read(&mut sending, &store, now);
                    let messages = sending.due(now, 10);
                    for message in messages.iter().take(count) {
                        let alerts = match message {
                            Message::Alert(alert) => std::slice::from_ref(alert),
                            Message::Digest(digest) => &digest.alerts,
                            _ => unreachable!(),
                        };
                        for alert in alerts {
                            taken.insert(alert.alert.id.clone(), alert.revision);
                        }
                        sending.done(message, now);
                    }
                    saved = sending.cursor();
                    for (revision, alert) in store.range(..=saved) {
                        prop_assert_eq!(taken.get(&alert.id), Some(revision));
                    }
                }
            }
        }
        for (revision, alert) in &store {
            prop_assert_eq!(taken.get(&alert.id), Some(revision));
        }
        prop_assert_eq!(sending.waiting(), 0);
    }
}
