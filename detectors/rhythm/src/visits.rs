//! Who visited whom, and when: the memory of the detector, of a fixed size.

/// Gaps that are remembered of a pair.
pub(crate) const GAPS: usize = 16;
/// Pairs with the same place, and places.
const WAYS: usize = 4;
const SETS: usize = 8_192;
/// How much longer a pair is remembered for each gap, seconds: a crowd of new pairs must not drive out slow visitors.
const SECONDS_PER_GAP: f32 = 600.0;
/// Time in which half of what was sent is forgotten, seconds.
const SECONDS_TO_HALF: f64 = 3_600.0;

/// The last visits of a source to a destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    source: u32,
    destination: u32,
    /// Begin of the last visit, and end of the last flow, seconds.
    pub(crate) last: f32,
    pub(crate) end: f32,
    /// Payload sent so far, bytes, of which half is forgotten every hour; and begin of the flow that it was counted at.
    pub(crate) sent: f32,
    sent_at: f32,
    /// Gaps so far, at most [`GAPS`], and the place of the next one.
    pub(crate) count: u8,
    next: u8,
    used: bool,
    /// Gaps in seconds and their natural logarithms.
    gaps: [f32; GAPS],
    logarithms: [f32; GAPS],
}

impl Pair {
    const NONE: Self = Self {
        source: 0,
        destination: 0,
        last: 0.0,
        end: 0.0,
        sent: 0.0,
        sent_at: 0.0,
        count: 0,
        next: 0,
        used: false,
        gaps: [0.0; GAPS],
        logarithms: [0.0; GAPS],
    };

    /// Takes a gap above 0.
    pub(crate) fn push(&mut self, gap: f32) {
        let place = usize::from(self.next) % GAPS;
        self.gaps[place] = gap;
        self.logarithms[place] = libm::log(f64::from(gap)) as f32;
        self.next = ((place + 1) % GAPS) as u8;
        self.count = (self.count + 1).min(GAPS as u8);
    }

    /// Counts what a flow that began at `start` sent.
    pub(crate) fn send(&mut self, start: f32, payload: f32) {
        let hours = f64::from((start - self.sent_at).max(0.0)) / SECONDS_TO_HALF;
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

    fn until(&self) -> f32 {
        self.end + SECONDS_PER_GAP * f32::from(self.count)
    }
}

/// Pairs by their addresses, 32,768 of them. Where more meet, the one that is quiet for longest is forgotten, for which
/// each gap counts like ten minutes.
#[derive(Debug, Clone)]
pub(crate) struct Visits {
    pairs: Vec<Pair>,
}

impl Visits {
    pub(crate) fn new() -> Self {
        Self {
            pairs: vec![Pair::NONE; SETS * WAYS],
        }
    }

    fn set(source: u32, destination: u32) -> usize {
        let key = u64::from(source) << 32 | u64::from(destination);
        // The high bits of a product with an odd constant depend on all bits of the key (Knuth, 6.4).
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as usize % SETS * WAYS
    }

    /// The pair, when it is remembered.
    pub(crate) fn find(&self, source: u32, destination: u32) -> Option<&Pair> {
        let set = Self::set(source, destination);
        self.pairs[set..set + WAYS]
            .iter()
            .find(|pair| pair.used && (pair.source, pair.destination) == (source, destination))
    }

    /// The pair, and whether it is known; when it is not, one without gaps whose last visit begins now.
    pub(crate) fn meet(&mut self, source: u32, destination: u32, now: f32) -> (&mut Pair, bool) {
        let set = Self::set(source, destination);
        let ways = &mut self.pairs[set..set + WAYS];
        let known = ways
            .iter()
            .position(|pair| pair.used && (pair.source, pair.destination) == (source, destination));
        let place = known.unwrap_or_else(|| {
            let until = |way: &usize| {
                if ways[*way].used {
                    ways[*way].until()
                } else {
                    f32::MIN
                }
            };
            let mut oldest = 0;
            for way in 1..WAYS {
                if until(&way) < until(&oldest) {
                    oldest = way;
                }
            }
            ways[oldest] = Pair {
                source,
                destination,
                last: now,
                end: now,
                sent_at: now,
                used: true,
                ..Pair::NONE
            };
            oldest
        });
        (&mut ways[place], known.is_some())
    }
}
