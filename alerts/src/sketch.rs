//! How many different entries there are, in bounded memory.

use sha2::{Digest, Sha256};

/// Entries that are counted exactly.
const EXACT: usize = 128;

/// Bits of a hash that choose its register.
const INDEX_BITS: u32 = 12;

/// Registers: the standard error is `1.04 / sqrt(4096)`, 1.6 %.
const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash whose leading zeros are counted.
const RANK_BITS: usize = 64 - INDEX_BITS as usize;

/// Counts different entries. The state depends on the set of entries alone: neither on their order, nor on repeats, nor
/// on how sketches of parts of the set were merged. So it may be stored, and be joined with the sketch of another writer.
///
/// Up to 128 entries are kept as hashes of 64 bits and counted exactly. Beyond that it is a HyperLogLog (Flajolet, Fusy,
/// Gandouet, Meunier, 2007) of 4,096 registers, read by the estimator of Ertl, "New cardinality estimation algorithms for
/// HyperLogLog sketches", arXiv:1702.01284, algorithm 6, which has no bias that tables would have to correct.
///
/// Entries are hashed by SHA-256 without a key, so that stores agree; whoever chooses many entries by their hashes can make
/// the estimate wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Hashes, rising.
    Few(Vec<u64>),
    /// Of each register, the highest rank of a hash: its leading zeros and one.
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            form: Form::Few(Vec::new()),
        }
    }
}

impl Sketch {
    /// Adds an entry; says whether that changed anything.
    pub fn insert(&mut self, entry: &[u8]) -> bool {
        let digest = Sha256::digest(entry);
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        self.insert_hash(u64::from_be_bytes(hash))
    }

    fn insert_hash(&mut self, hash: u64) -> bool {
        match &mut self.form {
            Form::Many(registers) => note(registers, hash),
            Form::Few(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else {
                    return false;
                };
                hashes.insert(place, hash);
                if hashes.len() > EXACT {
                    let mut registers = Box::new([0; REGISTERS]);
                    for hash in hashes {
                        note(&mut registers, *hash);
                    }
                    self.form = Form::Many(registers);
                }
                true
            }
        }
    }

    /// Adds the entries of another sketch; says whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let theirs = match &other.form {
            Form::Few(hashes) => {
                let mut changed = false;
                for hash in hashes {
                    changed |= self.insert_hash(*hash);
                }
                return changed;
            }
            Form::Many(theirs) => theirs,
        };
        let mut joined = theirs.clone();
        match &self.form {
            Form::Few(hashes) => {
                for hash in hashes {
                    note(&mut joined, *hash);
                }
            }
            Form::Many(ours) => {
                for (rank, ours) in joined.iter_mut().zip(ours.iter()) {
                    *rank = (*rank).max(*ours);
                }
            }
        }
        let joined = Form::Many(joined);
        let changed = joined != self.form;
        self.form = joined;
        changed
    }

    /// How many different entries there are: exact up to 128, an estimate beyond.
    pub fn count(&self) -> u64 {
        match &self.form {
            Form::Few(hashes) => hashes.len() as u64,
            Form::Many(registers) => estimate(registers).round() as u64,
        }
    }

    /// The sketch as it is stored: 8 bytes for each of up to 128 entries, otherwise 4,096 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.form {
            Form::Few(hashes) => hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect(),
            Form::Many(registers) => registers.to_vec(),
        }
    }

    /// Reads what [`Self::to_bytes`] gave; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(registers) = <[u8; REGISTERS]>::try_from(bytes) {
            let are_ranks = registers.iter().all(|rank| usize::from(*rank) <= RANK_BITS + 1);
            return are_ranks.then(|| Self {
                form: Form::Many(Box::new(registers)),
            });
        }
        let (hashes, rest) = bytes.as_chunks::<8>();
        let hashes: Vec<u64> = hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect();
        let is_one = rest.is_empty() && hashes.len() <= EXACT && hashes.is_sorted_by(|a, b| a < b);
        is_one.then_some(Self {
            form: Form::Few(hashes),
        })
    }
}

/// Notes a hash in its register; says whether that changed the register.
fn note(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let index = (hash >> RANK_BITS) as usize;
    // The bit behind those that are counted ends the count.
    let rest = hash << INDEX_BITS | 1 << (INDEX_BITS - 1);
    let rank = rest.leading_zeros() as u8 + 1;
    let changed = registers[index] < rank;
    registers[index] = registers[index].max(rank);
    changed
}

/// Ertl's algorithm 6. Additions, products and roots are rounded alike on every machine.
fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let mut of_rank = [0_u32; RANK_BITS + 2];
    for rank in registers {
        of_rank[usize::from(*rank)] += 1;
    }
    let size = REGISTERS as f64;
    let full = f64::from(of_rank[RANK_BITS + 1]);
    let mut sum = size * tau(1.0 - full / size);
    for count in of_rank[1..=RANK_BITS].iter().rev() {
        sum = 0.5 * (sum + f64::from(*count));
    }
    sum += size * sigma(f64::from(of_rank[0]) / size);
    size * size / (2.0 * std::f64::consts::LN_2 * sum)
}

/// The sum of `x^(2^k) * 2^(k - 1)` over all `k`, for a share `x` of registers that are empty.
fn sigma(mut x: f64) -> f64 {
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        // Also at once when all are empty and the sum has no end.
        if sum == before || factor.is_infinite() {
            return sum;
        }
    }
}

/// Its counterpart for a share `x` of registers that are not full.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(entries: impl IntoIterator<Item = u32>) -> Sketch {
        let mut sketch = Sketch::default();
        for entry in entries {
            sketch.insert(&entry.to_be_bytes());
        }
        sketch
    }

    #[test]
    fn counts_are_exact_at_first_and_close_beyond() {
        for count in [0, 1, 127, 128] {
            assert_eq!(of(0..count).count(), u64::from(count));
        }
        // Three standard errors.
        for count in [129, 1_000, 5_000, 12_000, 100_000, 1_000_000] {
            let off = of(0..count).count() as f64 / f64::from(count) - 1.0;
            assert!(off.abs() < 0.049, "{count}: {off}");
        }
    }

    #[test]
    fn the_same_entries_are_the_same_bytes_in_every_version() {
        use crate::text::to_hex;
        // By another program. Stores are full of such bytes.
        assert_eq!(
            to_hex(&of(0..3).to_bytes()),
            "433ebf5bc03dffa3b40711a88c703975df3f619804a92fdb"
        );
    }

    #[test]
    fn only_what_a_sketch_gave_is_read() {
        for sketch in [of(0..0), of(0..5), of(0..128), of(0..129), of(0..5_000)] {
            assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
        }
        for bytes in [vec![1; 7], vec![0; 16], vec![0; 129 * 8], vec![54; REGISTERS]] {
            assert_eq!(Sketch::from_bytes(&bytes), None, "{} bytes", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn only_the_set_counts(
            entries in prop::collection::vec(0_u32..400, 0..600),
            cuts in prop::array::uniform2(any::<prop::sample::Index>()),
        ) {
            let whole = of(entries.iter().copied());
            let mut cuts = cuts.map(|cut| cut.index(entries.len() + 1));
            cuts.sort_unstable();
            let mut joined = of(entries[cuts[1]..].iter().rev().copied());
            joined.join(&of(entries[..cuts[0]].iter().copied()));
            joined.join(&of(entries[cuts[0]..cuts[1]].iter().copied()));
            prop_assert_eq!(&whole, &joined);
            prop_assert!(!joined.join(&whole), "it had them all");
            prop_assert!(entries.iter().all(|entry| !joined.insert(&entry.to_be_bytes())));
        }
    }
}
