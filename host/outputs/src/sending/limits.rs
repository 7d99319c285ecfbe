//! What delays messages: a rate, and hours of the day in which nothing is sent.

use std::time::Duration;

use netsage_api_types::Severity;

const DAY_MINUTES: u16 = 24 * 60;
const MINUTE_MS: i64 = 60_000;

/// At most so many messages in a time. What is beyond it is held back, and follows in a digest, which counts as one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least one.
    pub messages: u32,
    /// In how long.
    pub per: Duration,
}

/// Hours of each day, in UTC, in which messages are held back. They follow in digests when the hours are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// The minute of the day with which they begin, 0 to 1,439.
    pub from: u16,
    /// The minute of the day that is no longer quiet; before `from` when the hours go over midnight.
    pub until: u16,
    /// Alerts of this severity and above go out all the same.
    pub except: Option<Severity>,
}

impl QuietHours {
    /// Whether an alert of this severity is held back at this moment, ms since the epoch.
    pub fn hold(&self, now_ms: i64, severity: Severity) -> bool {
        if self.except.is_some_and(|least| severity >= least) {
            return false;
        }
        let minute = now_ms.div_euclid(MINUTE_MS).rem_euclid(i64::from(DAY_MINUTES));
        let is_after = |bound: u16| minute >= i64::from(bound);
        match self.from <= self.until {
            true => is_after(self.from) && !is_after(self.until),
            false => is_after(self.from) || !is_after(self.until),
        }
    }
}

/// A bucket that holds as many tokens as messages may go out at once, and is filled evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    rate: Rate,
    /// Tokens, in parts of a token that one nanosecond brings when one message may go out per `per`.
    filled: u128,
    /// When it was filled last, since the output began.
    at: Duration,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let rate = Rate {
            messages: rate.messages.max(1),
            per: rate.per.max(Duration::from_millis(1)),
        };
        Self {
            rate,
            filled: Self::whole(&rate),
            at: Duration::ZERO,
        }
    }

    fn whole(rate: &Rate) -> u128 {
        u128::from(rate.messages) * rate.per.as_nanos()
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_nanos();
        self.filled = (self.filled + passed * u128::from(self.rate.messages)).min(Self::whole(&self.rate));
        self.at = self.at.max(now);
    }

    /// How many messages may go out now.
    pub(super) fn available(&mut self, now: Duration) -> usize {
        self.fill(now);
        usize::try_from(self.filled / self.rate.per.as_nanos()).unwrap_or(usize::MAX)
    }

    /// Takes the token of a message that goes out.
    pub(super) fn take(&mut self, now: Duration) {
        self.fill(now);
        self.filled = self.filled.saturating_sub(self.rate.per.as_nanos());
    }

    /// When the next message may go out.
    pub(super) fn next(&self) -> Duration {
        let missing = self.rate.per.as_nanos().saturating_sub(self.filled);
        let nanoseconds = missing.div_ceil(u128::from(self.rate.messages));
        self.at + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let check = |from, until, time: (i64, i64), expected: bool| {
            let hours = QuietHours {
                from,
                until,
                except: None,
            };
            let now_ms = (time.0 * 60 + time.1) * MINUTE_MS + 20_000 * i64::from(DAY_MINUTES) * MINUTE_MS;
            assert_eq!(
                hours.hold(now_ms, Severity::Critical),
                expected,
                "{from} {until} {time:?}"
            );
        };
        let (ten, six) = (22 * 60, 6 * 60);
        for (time, expected) in [
            ((21, 59), false),
            ((22, 0), true),
            ((0, 0), true),
            ((5, 59), true),
            ((6, 0), false),
        ] {
            check(ten, six, time, expected);
        }
        for (time, expected) in [
            ((5, 59), false),
            ((6, 0), true),
            ((21, 59), true),
            ((22, 0), false),
        ] {
            check(six, ten, time, expected);
        }
        check(six, six, (6, 0), false);
    }

    #[test]
    fn quiet_hours_let_severe_alerts_through() {
        let hours = QuietHours {
            from: 0,
            until: 1_440,
            except: Some(Severity::High),
        };
        assert!(hours.hold(0, Severity::Medium));
        assert!(!hours.hold(0, Severity::High));
    }

    #[test]
    fn a_bucket_gives_as_many_as_its_rate() {
        let mut bucket = Bucket::new(Rate {
            messages: 3,
            per: Duration::from_secs(60),
        });
        let mut gone = Vec::new();
        for second in 0..120 {
            let now = Duration::from_secs(second);
            while bucket.available(now) > 0 {
                bucket.take(now);
                gone.push(second);
            }
            assert!(bucket.next() > now);
        }
        assert_eq!(gone, [0, 0, 0, 20, 40, 60, 80, 100]);
    }
}
