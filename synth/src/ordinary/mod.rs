//! Ordinary traffic: everything that happens in an office without anybody meaning harm.

mod dialogues;
mod sessions;

use rand::RngExt;

pub(crate) use dialogues::{dns_message, http, ssh_opening};

use crate::config::SynthConfig;
use crate::generator::{Actor, Stage};
use crate::random::{Random, log_normal};

/// A kind of session: the function that starts a session, the share of the ordinary flows, and the mean number of flows
/// in a session.
#[derive(Debug, Clone, Copy)]
struct Kind {
    start: fn(i64, &mut Stage<'_>),
    share: f64,
    flows_per_session: f64,
}

const KINDS: [Kind; 10] = [
    Kind {
        start: sessions::browse,
        share: 0.732,
        flows_per_session: 4.4,
    },
    Kind {
        start: sessions::look_up,
        share: 0.115,
        flows_per_session: 1.0,
    },
    Kind {
        start: sessions::synchronise_clock,
        share: 0.05,
        flows_per_session: 1.0,
    },
    Kind {
        start: sessions::mail,
        share: 0.036,
        flows_per_session: 1.3,
    },
    Kind {
        start: sessions::shell,
        share: 0.008,
        flows_per_session: 1.0,
    },
    Kind {
        start: sessions::stream_video,
        share: 0.007,
        flows_per_session: 2.0,
    },
    Kind {
        start: sessions::transfer_files,
        share: 0.014,
        flows_per_session: 3.0,
    },
    Kind {
        start: sessions::renew_address,
        share: 0.01,
        flows_per_session: 1.0,
    },
    Kind {
        start: sessions::resolve_address,
        share: 0.02,
        flows_per_session: 1.0,
    },
    Kind {
        start: sessions::ping,
        share: 0.008,
        flows_per_session: 1.0,
    },
];

/// Starts sessions of one kind, evenly over the time, until it has its number of flows.
#[derive(Debug)]
struct Habit {
    kind: Kind,
    remaining: i64,
    begun: bool,
    /// It is over then, when that is before the end of the capture.
    end_ns: i64,
}

impl Actor for Habit {
    fn act(&mut self, now_ns: i64, stage: &mut Stage<'_>) -> Option<i64> {
        if std::mem::replace(&mut self.begun, true) {
            (self.kind.start)(now_ns, stage);
            self.remaining -= i64::try_from(stage.started()).unwrap_or(i64::MAX);
        }
        if self.remaining <= 0 {
            return None;
        }
        // The first of n points that lie evenly at random in the time that is left.
        let sessions = (self.remaining as f64 / self.kind.flows_per_session).max(1.0);
        let unit: f64 = stage.random.random();
        let left = (stage.last_start_ns.min(self.end_ns) - now_ns).max(0) as f64;
        Some(now_ns + (left * (1.0 - unit.powf(1.0 / sessions))) as i64)
    }
}

/// The office becomes another one.
#[derive(Debug)]
struct Change;

impl Actor for Change {
    fn act(&mut self, _now_ns: i64, stage: &mut Stage<'_>) -> Option<i64> {
        stage.people.change(stage.random);
        None
    }
}

/// Everything ordinary, with the time of its first act.
pub(crate) fn actors(config: &SynthConfig, flows: u32, random: &mut Random) -> Vec<(i64, Box<dyn Actor>)> {
    let change_ns = config.clean_until_ns();
    if !config.changes || change_ns <= config.start_ns {
        return habits((config.start_ns, config.end_ns()), f64::from(flows), |_| 1.0);
    }
    let before = f64::from(flows) * config.clean_share;
    let mut actors = habits((config.start_ns, change_ns), before, |_| 1.0);
    // First, so that everything later finds the office changed.
    actors.push((change_ns, Box::new(Change)));
    // Everything is done more, each thing by another factor.
    let mut rate = |_: &Kind| log_normal(random, 1.25, 0.3).max(1.0);
    actors.extend(habits(
        (change_ns, config.end_ns()),
        f64::from(flows) - before,
        &mut rate,
    ));
    actors
}

/// Habits from one time to another with `flows` flows, those of each kind times its rate.
fn habits(
    (start_ns, end_ns): (i64, i64),
    flows: f64,
    mut rate: impl FnMut(&Kind) -> f64,
) -> Vec<(i64, Box<dyn Actor>)> {
    KINDS
        .into_iter()
        .map(|kind| {
            let remaining = (flows * kind.share * rate(&kind)).ceil() as i64;
            let habit: Box<dyn Actor> = Box::new(Habit {
                kind,
                remaining,
                begun: false,
                end_ns,
            });
            (start_ns, habit)
        })
        .collect()
}
