//! Density of a mixture, several components at a time.

use crate::artifact::Component;
use crate::maths::{exp2, log2};

/// Components that are evaluated at once.
const LANES: usize = 8;
type Lanes = [f32; LANES];

/// The components of a mixture, laid out for evaluation.
#[derive(Debug, Clone)]
pub struct Mixture {
    width: usize,
    components: usize,
    /// For each eight components: constants, then means, then whitening matrices.
    lanes: Vec<Lanes>,
    /// For each nominal column: length of its table of codes, then for each eight components the table.
    nominals: Vec<Table>,
    /// The logarithm of the density of each component, for the row at hand.
    logarithms: Vec<Lanes>,
}

#[derive(Debug, Clone)]
struct Table {
    codes: usize,
    entries: Vec<Lanes>,
}

impl Mixture {
    /// Lays out components of `width` numbers each. Tables that lack codes are filled with their last entry; what
    /// lacks in means and matrices is taken for 0 (a [`Scorer`](crate::Scorer) refuses such models before).
    pub fn new(width: usize, components: &[Component]) -> Self {
        let blocks: Vec<&[Component]> = components.chunks(LANES).collect();
        let spread = |block: &[Component], of: &dyn Fn(&Component) -> f32, missing: f32| {
            let mut lanes = [missing; LANES];
            for (lane, component) in lanes.iter_mut().zip(block) {
                *lane = of(component);
            }
            lanes
        };
        let mut lanes = Vec::new();
        for block in &blocks {
            // Components that are not there have no density.
            lanes.push(spread(block, &|component| component.constant, f32::NEG_INFINITY));
            for column in 0..width {
                let mean = |component: &Component| component.mean.get(column).copied().unwrap_or_default();
                lanes.push(spread(block, &mean, 0.0));
            }
            for entry in 0..triangle(width) {
                let factor =
                    |component: &Component| component.whitening.get(entry).copied().unwrap_or_default();
                lanes.push(spread(block, &factor, 0.0));
            }
        }
        let nominals = components.first().map_or(0, |first| first.nominals.len());
        let table = |nominal: usize| {
            let of = |component: &Component, code: usize| {
                let table = component.nominals.get(nominal);
                let entry = table.and_then(|table| table.get(code).or(table.last()));
                entry.copied().unwrap_or_default()
            };
            let lengths = components
                .iter()
                .map(|component| component.nominals.get(nominal).map_or(0, Vec::len));
            let codes = lengths.max().unwrap_or_default().max(1);
            let entries = blocks
                .iter()
                .flat_map(|block| (0..codes).map(|code| spread(block, &|component| of(component, code), 0.0)))
                .collect();
            Table { codes, entries }
        };
        Self {
            width,
            components: components.len(),
            lanes,
            nominals: (0..nominals).map(table).collect(),
            logarithms: vec![[0.0; LANES]; blocks.len()],
        }
    }

    /// Minus the logarithm of the density at a row; finite for finite rows.
    pub fn energy(&mut self, numbers: &[f32], codes: &[u16]) -> f32 {
        self.evaluate(numbers, codes);
        let mut highest = f32::NEG_INFINITY;
        for &logarithm in self.logarithms.as_flattened() {
            highest = if logarithm > highest { logarithm } else { highest };
        }
        // Every component is infinitely unlikely: as far as a distance may be.
        if highest < -1e30 {
            return 1e30;
        }
        let mut sums = [0.0f32; LANES];
        for logarithms in &self.logarithms {
            for (sum, logarithm) in sums.iter_mut().zip(logarithms) {
                *sum += exp2((logarithm - highest) * std::f32::consts::LOG2_E);
            }
        }
        let sum: f32 = sums.iter().fold(0.0, |sum, lane| sum + lane);
        // The highest one has added 1.
        -highest - log2(sum) * std::f32::consts::LN_2
    }

    /// The component that a row most likely comes from.
    pub fn likeliest(&mut self, numbers: &[f32], codes: &[u16]) -> usize {
        self.evaluate(numbers, codes);
        let logarithms = self.logarithms.as_flattened().iter().take(self.components);
        let mut likeliest = (0, f32::NEG_INFINITY);
        for (component, &logarithm) in logarithms.enumerate() {
            if logarithm > likeliest.1 {
                likeliest = (component, logarithm);
            }
        }
        likeliest.0
    }

    fn evaluate(&mut self, numbers: &[f32], codes: &[u16]) {
        let width = self.width;
        let stride = 1 + width + triangle(width);
        for (block, (lanes, logarithms)) in self
            .lanes
            .chunks_exact(stride)
            .zip(&mut self.logarithms)
            .enumerate()
        {
            let (head, factors) = lanes.split_at(1 + width);
            let (constants, means) = (&head[0], &head[1..]);
            let mut squares = [0.0f32; LANES];
            let mut rest = factors;
            for row in 0..width {
                let (factors, after) = rest.split_at(row + 1);
                rest = after;
                let mut whitened = [0.0f32; LANES];
                for ((factor, mean), &number) in factors.iter().zip(means).zip(numbers) {
                    for lane in 0..LANES {
                        whitened[lane] += factor[lane] * (number - mean[lane]);
                    }
                }
                for lane in 0..LANES {
                    squares[lane] += whitened[lane] * whitened[lane];
                }
            }
            for lane in 0..LANES {
                logarithms[lane] = constants[lane] - 0.5 * squares[lane];
            }
            for (table, &code) in self.nominals.iter().zip(codes) {
                let code = usize::from(code).min(table.codes - 1);
                let entry = &table.entries[block * table.codes + code];
                for lane in 0..LANES {
                    logarithms[lane] += entry[lane];
                }
            }
        }
    }
}

/// Entries of a lower triangular matrix.
pub(crate) fn triangle(width: usize) -> usize {
    width * (width + 1) / 2
}
