//! What is saved of the visits: eight bytes of magic and version, and the pairs one after the other.
//!
//! All numbers are little-endian: the addresses, the times, what was sent, the number of gaps, the place of the next one,
//! and the gaps. A full memory has 3.6 MB.

use crate::visits::{GAPS, Pair, Visits};

/// Name and version of the format; another layout gets another last byte.
const MAGIC: [u8; 8] = *b"NSRHYV\0\x01";

/// Why a saved memory cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It does not start with the magic bytes.
    #[error("this is no memory of rhythm of format 1")]
    Format,
    /// It ends within a pair.
    #[error("the memory is cut off")]
    CutOff,
    /// It holds what no memory can hold.
    #[error("the memory holds a pair of hosts that cannot be")]
    Content,
}

impl Visits {
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for pair in self.remembered() {
            for number in [pair.source, pair.destination, pair.last, pair.end, pair.sent_at] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(pair.sent.to_le_bytes());
            bytes.extend([pair.count, pair.next]);
            bytes.extend(pair.gaps().iter().flat_map(|gap| gap.to_le_bytes()));
        }
        bytes
    }

    pub(crate) fn restore(bytes: &[u8]) -> Result<Self, StateError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(StateError::Format)?;
        let mut visits = Self::new();
        while !rest.is_empty() {
            let (source, destination) = (number(&mut rest)?, number(&mut rest)?);
            let mut pair = Pair::new(source, destination, number(&mut rest)?);
            (pair.end, pair.sent_at) = (number(&mut rest)?, number(&mut rest)?);
            pair.sent = float(&mut rest)?;
            let [count, next] = take(&mut rest)?;
            for _ in 0..count {
                let gap = float(&mut rest)?;
                if !(gap > 0.0 && gap.is_finite()) {
                    return Err(StateError::Content);
                }
                pair.push(gap);
            }
            let is_next = if usize::from(count) < GAPS {
                next == count
            } else {
                usize::from(count) == GAPS && usize::from(next) < GAPS
            };
            pair.next = next;
            let is_sound = is_next && pair.last <= pair.end && pair.sent >= 0.0 && pair.sent.is_finite();
            if !is_sound || !visits.put_back(pair) {
                return Err(StateError::Content);
            }
        }
        Ok(visits)
    }
}

fn take<const COUNT: usize>(rest: &mut &[u8]) -> Result<[u8; COUNT], StateError> {
    let (taken, after) = rest.split_first_chunk().ok_or(StateError::CutOff)?;
    *rest = after;
    Ok(*taken)
}

fn number(rest: &mut &[u8]) -> Result<u64, StateError> {
    take(rest).map(u64::from_le_bytes)
}

fn float(rest: &mut &[u8]) -> Result<f32, StateError> {
    take(rest).map(f32::from_le_bytes)
}
