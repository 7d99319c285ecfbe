//! How long to wait before trying again.

use std::time::Duration;

/// Pauses between attempts: each is twice as long as the one before, up to a longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// Pauses that begin with `first` and grow up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The pause to make now; the next one is longer.
    pub fn take(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2);
        pause
    }

    /// Begins again with the first pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// From 100 ms to a minute.
impl Default for Pauses {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_millis(500));
        let mut take = |count: usize| (0..count).map(|_| pauses.take().as_millis()).collect::<Vec<_>>();
        assert_eq!(take(5), [100, 200, 400, 500, 500]);
        pauses.reset();
        assert_eq!(pauses.take().as_millis(), 100);
    }
}
