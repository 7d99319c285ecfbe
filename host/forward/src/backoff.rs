//! Growing pauses with jitter, so that many senders do not come back at once.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest, unless a receiver asks for more.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Begins again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The pause to make now: what the receiver asks for, or one that grows; up to half as long again by chance.
    pub(crate) fn take(&mut self, asked: Option<Duration>) -> Duration {
        let pause = match asked {
            Some(asked) => asked.min(LONGEST_ASKED),
            None => {
                let pause = self.next;
                self.next = pause.saturating_mul(2).min(LONGEST);
                pause
            }
        };
        pause + pause.mul_f64(0.5 * chance())
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut byte = [0_u8; 1];
    match getrandom::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_success() {
        let mut backoff = Backoff::default();
        let mut check = |asked: Option<u64>, least_ms: u64| {
            let pause = backoff.take(asked.map(Duration::from_secs));
            let least = Duration::from_millis(least_ms);
            assert!(
                pause >= least && pause <= least.mul_f64(1.5),
                "{pause:?} for {least:?}"
            );
        };
        for least in [200, 400, 800] {
            check(None, least);
        }
        check(Some(7), 7_000);
        check(Some(1_000_000), 600_000);
        for _ in 0..10 {
            backoff.take(None);
        }
        let longest = backoff.take(None);
        assert!(longest >= LONGEST && longest <= LONGEST.mul_f64(1.5));
        backoff.reset();
        assert!(backoff.take(None) < Duration::from_millis(301));
    }
}
