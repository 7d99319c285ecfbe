//! Golden vectors: rows with the scores that a package must give to them.
//!
//! The packer runs a detector on rows made here and writes the scores beside them. A host that is about to use the
//! package scores the rows again and expects the same bits: this finds a package whose parts do not belong together,
//! and a host that computes otherwise, before the first flow is scored. The rows are scored in several
//! [passes](Golden::passes), cut into other blocks each time and in every order that the state key of the detector
//! allows, which finds a detector that counts calls, or whose scores depend on the cut of blocks.

use std::collections::VecDeque;
use std::fmt;

use netsage_schema::{Contexts, Kind, Schema, WantedContext};

use crate::MAX_COLUMNS;
use crate::file::PackageError;

/// Rows that golden vectors are made of when a package is packed.
pub const GOLDEN_ROWS: usize = 48;
/// Hosts among which the addresses of golden rows are drawn: few, so that a detector that remembers sources meets each
/// of them again.
pub const GOLDEN_HOSTS: u64 = 4;
/// The most rows of golden vectors: the passes over them, and so the time of a check, grow with the square.
pub const MAX_GOLDEN_ROWS: usize = 64;
/// First bytes of the section: name and version of its format.
const MAGIC: [u8; 8] = *b"NSGOLD\0\x02";
/// When the rows begin, and how far they lie apart, microseconds.
const FIRST_START: u64 = 1_000_000_000_000_000;
const STEP: u64 = 7_000_000;
/// Longest name of a column, bytes (a promise of the contract).
const MAX_NAME_BYTES: usize = 64;

/// How golden vectors differ from what a detector reads and gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoldenMismatch {
    /// The golden rows have other columns, or another context.
    #[error("the golden vectors are of other columns: {0}; pack the package again")]
    Columns(String),
    /// A score differs when all rows come in one block.
    #[error(
        "the detector gives row {row} of {rows} golden rows the score {found}, and {expected} is expected; its parts \
         do not belong together or it is no pure function: pack it again"
    )]
    Score {
        /// The first row that differs, from 0.
        row: usize,
        /// How many there are.
        rows: usize,
        /// What stands in the package.
        expected: String,
        /// What the detector gave.
        found: String,
    },
    /// A score differs when the rows come in another way.
    #[error(
        "the detector gives row {row} of {rows} golden rows the score {found} when they come {pass}, and {expected} when \
         they come in one block; scores may depend on what came before only as the state key says: mend the detector"
    )]
    Pass {
        /// The first row that differs, from 0.
        row: usize,
        /// How many there are.
        rows: usize,
        /// The way, in words.
        pass: String,
        /// The score in one block.
        expected: String,
        /// What the detector gave.
        found: String,
    },
}

/// Rows and the scores expected of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// Names of the input columns, in the order of the detector.
    pub columns: Vec<String>,
    /// The context that the detector asks for besides.
    pub context: WantedContext,
    /// The rows, row-major, as the detector gets them.
    pub rows: Vec<f32>,
    /// The context of the rows, one entry for each row; 0 where the detector does not ask for it.
    pub contexts: Contexts,
    /// One score for each row, exact to the bit.
    pub scores: Vec<f32>,
}

/// In which orders rows may come without a change of their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In every order: every row is scored on its own.
    Any,
    /// In every order that keeps the rows of each source in their order.
    BySource,
    /// In the given order only.
    Fixed,
}

/// One way in which the golden rows are given to a detector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The rows, by number, in the order in which they come.
    pub order: Vec<usize>,
    /// Rows of each block; together they are all.
    pub blocks: Vec<usize>,
}

impl fmt::Display for Pass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.blocks[..] {
            [_] => write!(formatter, "in one block")?,
            [first, second] => write!(formatter, "in blocks of {first} and {second}")?,
            _ => write!(formatter, "one by one")?,
        }
        if !self.order.is_sorted() {
            write!(formatter, ", in another order")?;
        }
        Ok(())
    }
}

impl Golden {
    /// The section's bytes. All numbers are little-endian: after name and version of the format the number of columns
    /// and of rows (`u32`), which context there is (`u8`: 1 for start times, 2 for sources, 4 for destinations), for each
    /// column the length of its name (`u8`) and the name, the rows (`f32`), the context lists that there are (`u64`), the
    /// scores (`f32`).
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for count in [self.columns.len(), self.scores.len()] {
            bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        let lists = [
            (self.context.start_time, self.contexts.starts()),
            (self.context.source, self.contexts.sources()),
            (self.context.destination, self.contexts.destinations()),
        ];
        let flags = lists.iter().enumerate();
        bytes.push(flags.map(|(bit, (wanted, _))| u8::from(*wanted) << bit).sum());
        for name in &self.columns {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend(self.rows.iter().flat_map(|value| value.to_le_bytes()));
        for (_, list) in lists.iter().filter(|(wanted, _)| *wanted) {
            bytes.extend(list.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes.extend(self.scores.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// Reads the section's bytes, which may come from anywhere.
    ///
    /// # Errors
    /// [`PackageError::Golden`] when they are damaged or exceed a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackageError> {
        let bad = |reason: &str| PackageError::Golden(reason.to_owned());
        let mut rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or_else(|| bad("they are not of format 2; pack the package again"))?;
        let cut_off = || bad("they are cut off");
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count).ok_or_else(cut_off)?;
            rest = after;
            Ok::<_, PackageError>(taken)
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let width = number(take(4)?) as usize;
        let count = number(take(4)?) as usize;
        let flags = number(take(1)?);
        if flags > 7 {
            return Err(bad("they have a context that there is not"));
        }
        if !(1..=MAX_COLUMNS).contains(&width) || !(1..=MAX_GOLDEN_ROWS).contains(&count) {
            return Err(bad("they have no row, no column, or too many of them"));
        }
        let mut columns = Vec::with_capacity(width);
        for _ in 0..width {
            let length = number(take(1)?) as usize;
            let name = std::str::from_utf8(take(length)?).map_err(|_| bad("a column's name is not text"))?;
            if length > MAX_NAME_BYTES {
                return Err(bad("a column's name is longer than 64 bytes"));
            }
            columns.push(name.to_owned());
        }
        let floats = |bytes: &[u8]| {
            let values: Vec<f32> = bytes
                .chunks_exact(size_of::<f32>())
                .map(|bytes| f32::from_bits(number(bytes) as u32))
                .collect();
            if values.iter().all(|value| value.is_finite()) {
                Ok(values)
            } else {
                Err(bad("a value is not finite"))
            }
        };
        let rows = floats(take(width * count * size_of::<f32>())?)?;
        let [start_time, source, destination] = [1, 2, 4].map(|bit| flags & bit != 0);
        let mut list = |wanted: bool| {
            if !wanted {
                return Ok(vec![0; count]);
            }
            let bytes = take(count * size_of::<u64>())?;
            Ok::<Vec<u64>, PackageError>(bytes.chunks_exact(size_of::<u64>()).map(number).collect())
        };
        let (starts, sources, destinations) = (list(start_time)?, list(source)?, list(destination)?);
        let mut contexts = Contexts::new();
        for ((start, source), destination) in starts.into_iter().zip(sources).zip(destinations) {
            contexts.push(start, source, destination);
        }
        let scores = floats(take(count * size_of::<f32>())?)?;
        if !rest.is_empty() {
            return Err(bad("bytes follow their end"));
        }
        Ok(Self {
            columns,
            context: WantedContext {
                start_time,
                source,
                destination,
            },
            rows,
            contexts,
            scores,
        })
    }

    /// The way in which the expected scores were made: all rows in one block and in their order.
    pub fn in_one_block(&self) -> Pass {
        let rows = self.scores.len();
        Pass {
            order: (0..rows).collect(),
            blocks: vec![rows],
        }
    }

    /// The passes over the rows; the first pass gives all rows [in one block](Golden::in_one_block). Every size of a
    /// block from 1 to the number of rows occurs.
    pub fn passes(&self, order: Order) -> Vec<Pass> {
        let rows = self.scores.len();
        let alone = vec![1; rows];
        let halves = (1..=rows / 2).map(|first| vec![first, rows - first]);
        let cuts = std::iter::once(vec![rows]).chain([alone]).chain(halves);
        cuts.enumerate()
            .map(|(number, blocks)| Pass {
                order: self.reordered(order, number),
                blocks,
            })
            .collect()
    }

    /// The rows in their order for every other pass, and else in one that the detector must not notice.
    fn reordered(&self, order: Order, number: usize) -> Vec<usize> {
        let rows = 0..self.scores.len();
        if number.is_multiple_of(2) {
            return rows.collect();
        }
        match order {
            Order::Fixed => rows.collect(),
            Order::Any => rows
                .rev()
                .cycle()
                .skip(number / 2)
                .take(self.scores.len())
                .collect(),
            Order::BySource => self.interleaved(1 + number / 2 % 3),
        }
    }

    /// The rows of all sources in turns, each source giving so many of its rows, in their order, at a time.
    fn interleaved(&self, at_a_time: usize) -> Vec<usize> {
        let mut queues: Vec<(Option<u64>, VecDeque<usize>)> = Vec::new();
        for row in 0..self.scores.len() {
            let source = self.source(row);
            match queues
                .iter_mut()
                .find(|(known, _)| source.is_some() && *known == source)
            {
                Some((_, queue)) => queue.push_back(row),
                None => queues.push((source, VecDeque::from([row]))),
            }
        }
        let mut order = Vec::with_capacity(self.scores.len());
        while order.len() < self.scores.len() {
            for (_, queue) in queues.iter_mut().rev() {
                order.extend(queue.drain(..at_a_time.min(queue.len())));
            }
        }
        order
    }

    /// The source of a row; `None` where the detector does not ask for it.
    fn source(&self, row: usize) -> Option<u64> {
        self.context.source.then(|| self.contexts.sources()[row])
    }

    /// Compares the scores that a detector gave in a pass with those expected, to the bit. `found` is in the order of the
    /// pass.
    ///
    /// # Errors
    /// [`GoldenMismatch::Score`] or [`GoldenMismatch::Pass`] for the first row whose score differs.
    pub fn compare(&self, pass: &Pass, found: &[f32]) -> Result<(), GoldenMismatch> {
        let given = || pass.order.iter().copied().zip(found);
        let Some((row, found)) = given().find(|(row, found)| self.scores[*row].to_bits() != found.to_bits())
        else {
            return Ok(());
        };
        let (rows, expected, found) = (self.scores.len(), self.scores[row].to_string(), found.to_string());
        Err(match pass.blocks[..] {
            [_] => GoldenMismatch::Score {
                row,
                rows,
                expected,
                found,
            },
            _ => GoldenMismatch::Pass {
                row,
                rows,
                pass: pass.to_string(),
                expected,
                found,
            },
        })
    }

    /// Compares the columns of the rows with those that a detector reads, in its order, and their context.
    ///
    /// # Errors
    /// [`GoldenMismatch::Columns`] when they differ.
    pub fn check_inputs(&self, wanted: &[&str], context: WantedContext) -> Result<(), GoldenMismatch> {
        if self.context != context {
            let shown = |context: WantedContext| context.names().collect::<Vec<_>>().join(", ");
            return Err(GoldenMismatch::Columns(format!(
                "the context [{}] where the detector reads [{}]",
                shown(self.context),
                shown(context)
            )));
        }
        if self.columns == wanted {
            return Ok(());
        }
        let differs = wanted
            .iter()
            .zip(&self.columns)
            .find(|(wanted, name)| wanted != name);
        Err(GoldenMismatch::Columns(match differs {
            Some((wanted, name)) => format!("`{name}` where the detector reads `{wanted}`"),
            None => format!(
                "{} columns where the detector reads {}",
                self.columns.len(),
                wanted.len()
            ),
        }))
    }
}

/// Rows without scores: values that spread over what the columns can hold, of flows between `hosts` sources and as many
/// destinations, so that few of them come again often. The same rows everywhere and always, since a package's bytes are
/// its identity. A column that the schema does not have is 0.
pub fn generate(
    columns: &[&str],
    context: WantedContext,
    schema: &Schema,
    rows: usize,
    hosts: u64,
) -> Golden {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        // Xorshift (Marsaglia, 2003). Whole numbers and divisions only: the logarithms of libraries differ.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) % below
    };
    let kinds: Vec<Option<Kind>> = columns
        .iter()
        .map(|name| schema.index_of(name).map(|index| schema.columns[index].kind))
        .collect();
    let mut values = Vec::with_capacity(rows * columns.len());
    let mut contexts = Contexts::new();
    for row in 0..rows {
        for kind in &kinds {
            let digits = |random: &mut dyn FnMut(u64) -> u64, most: u32| {
                let magnitude = 10_u64.pow(random(u64::from(most)) as u32);
                random(magnitude * 9) as f32
            };
            values.push(match kind {
                Some(Kind::Nominal(vocabulary)) => random(vocabulary.terms.len().max(1) as u64) as f32,
                Some(Kind::Flag) => random(2) as f32,
                Some(Kind::Count) => digits(&mut random, 6),
                Some(Kind::Continuous) => digits(&mut random, 9) / 1000.0,
                None => 0.0,
            });
        }
        let mut host = |wanted: bool| if wanted { random(hosts.max(1)) } else { 0 };
        let (source, destination) = (host(context.source), host(context.destination));
        let start = FIRST_START + STEP * row as u64;
        contexts.push(if context.start_time { start } else { 0 }, source, destination);
    }
    Golden {
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        context,
        rows: values,
        contexts,
        scores: vec![0.0; rows],
    }
}

#[cfg(test)]
mod tests {
    use netsage_schema::{Contexts, WantedContext};

    use super::{Golden, Order, Pass};

    const SOURCE: WantedContext = WantedContext {
        start_time: false,
        source: true,
        destination: false,
    };

    fn golden() -> Golden {
        let mut contexts = Contexts::new();
        contexts.push(0, 7, 0);
        contexts.push(0, u64::MAX, 0);
        Golden {
            columns: vec!["dur".to_owned(), "proto".to_owned()],
            context: SOURCE,
            rows: vec![1.5, 2.0, -0.0, 1e30],
            contexts,
            scores: vec![0.25, 0.5],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let golden = golden();
        assert_eq!(Golden::decode(&golden.encode()).as_ref(), Ok(&golden));
        let mut other = golden.scores.clone();
        let passes = golden.passes(Order::Any);
        assert_eq!(golden.compare(&passes[0], &other), Ok(()));
        other[1] = f32::from_bits(other[1].to_bits() + 1);
        let check = |pass: &Pass, found: &[f32], expected: &str| {
            let message = golden.compare(pass, found).unwrap_err().to_string();
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        };
        check(
            &passes[0],
            &other,
            "row 1 of 2 golden rows the score 0.50000006, and 0.5 is expected",
        );
        other.reverse();
        check(
            &passes[1],
            &other,
            "row 1 of 2 golden rows the score 0.50000006 when they come in blocks of 1 and 1, in another order",
        );
    }

    #[test]
    fn damage_is_told() {
        let whole = golden().encode();
        let check = |bytes: &[u8], expected: &str| {
            let message = Golden::decode(bytes).unwrap_err().to_string();
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        };
        for end in 8..whole.len() {
            check(&whole[..end], "cut off");
        }
        check(b"", "format 2");
        check(&[&whole[..], b"x"].concat(), "bytes follow");
        let changed = |place: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            bytes
        };
        check(&changed(8, 0), "no column");
        check(&changed(15, 0xff), "too many");
        check(&changed(16, 8), "context");
        check(&changed(18, 0xff), "not text");
        let last = whole.len() - 1;
        check(
            &changed(last, 0x7f)
                .iter()
                .enumerate()
                .map(|(place, byte)| if place == last - 1 { 0xff } else { *byte })
                .collect::<Vec<_>>(),
            "not finite",
        );
    }

    /// Golden rows of so many rows of these sources in turn.
    fn of_sources(rows: usize, sources: &[u64]) -> Golden {
        let mut contexts = Contexts::new();
        for &source in sources.iter().cycle().take(rows) {
            contexts.push(0, source, 0);
        }
        Golden {
            columns: vec!["dur".to_owned()],
            context: SOURCE,
            rows: vec![0.0; rows],
            contexts,
            scores: vec![0.0; rows],
        }
    }

    #[test]
    fn passes_have_every_size_of_block_and_keep_what_must_be_kept() {
        for rows in [1, 2, 3, 48, 64] {
            let golden = of_sources(rows, &[1, 2, 2, 3]);
            for order in [Order::Any, Order::BySource, Order::Fixed] {
                let passes = golden.passes(order);
                for size in 1..=rows {
                    assert!(
                        passes.iter().any(|pass| pass.blocks.contains(&size)),
                        "{size} of {rows}"
                    );
                }
                for pass in &passes {
                    assert_eq!(pass.blocks.iter().sum::<usize>(), rows);
                    let mut sorted = pass.order.clone();
                    sorted.sort_unstable();
                    assert!(sorted.into_iter().eq(0..rows), "{pass:?}");
                }
                let orders = || passes.iter().map(|pass| &pass.order);
                let is_in_order = |order: &Vec<usize>| order.is_sorted();
                match order {
                    Order::Fixed => assert!(orders().all(is_in_order)),
                    Order::Any => assert_eq!(orders().all(is_in_order), rows == 1),
                    Order::BySource => {
                        assert_eq!(orders().all(is_in_order), rows == 1);
                        for source in [1, 2, 3] {
                            let of_source = |row: &&usize| golden.contexts.sources()[**row] == source;
                            assert!(orders().all(|order| order.iter().filter(of_source).is_sorted()));
                        }
                    }
                }
            }
        }
    }
}
