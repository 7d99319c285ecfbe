//! Fitting a mixture by expectation maximisation (Dempster, Laird and Rubin, 1977): Gaussians over the numbers, and in
//! each component an independent distribution of each nominal column.

use std::collections::BTreeMap;

use netsage_context_knn::Component;
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;

use super::table::Table;
use crate::preparation::TrainError;

/// Times that a mixture is fitted.
const BEGINNINGS: usize = 5;
/// Passes over the rows at most.
const MOST_PASSES: usize = 100;
/// Passes end when the mean logarithm of the density gains less than this.
const LEAST_GAIN: f64 = 1e-3;
/// Rows of the whole population that are mixed into each distribution of codes, so that none is impossible.
const PRIOR_ROWS: f64 = 1.0;
/// A smaller share of a row moves no component.
const LEAST_SHARE: f64 = 1e-9;

/// Rows as a mixture sees them: equal ones once, with their number.
pub(super) struct Sample {
    width: usize,
    nominals: usize,
    rows: usize,
    /// Numbers in standard deviations, row-major.
    numbers: Vec<f64>,
    /// Codes of nominal columns, row-major.
    codes: Vec<u16>,
    /// How often each row occurs.
    weights: Vec<f64>,
}

impl Sample {
    /// The columns `positions` of a table's rows.
    pub(super) fn new(table: &Table, positions: &[usize]) -> Self {
        let mut counts: BTreeMap<(Vec<u16>, Vec<u32>), usize> = BTreeMap::new();
        for row in 0..table.len() {
            let numbers = positions
                .iter()
                .map(|&position| table.numbers(row)[position].to_bits());
            *counts
                .entry((table.codes(row).to_vec(), numbers.collect()))
                .or_default() += 1;
        }
        let numbers = counts.keys().flat_map(|(_, numbers)| numbers);
        Self {
            width: positions.len(),
            nominals: table.nominals.len(),
            rows: counts.len(),
            numbers: numbers.map(|&bits| f64::from(f32::from_bits(bits))).collect(),
            codes: counts
                .keys()
                .flat_map(|(codes, _)| codes.iter().copied())
                .collect(),
            weights: counts.values().map(|&count| count as f64).collect(),
        }
    }
}

/// What is asked of a mixture.
pub(super) struct Shape {
    pub(super) components: usize,
    /// Added to every variance, in squared standard deviations.
    pub(super) least_variance: f64,
}

struct Fitted {
    /// Logarithm of its weight and of the Gaussian's factor.
    constant: f64,
    mean: Vec<f64>,
    /// Inverse of the lower Cholesky factor, full rows.
    whitening: Vec<f64>,
    /// For each nominal column the logarithm of the probability of each code.
    nominals: Vec<Vec<f64>>,
}

/// Fits a mixture a few times and keeps the likeliest: where expectation maximisation ends depends on where it begins.
/// `pass` hears of each pass and its mean logarithm of the density, and may end the training.
pub(super) fn fit(
    table: &Sample,
    shape: &Shape,
    random: &mut ChaCha8Rng,
    pass: &mut dyn FnMut(usize, f64) -> Result<(), TrainError>,
) -> Result<Vec<Component>, TrainError> {
    let (rows, width, count) = (table.rows, table.width, shape.components);
    let lengths: Vec<usize> = (0..table.nominals)
        .map(|nominal| {
            let codes = table.codes.iter().skip(nominal).step_by(table.nominals);
            // One entry more, for all codes that training never saw.
            codes.copied().max().map_or(0, usize::from) + 2
        })
        .collect();
    let population: f64 = table.weights.iter().sum();
    let (mut likeliest, mut highest) = (Vec::new(), f64::NEG_INFINITY);
    for _ in 0..BEGINNINGS {
        let mut shares = seeds(table, count, random);
        let mut last = f64::NEG_INFINITY;
        for number in 0..MOST_PASSES {
            let components = maximise(table, shape, &lengths, &shares);
            let mut sum = 0.0;
            let mut difference = vec![0.0; width];
            for row in 0..rows {
                let shares = &mut shares[row * count..][..count];
                sum += table.weights[row] * share_out(table, row, &components, &mut difference, shares);
            }
            let mean = sum / population;
            pass(number + 1, mean)?;
            if mean > highest {
                (likeliest, highest) = (components, mean);
            }
            if mean - last < LEAST_GAIN {
                break;
            }
            last = mean;
        }
    }
    Ok(likeliest
        .iter()
        .map(|component| stored(component, width))
        .collect())
}

/// Shares of each component in each row to begin with: centres as k-means++ draws them (Arthur and Vassilvitskii, 2007),
/// among few rows; each row belongs to the nearest.
fn seeds(table: &Sample, count: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let (rows, width) = (table.rows, table.width);
    let square = |a: usize, b: usize| -> f64 {
        let numbers = |row: usize| &table.numbers[row * width..][..width];
        let codes = |row: usize| &table.codes[row * table.nominals..][..table.nominals];
        let apart: f64 = numbers(a)
            .iter()
            .zip(numbers(b))
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        // Another code is as far as two standard deviations.
        apart + 4.0 * codes(a).iter().zip(codes(b)).filter(|(a, b)| a != b).count() as f64
    };
    let mut nearest = vec![(f64::INFINITY, 0usize); rows];
    let mut centre = random.random_range(0..rows);
    for component in 0..count {
        let mut sum = 0.0;
        for (row, nearest) in nearest.iter_mut().enumerate() {
            let square = square(row, centre);
            if square < nearest.0 {
                *nearest = (square, component);
            }
            sum += table.weights[row] * nearest.0;
        }
        // A uniform number without the platform's arithmetic: 53 bits.
        let unit = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = unit * sum;
        centre = nearest
            .iter()
            .zip(&table.weights)
            .position(|(nearest, weight)| {
                left -= weight * nearest.0;
                left < 0.0
            })
            .unwrap_or(rows - 1);
    }
    let mut shares = vec![0.0; rows * count];
    for (shares, (_, component)) in shares.chunks_exact_mut(count).zip(nearest) {
        shares[component] = 1.0;
    }
    shares
}

fn maximise(table: &Sample, shape: &Shape, lengths: &[usize], shares: &[f64]) -> Vec<Fitted> {
    let (rows, width, count) = (table.rows, table.width, shape.components);
    let total: f64 = table.weights.iter().sum();
    let population = distribution(table, lengths, |row| table.weights[row], None);
    (0..count)
        .map(|component| {
            let share = |row: usize| table.weights[row] * shares[row * count + component];
            let mass: f64 = (0..rows).map(share).sum::<f64>() + 1e-9;
            let mut mean = vec![0.0; width];
            for row in 0..rows {
                let share = share(row);
                if share > LEAST_SHARE {
                    for (mean, number) in mean.iter_mut().zip(&table.numbers[row * width..]) {
                        *mean += share * number;
                    }
                }
            }
            mean.iter_mut().for_each(|mean| *mean /= mass);
            let mut covariance = vec![0.0; width * width];
            let mut difference = vec![0.0; width];
            for row in 0..rows {
                let share = share(row);
                if share <= LEAST_SHARE {
                    continue;
                }
                for ((difference, number), mean) in difference
                    .iter_mut()
                    .zip(&table.numbers[row * width..])
                    .zip(&mean)
                {
                    *difference = number - mean;
                }
                for (i, covariance) in covariance.chunks_exact_mut(width.max(1)).enumerate() {
                    let scaled = share * difference[i];
                    for (covariance, difference) in covariance.iter_mut().zip(&difference[..=i]) {
                        *covariance += scaled * difference;
                    }
                }
            }
            covariance.iter_mut().for_each(|entry| *entry /= mass);
            for i in 0..width {
                covariance[i * width + i] += shape.least_variance;
            }
            let (whitening, factor) = invert(&covariance, width);
            let mut nominals = distribution(table, lengths, share, Some(&population));
            for mass in nominals.iter_mut().flatten() {
                *mass = mass.ln();
            }
            Fitted {
                constant: (mass / total).ln() + factor - 0.5 * width as f64 * std::f64::consts::TAU.ln(),
                mean,
                whitening,
                nominals,
            }
        })
        .collect()
}

/// The distribution of codes, with the population's mixed in; the population itself has half a row of every code.
fn distribution(
    table: &Sample,
    lengths: &[usize],
    share: impl Fn(usize) -> f64,
    population: Option<&[Vec<f64>]>,
) -> Vec<Vec<f64>> {
    lengths
        .iter()
        .enumerate()
        .map(|(nominal, &length)| {
            let mut masses = match population {
                Some(population) => population[nominal]
                    .iter()
                    .map(|share| share * PRIOR_ROWS)
                    .collect(),
                None => vec![0.5; length],
            };
            for row in 0..table.rows {
                masses[usize::from(table.codes[row * table.nominals + nominal])] += share(row);
            }
            let sum: f64 = masses.iter().sum();
            masses.iter().map(|mass| mass / sum).collect()
        })
        .collect()
}

/// The inverse of the lower Cholesky factor of a matrix whose lower half is given, and the sum of the logarithms of its
/// diagonal.
fn invert(covariance: &[f64], width: usize) -> (Vec<f64>, f64) {
    let mut lower = vec![0.0; width * width];
    for i in 0..width {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i * width + k] * lower[j * width + k]).sum();
            let left = covariance[i * width + j] - known;
            lower[i * width + j] = if i == j {
                // Rounding must not make a variance vanish.
                left.max(1e-12).sqrt()
            } else {
                left / lower[j * width + j]
            };
        }
    }
    let mut inverse = vec![0.0; width * width];
    for j in 0..width {
        inverse[j * width + j] = 1.0 / lower[j * width + j];
        for i in j + 1..width {
            let known: f64 = (j..i)
                .map(|k| lower[i * width + k] * inverse[k * width + j])
                .sum();
            inverse[i * width + j] = -known / lower[i * width + i];
        }
    }
    let factor = (0..width).map(|i| inverse[i * width + i].ln()).sum();
    (inverse, factor)
}

/// Writes the shares of the components in a row; gives the logarithm of its density.
fn share_out(
    table: &Sample,
    row: usize,
    components: &[Fitted],
    difference: &mut [f64],
    shares: &mut [f64],
) -> f64 {
    let width = table.width;
    let mut highest = f64::NEG_INFINITY;
    for (component, share) in components.iter().zip(shares.iter_mut()) {
        for ((difference, number), mean) in difference
            .iter_mut()
            .zip(&table.numbers[row * width..])
            .zip(&component.mean)
        {
            *difference = number - mean;
        }
        let mut square = 0.0;
        for i in 0..width {
            let factors = &component.whitening[i * width..][..=i];
            let whitened: f64 = factors
                .iter()
                .zip(&*difference)
                .map(|(factor, difference)| factor * difference)
                .sum();
            square += whitened * whitened;
        }
        let mut logarithm = component.constant - 0.5 * square;
        for (nominal, logarithms) in component.nominals.iter().enumerate() {
            logarithm += logarithms[usize::from(table.codes[row * table.nominals + nominal])];
        }
        *share = logarithm;
        highest = highest.max(logarithm);
    }
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = (*share - highest).exp();
        sum += *share;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
    highest + sum.ln()
}

fn stored(component: &Fitted, width: usize) -> Component {
    let rows = component.whitening.chunks_exact(width.max(1)).enumerate();
    Component {
        constant: component.constant as f32,
        mean: component.mean.iter().map(|&mean| mean as f32).collect(),
        whitening: rows
            .flat_map(|(i, row)| &row[..=i])
            .map(|&factor| factor as f32)
            .collect(),
        nominals: component
            .nominals
            .iter()
            .map(|logarithms| logarithms.iter().map(|&logarithm| logarithm as f32).collect())
            .collect(),
    }
}
