//! Who visited whom, and when: the memory of the detector, of a fixed size.

/// Gaps that are remembered of a pair.
pub(crate) const GAPS: usize = 16;
/// Pairs with the same place, and places.
const WAYS: usize = 4;
const SETS: usize = 8_192;
/// How much longer a pair is remembered for each gap, microseconds: a crowd of new pairs must not drive out slow
/// visitors.
const MICROSECONDS_PER_GAP: u64 = 600 * 1_000_000;
/// Time in which half of what was sent is forgotten, microseconds.
const MICROSECONDS_TO_HALF: f64 = 3_600e6;

/// The last visits of a source to a destination. Times are microseconds since the epoch; only differences of them are
/// computed with, so that nothing depends on how late it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    pub(crate) source: u64,
    pub(crate) destination: u64,
    /// Begin of the last visit, and end of the last flow.
    pub(crate) last: u64,
    pub(crate) end: u64,
    /// Payload sent so far, bytes, of which half is forgotten every hour; and begin of the flow that it was counted at.
    pub(crate) sent: f32,
    pub(crate) sent_at: u64,
    /// Gaps so far, at most [`GAPS`], and the place of the next one.
    pub(crate) count: u8,
    pub(crate) next: u8,
    used: bool,
    /// Gaps in seconds and their natural logarithms.
    gaps: [f32; GAPS],
    logarithms: [f32; GAPS],
}

/// The microseconds from one time to a later one as seconds.
pub(crate) fn seconds(microseconds: u64) -> f32 {
    (microseconds as f64 / 1e6) as f32
}

impl Pair {
    const NONE: Self = Self {
        source: 0,
        destination: 0,
        last: 0,
        end: 0,
        sent: 0.0,
        sent_at: 0,
        count: 0,
        next: 0,
        used: false,
        gaps: [0.0; GAPS],
        logarithms: [0.0; GAPS],
    };

    /// One without gaps whose last visit begins now.
    pub(crate) fn new(source: u64, destination: u64, now: u64) -> Self {
        Self {
            source,
            destination,
            last: now,
            end: now,
            sent_at: now,
            used: true,
            ..Self::NONE
        }
    }

    /// Takes a gap above 0, in seconds.
    pub(crate) fn push(&mut self, gap: f32) {
        let place = usize::from(self.next) % GAPS;
        self.gaps[place] = gap;
        self.logarithms[place] = libm::log(f64::from(gap)) as f32;
        self.next = ((place + 1) % GAPS) as u8;
        self.count = (self.count + 1).min(GAPS as u8);
    }

    /// The gaps in the order in which they are kept; the one at `next` is the oldest once there are [`GAPS`].
    pub(crate) fn gaps(&self) -> &[f32] {
        &self.gaps[..usize::from(self.count)]
    }

    /// The gap before the last visit, seconds.
    pub(crate) fn last_gap(&self) -> Option<f32> {
        let place = (usize::from(self.next) + GAPS - 1) % GAPS;
        self.gaps().get(place).copied()
    }

    /// Counts what a flow that began at `start` sent.
    pub(crate) fn send(&mut self, start: u64, payload: f32) {
        let hours = start.saturating_sub(self.sent_at) as f64 / MICROSECONDS_TO_HALF;
        let sent = f64::from(self.sent) * libm::exp2(-hours) + f64::from(payload.max(0.0));
        self.sent = (sent as f32).min(f32::MAX);
        self.sent_at = self.sent_at.max(start);
    }

    /// How many gaps, their mean, and the mean of their logarithms.
    pub(crate) fn means(&self) -> (usize, f64, f64) {
        let count = usize::from(self.count);
        let mean = |values: &[f32; GAPS]| {
            let sum: f64 = values[..count].iter().map(|&value| f64::from(value)).sum();
            sum / count.max(1) as f64
        };
        (count, mean(&self.gaps), mean(&self.logarithms))
    }

    /// Places that are free come before all times.
    fn until(&self) -> (bool, u64) {
        let gaps = MICROSECONDS_PER_GAP * u64::from(self.count);
        (self.used, self.end.saturating_add(gaps))
    }
}

/// Pairs by their addresses, 32,768 of them. Where more meet, the one that is quiet for longest is forgotten, for which
/// each gap counts like ten minutes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visits {
    pairs: Vec<Pair>,
}

impl Visits {
    pub(crate) fn new() -> Self {
        Self {
            pairs: vec![Pair::NONE; SETS * WAYS],
        }
    }

    fn set(source: u64, destination: u64) -> usize {
        // The high bits of a product with an odd constant depend on all bits of the key (Knuth, 6.4).
        let key = source.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ destination;
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as usize % SETS * WAYS
    }

    fn ways(&mut self, source: u64, destination: u64) -> &mut [Pair] {
        let set = Self::set(source, destination);
        &mut self.pairs[set..set + WAYS]
    }

    /// The pairs that are remembered, in an order in which [`Visits::put_back`] gives them their places again.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.used)
    }

    /// Puts a pair where it was; says whether there was room.
    pub(crate) fn put_back(&mut self, pair: Pair) -> bool {
        let ways = self.ways(pair.source, pair.destination);
        match ways.iter_mut().find(|way| !way.used) {
            Some(free) => *free = pair,
            None => return false,
        }
        true
    }

    /// The pair, when it is remembered.
    pub(crate) fn find(&self, source: u64, destination: u64) -> Option<&Pair> {
        let set = Self::set(source, destination);
        self.pairs[set..set + WAYS]
            .iter()
            .find(|pair| pair.used && (pair.source, pair.destination) == (source, destination))
    }

    /// The pair, and whether it is known; when it is not, one without gaps whose last visit begins now.
    pub(crate) fn meet(&mut self, source: u64, destination: u64, now: u64) -> (&mut Pair, bool) {
        let ways = self.ways(source, destination);
        let known = ways
            .iter()
            .position(|pair| pair.used && (pair.source, pair.destination) == (source, destination));
        let place = known.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|&way| ways[way].until()).unwrap_or_default();
            ways[oldest] = Pair::new(source, destination, now);
            oldest
        });
        (&mut ways[place], known.is_some())
    }
}
