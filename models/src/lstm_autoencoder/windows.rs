//! Which rows are learned side by side and one after the other.

use std::collections::BTreeMap;

use ndarray::Array2;
use netsage_lstm_autoencoder::WINDOW;
use netsage_schema::Identity;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::network::Batch;

/// The windows of a pass over the rows: each row is in one of them, half of the rows alone.
#[derive(Debug)]
pub(super) struct Windows {
    /// Rows that are learned alone.
    alone: Vec<u32>,
    /// Rows that are learned together, the oldest first.
    together: Vec<Vec<u32>>,
}

/// The sources of rows, numbered as they come; `None` where nobody knows them.
pub(super) fn sources(identities: &[Identity]) -> Option<Vec<u64>> {
    let mut known = BTreeMap::new();
    let number = |identity: &Identity| {
        let next = known.len() as u64;
        *known.entry(identity.source).or_insert(next)
    };
    (!identities.is_empty()).then(|| identities.iter().map(number).collect())
}

impl Windows {
    /// Draws the windows of a pass. `rows` are numbers of rows in the order in which they ended; `sources` and `counted`
    /// are of all rows. Rows that do not count are only ever what came before others.
    ///
    /// Of known sources the rows together are real histories. Rows without a known source form histories in their
    /// order: such histories carry no information, and teach the network that histories may, so that a real history is
    /// no surprise.
    pub(super) fn draw(
        rows: &[usize],
        sources: Option<&[u64]>,
        counted: &[bool],
        random: &mut ChaCha8Rng,
    ) -> Self {
        let mut histories: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let mut nobodys = Vec::new();
        for &row in rows {
            let number =
                u32::try_from(row).expect("rows of 100 bytes and more fill the memory before 2^32 of them");
            match sources {
                Some(sources) => histories.entry(sources[row]).or_default().push(number),
                None => nobodys.push(number),
            }
        }
        nobodys.shuffle(random);
        let mut windows: Vec<Vec<u32>> = nobodys.chunks(WINDOW).map(<[u32]>::to_vec).collect();
        for history in histories.values() {
            // Windows begin anywhere, otherwise the same flow would always be the first.
            let first = random.random_range(0..WINDOW).min(history.len());
            let (first, rest) = history.split_at(first);
            let parts = std::iter::once(first).chain(rest.chunks(WINDOW));
            windows.extend(parts.filter(|part| !part.is_empty()).map(<[u32]>::to_vec));
        }
        windows.shuffle(random);
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        let counts = |row: &u32| counted[*row as usize];
        let mut rest = rows.len() / 2;
        for window in windows {
            if window.len() > 1 && rest >= window.len() && window.iter().any(counts) {
                rest -= window.len();
                together.push(window);
            } else {
                alone.extend(window.into_iter().filter(counts));
            }
        }
        alone.shuffle(random);
        Self { alone, together }
    }

    /// Batches of about `size` rows, in random order.
    pub(super) fn batches(&self, size: usize, random: &mut ChaCha8Rng) -> Vec<Plan<'_>> {
        let alone = self.alone.chunks(size).map(Plan::Alone);
        let together = self.together.chunks((size / WINDOW).max(1)).map(Plan::Together);
        let mut plans: Vec<Plan<'_>> = alone.chain(together).collect();
        plans.shuffle(random);
        plans
    }
}

/// The rows of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan<'a> {
    /// Windows of one.
    Alone(&'a [u32]),
    /// Longer ones.
    Together(&'a [Vec<u32>]),
}

impl<'a> Plan<'a> {
    /// How many of its rows count.
    pub(super) fn rows(self, counted: &[bool]) -> usize {
        let counts = |row: &&u32| counted[**row as usize];
        match self {
            Self::Alone(rows) => rows.len(),
            Self::Together(windows) => windows.iter().flatten().filter(counts).count(),
        }
    }

    /// Two halves, for two threads: the same on any number of processors.
    pub(super) fn halves(self) -> [Self; 2] {
        match self {
            Self::Alone(rows) => {
                let (first, second) = rows.split_at(rows.len() / 2);
                [first, second].map(Plan::Alone)
            }
            Self::Together(windows) => {
                let (first, second) = windows.split_at(windows.len() / 2);
                [first, second].map(Plan::Together)
            }
        }
    }

    /// The batch itself; none when there is no row.
    pub(super) fn batch(self, table: &Array2<f32>, counted: &[bool]) -> Option<Batch> {
        let (steps, windows) = match self {
            Self::Alone(rows) => (1, rows.len()),
            Self::Together(windows) => (windows.iter().map(Vec::len).max()?, windows.len()),
        };
        if windows == 0 {
            return None;
        }
        let mut input = Array2::zeros((steps * windows, table.ncols()));
        let mut counts = vec![false; steps * windows];
        let mut put = |step: usize, window: usize, row: u32| {
            let at = step * windows + window;
            input.row_mut(at).assign(&table.row(row as usize));
            counts[at] = counted[row as usize];
        };
        match self {
            Self::Alone(rows) => (0..).zip(rows).for_each(|(window, &row)| put(0, window, row)),
            Self::Together(all) => {
                for (window, rows) in all.iter().enumerate() {
                    (0..).zip(rows).for_each(|(step, &row)| put(step, window, row));
                }
            }
        }
        Some(Batch {
            steps,
            target: input.clone(),
            input,
            counts,
        })
    }
}

/// Random numbers of one pass; so nothing of them needs to be kept when a training is interrupted.
pub(super) fn random_of_pass(seed: u64, pass: u32) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(pass) + 1);
    random
}
