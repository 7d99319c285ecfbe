//! Which changes of alerts become messages, and when.
//!
//! A change of an alert is offered as the store has it. It waits until it is due: at once when the alert has begun, has become
//! more severe or has changed its state, and otherwise when the last message of the alert is old enough. What a rate or
//! quiet hours hold back follows in a digest. Of an alert that changes again while it waits, the last change goes out.
//!
//! [`Sending::cursor`] says up to where everything is done with: a program that is killed reads from there again, so that
//! nothing that waits can be lost, and repeats what was sent out of turn.
//!
//! Pure: times are given, nothing is read or sent.

mod filter;
mod limits;
#[cfg(test)]
mod tests;
mod told;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use netsage_messages::{AlertMessage, Digest, HeldBackBy, Message, Reason};
use netsage_store::Change;

pub use self::filter::Filter;
use self::limits::Bucket;
pub use self::limits::{QuietHours, Rate};
use self::told::Told;

/// Alerts that wait at most; while there are as many, no further changes are read.
const MOST_WAITING: usize = 10_000;
/// Alerts of a digest at most.
const MOST_OF_DIGEST: usize = 1_000;

/// What goes out, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Which alerts go out at all.
    pub filter: Filter,
    /// How long after a message of an alert the next one goes out that tells nothing but more flows. `None`: every change goes
    /// out, as [`Reason::Grown`], and nothing is remembered of what was told.
    pub growth: Option<Duration>,
    /// How many messages may go out in a time.
    pub rate: Option<Rate>,
    /// When nothing goes out.
    pub quiet_hours: Option<QuietHours>,
    /// Alerts go out in digests only, so far apart.
    pub digest_every: Option<Duration>,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the clock of the wall, ms since the epoch.
    pub wall_ms: i64,
    /// Since the output began.
    pub uptime: Duration,
}

/// The changes of alerts that wait for their turn.
#[derive(Debug)]
pub struct Sending {
    rules: Rules,
    told: Told,
    /// By revision.
    waiting: BTreeMap<u64, Waiting>,
    /// The revision under which an alert waits.
    revisions: HashMap<String, u64>,
    bucket: Option<Bucket>,
    last_digest: Duration,
    /// The last revision offered.
    read: u64,
}

#[derive(Debug)]
struct Waiting {
    message: AlertMessage,
    /// Since the output began.
    due: Duration,
    /// What holds it back, and since when, ms since the epoch.
    held: Option<(HeldBackBy, i64)>,
}

impl Sending {
    /// Begins after a revision.
    pub fn new(rules: Rules, after: u64) -> Self {
        Self {
            bucket: rules.rate.map(Bucket::new),
            rules,
            told: Told::default(),
            waiting: BTreeMap::new(),
            revisions: HashMap::new(),
            last_digest: Duration::ZERO,
            read: after,
        }
    }

    /// Takes a change that the store has given; returns whether the filter lets the alert through.
    pub fn offer(&mut self, change: Change, now: Moment) -> bool {
        let Change { revision, alert } = change;
        self.read = self.read.max(revision);
        let before = self.revisions.remove(&alert.id);
        let before = before.and_then(|revision| self.waiting.remove(&revision));
        if !self.rules.filter.passes(&alert) {
            return false;
        }
        let (mut reason, mut due) = (Reason::Grown, now.uptime);
        if let Some(pause) = self.rules.growth {
            match self.told.get(&alert.id) {
                None => reason = Reason::Begun,
                Some(told) if alert.severity > told.severity => reason = Reason::Severity,
                Some(told) if alert.state != told.state => reason = Reason::State,
                Some(told) => due = told.at.saturating_add(pause),
            }
        }
        let mut held = None;
        if let Some(before) = before {
            reason = reason.max(before.message.reason);
            due = due.min(before.due);
            held = before.held;
        }
        self.revisions.insert(alert.id.clone(), revision);
        let message = AlertMessage {
            alert,
            revision,
            reason,
        };
        self.waiting.insert(revision, Waiting { message, due, held });
        true
    }

    /// Takes note that the store has nothing up to this revision that was not offered.
    pub fn has_read(&mut self, revision: u64) {
        self.read = self.read.max(revision);
    }

    /// The last revision read: what comes after it is to be offered.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The revision up to which everything is done with.
    pub fn cursor(&self) -> u64 {
        let first = self.waiting.keys().next();
        first.map_or(self.read, |revision| revision.saturating_sub(1))
    }

    /// How many alerts wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Makes what has only grown due too: nothing more will come, and the last count is what counts.
    pub fn end_growth(&mut self, now: Moment) {
        for waiting in self.waiting.values_mut() {
            waiting.due = waiting.due.min(now.uptime);
        }
    }

    /// Since when the alert that has been due longest is due, since the output began; what is held back on purpose is not.
    pub fn due_since(&self, now: Moment) -> Option<Duration> {
        let due = self.waiting.values().filter(|waiting| waiting.held.is_none());
        due.map(|waiting| waiting.due)
            .filter(|due| *due <= now.uptime)
            .min()
    }

    /// Whether further changes may be offered.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// The messages that are due, at most so many, digests first and then by revision. They are due until [`Self::done`].
    pub fn due(&mut self, now: Moment, most: usize) -> Vec<Message> {
        let allowed = self.bucket.as_mut().map(|bucket| bucket.available(now.uptime));
        let most = most.min(allowed.unwrap_or(usize::MAX));
        let mut messages = self.digests(now, most);
        for (revision, waiting) in &mut self.waiting {
            if waiting.held.is_some() || waiting.due > now.uptime {
                continue;
            }
            let severity = waiting.message.alert.severity;
            let quiet_hours = self.rules.quiet_hours.as_ref();
            let by = match () {
                () if self.rules.digest_every.is_some() => HeldBackBy::Schedule,
                () if quiet_hours.is_some_and(|hours| hours.hold(now.wall_ms, severity)) => {
                    HeldBackBy::QuietHours
                }
                () if messages.len() < most => {
                    debug_assert_eq!(waiting.message.revision, *revision);
                    messages.push(Message::Alert(waiting.message.clone()));
                    continue;
                }
                () if allowed.is_some_and(|allowed| messages.len() >= allowed) => HeldBackBy::RateLimit,
                () => break,
            };
            waiting.held = Some((by, now.wall_ms));
        }
        messages
    }

    /// Digests of what need not be held back any more.
    fn digests(&self, now: Moment, most: usize) -> Vec<Message> {
        let mut of_each: BTreeMap<u8, (HeldBackBy, i64, Vec<AlertMessage>)> = BTreeMap::new();
        for waiting in self.waiting.values() {
            let Some((by, since_ms)) = waiting.held.filter(|(by, _)| self.is_released(*by, waiting, now))
            else {
                continue;
            };
            let (_, first_ms, alerts) = of_each
                .entry(by as u8)
                .or_insert_with(|| (by, since_ms, Vec::new()));
            *first_ms = since_ms.min(*first_ms);
            alerts.push(waiting.message.clone());
        }
        let mut messages = Vec::new();
        for (held_back_by, since_ms, mut alerts) in of_each.into_values() {
            alerts.sort_by(|one, other| {
                let severe = |message: &AlertMessage| Reverse(message.alert.severity);
                let by_score = other.alert.score.total_cmp(&one.alert.score);
                severe(one).cmp(&severe(other)).then(by_score)
            });
            for alerts in alerts.chunks(MOST_OF_DIGEST).take(most - messages.len()) {
                messages.push(match alerts {
                    [single] if held_back_by != HeldBackBy::Schedule => Message::Alert(single.clone()),
                    _ => Message::Digest(Digest {
                        held_back_by,
                        since_ms,
                        until_ms: now.wall_ms,
                        alerts: alerts.to_vec(),
                    }),
                });
            }
        }
        messages
    }

    fn is_released(&self, by: HeldBackBy, waiting: &Waiting, now: Moment) -> bool {
        match by {
            // A token is there whenever digests may be made at all.
            HeldBackBy::RateLimit => true,
            HeldBackBy::QuietHours => {
                let severity = waiting.message.alert.severity;
                let hours = self.rules.quiet_hours.as_ref();
                hours.is_none_or(|hours| !hours.hold(now.wall_ms, severity))
            }
            HeldBackBy::Schedule => self.next_digest() <= now.uptime,
        }
    }

    fn next_digest(&self) -> Duration {
        let every = self.rules.digest_every.unwrap_or_default();
        self.last_digest.saturating_add(every)
    }

    /// Takes note that a message of [`Self::due`] is done with.
    pub fn done(&mut self, message: &Message, now: Moment) {
        let alerts = match message {
            Message::Alert(alert) => std::slice::from_ref(alert),
            Message::Digest(digest) => {
                self.last_digest = now.uptime;
                &digest.alerts
            }
            Message::Event(_) | Message::Test(_) => return,
        };
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now.uptime);
        }
        for AlertMessage { alert, revision, .. } in alerts {
            self.waiting.remove(revision);
            self.revisions.remove(&alert.id);
            if self.rules.growth.is_some() {
                self.told.note(alert, now.uptime);
            }
        }
    }

    /// When something may be due that is not yet, since the output began; `None` while nothing waits.
    pub fn next(&self, now: Moment) -> Option<Duration> {
        const MINUTE_MS: i64 = 60_000;
        // Quiet hours end with a minute.
        let next_minute = || {
            let left = MINUTE_MS - now.wall_ms.rem_euclid(MINUTE_MS);
            now.uptime + Duration::from_millis(left.unsigned_abs())
        };
        let by_rate = |due: Duration| self.bucket.as_ref().map_or(due, |bucket| due.max(bucket.next()));
        let moments = self.waiting.values().map(|waiting| match waiting.held {
            None => by_rate(waiting.due),
            Some((HeldBackBy::RateLimit, _)) => by_rate(now.uptime),
            Some((HeldBackBy::QuietHours, _)) => next_minute(),
            Some((HeldBackBy::Schedule, _)) => by_rate(self.next_digest()),
        });
        moments.min()
    }
}
