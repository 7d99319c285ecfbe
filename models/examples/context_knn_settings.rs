//! Chooses settings of `context-knn` by ordinary rows alone, and prints how much each matters.
//!
//! `cargo run --release -p netsage-models --example context_knn_settings -- ORDINARY.csv.gz`
//!
//! Settings are drawn at random from [`DESIGN`]. A model of each is trained on three quarters of the rows, in the order
//! of collection, and has to tell the rows of the quarter left out from made-up rows. A made-up row is a row of that
//! quarter in which each column is taken from another row with a probability drawn for the row. Made-up rows range from
//! rows with one odd column to rows whose columns have nothing to do with each other (the artificial class of T.
//! Hastie, R. Tibshirani and J. Friedman, *The Elements of Statistical Learning*, 2nd edition, section 14.2.4). AUROC
//! over the quarters is taken apart into a part for each value of each setting (additively, by least squares). Of the
//! values within one standard error of the best, the value nearest to the middle of the list is chosen (the rule of one
//! standard error, section 7.10 there).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example reports on the terminal"
)]

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use netsage_context_knn::Scorer;
use netsage_models::context_knn::{GroupMethod, GroupOptions, NAMES, TrainOptions, by_kind, train};
use netsage_models::{NoCallbacks, metrics};
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{Rows, UNSW_NB15};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Settings that are tried. At 160, each value is tried at least 32 times.
const TRIED: usize = 160;
/// Parts of the rows that are left out in turn.
const QUARTERS: usize = 4;

/// A setting and the values that it may have, in order.
struct Factor {
    name: &'static str,
    values: &'static [f64],
}

const EXPONENT: usize = 0;
const STRETCHES: usize = 1;
const TAIL: usize = 2;
const PER_DOUBLING: usize = 3;
const RESOLUTION: usize = 4;
const DUPLICATES: usize = 5;
const AMOUNTS: usize = 6;

/// The settings that are chosen here. Other settings are not: five neighbours are a convention, the number of reference
/// rows is a matter of cost, the groups follow the meaning of the columns, and a context that weighs as much as three
/// columns is part of the method. A doubling beyond the tail adds at most 1, which is what `-ln p` of an ordinary row
/// is on average, lest one group speak louder than all others.
#[rustfmt::skip]
const DESIGN: [Factor; 7] = [
    Factor { name: "share exponent", values: &[0.5, 0.75, 1.0] },
    Factor { name: "stretches", values: &[4.0, 8.0, 16.0, 32.0, 64.0] },
    Factor { name: "tail", values: &[0.001, 0.003, 0.01, 0.03] },
    Factor { name: "surprise per doubling", values: &[0.0, 0.25, 0.5, 1.0] },
    Factor { name: "grid steps to a standard deviation", values: &[16.0, 32.0, 64.0] },
    Factor { name: "equal rows as often as they occur", values: &[0.0, 1.0] },
    Factor { name: "times to live as amounts", values: &[0.0, 1.0] },
];

/// For each factor the position of a value.
type Setting = [usize; DESIGN.len()];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path] = arguments.as_slice() else {
        bail!("give ORDINARY.csv.gz");
    };
    let rows = read(path)?;
    let folds: Vec<Fold> = (0..QUARTERS).map(|quarter| Fold::new(&rows, quarter)).collect();
    let settings = drawn();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, f64)>> {
        let mut found = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(setting) = settings.get(number) else {
                return Ok(found);
            };
            found.push((number, auroc(&folds, setting)?));
            eprintln!("{} of {TRIED}: {:.4}", number + 1, found[found.len() - 1].1);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<Result<Vec<(usize, f64)>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or_else(|_| bail!("a worker panicked")))
            .collect()
    });
    let mut aurocs = vec![0.0; TRIED];
    for found in found {
        for (number, auroc) in found? {
            aurocs[number] = auroc;
        }
    }
    report(&settings, &aurocs)
}

/// The settings: of each factor every value equally often, in an order of its own.
fn drawn() -> Vec<Setting> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut settings = vec![[0; DESIGN.len()]; TRIED];
    for (place, factor) in DESIGN.iter().enumerate() {
        let mut values: Vec<usize> = (0..TRIED).map(|number| number % factor.values.len()).collect();
        values.shuffle(&mut random);
        for (setting, value) in settings.iter_mut().zip(values) {
            setting[place] = value;
        }
    }
    settings
}

/// A quarter of the rows, made-up rows after it, and the rows to learn from.
struct Fold {
    learned: Rows,
    tested: Rows,
    is_made_up: Vec<bool>,
}

impl Fold {
    fn new(rows: &Rows, quarter: usize) -> Self {
        let left_out: Range<usize> = rows.len() * quarter / QUARTERS..rows.len() * (quarter + 1) / QUARTERS;
        let (mut learned, mut tested) = (Rows::new(&UNSW_NB15), Rows::new(&UNSW_NB15));
        for row in 0..rows.len() {
            let to = if left_out.contains(&row) {
                &mut tested
            } else {
                &mut learned
            };
            to.push(rows.row(row));
        }
        let count = tested.len();
        let mut random = ChaCha8Rng::seed_from_u64(quarter as u64);
        for row in 0..count {
            let share: f64 = random.random();
            let mut made_up = tested.row(row).to_vec();
            for (column, value) in made_up.iter_mut().enumerate() {
                if random.random_bool(share) {
                    *value = tested.row(random.random_range(0..count))[column];
                }
            }
            tested.push(&made_up);
        }
        let is_made_up = (0..tested.len()).map(|row| row >= count).collect();
        Self {
            learned,
            tested,
            is_made_up,
        }
    }
}

/// The mean AUROC of a setting over the quarters.
fn auroc(folds: &[Fold], setting: &Setting) -> Result<f64> {
    let options = options(setting);
    let mut sum = 0.0;
    for fold in folds {
        let trained = train(&fold.learned, &options, &mut NoCallbacks)?;
        let mut scorer = Scorer::decode(&trained.artifact)?;
        let columns = scorer.columns().iter();
        let columns =
            columns.map(|column| UNSW_NB15.index_of(&column.name).context("a column of the schema"));
        let columns = columns.collect::<Result<Vec<usize>>>()?;
        let values = fold
            .tested
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column] as f32));
        let values: Vec<f32> = values.collect();
        let mut scores = Vec::new();
        scorer.score_block(&values, fold.tested.len(), &mut scores)?;
        sum += metrics::auroc(&scores, &fold.is_made_up)?;
    }
    Ok(sum / folds.len() as f64)
}

fn options(setting: &Setting) -> TrainOptions {
    let value = |factor: usize| DESIGN[factor].values[setting[factor]];
    let mut options = TrainOptions {
        groups: by_kind(&UNSW_NB15),
        share_exponent: value(EXPONENT),
        stretches: value(STRETCHES) as usize,
        tail: value(TAIL),
        per_doubling: value(PER_DOUBLING) as f32,
        resolution: value(RESOLUTION) as f32,
        ..TrainOptions::default()
    };
    if value(AMOUNTS) > 0.0
        && let Some(method) = options.groups.first().map(|group| group.method)
    {
        options.groups.push(GroupOptions {
            name: "time to live".to_owned(),
            columns: NAMES.map(str::to_owned).to_vec(),
            method,
        });
    }
    for group in &mut options.groups {
        if let GroupMethod::Neighbours { duplicates, .. } = &mut group.method {
            *duplicates = value(DUPLICATES) > 0.0;
        }
    }
    options
}

/// The parts of AUROC: its mean, and of each factor the part of each value.
struct Parts {
    mean: f64,
    effects: Vec<Vec<f64>>,
}

impl Parts {
    /// Fits the additive model by Gauss-Seidel on its normal equations: factors are nearly orthogonal, so it is quick.
    fn fit(settings: &[Setting], aurocs: &[f64]) -> Self {
        let none = |factor: &Factor| vec![0.0; factor.values.len()];
        let mut parts = Self {
            mean: aurocs.iter().sum::<f64>() / aurocs.len() as f64,
            effects: DESIGN.iter().map(none).collect(),
        };
        for _ in 0..100 {
            for factor in 0..DESIGN.len() {
                for value in 0..DESIGN[factor].values.len() {
                    let of_value = settings
                        .iter()
                        .zip(aurocs)
                        .filter(|(setting, _)| setting[factor] == value);
                    let rests: Vec<f64> = of_value
                        .map(|(setting, auroc)| auroc - parts.of(setting))
                        .collect();
                    parts.effects[factor][value] += rests.iter().sum::<f64>() / rests.len() as f64;
                }
            }
        }
        parts
    }

    /// The AUROC that a setting should have.
    fn of(&self, setting: &Setting) -> f64 {
        let parts = setting
            .iter()
            .zip(&self.effects)
            .map(|(&value, effects)| effects[value]);
        self.mean + parts.sum::<f64>()
    }

    /// The standard deviation of what the parts do not explain.
    fn residual(&self, settings: &[Setting], aurocs: &[f64]) -> f64 {
        let rests = settings
            .iter()
            .zip(aurocs)
            .map(|(setting, auroc)| auroc - self.of(setting));
        let free: usize = DESIGN.iter().map(|factor| factor.values.len() - 1).sum();
        (rests.map(|rest| rest * rest).sum::<f64>() / (settings.len() - 1 - free) as f64).sqrt()
    }
}

/// Prints the part of each value in AUROC, and what is chosen.
fn report(settings: &[Setting], aurocs: &[f64]) -> Result<()> {
    let parts = Parts::fit(settings, aurocs);
    let (mean, residual) = (parts.mean, parts.residual(settings, aurocs));
    println!(
        "mean AUROC {mean:.4} over {} settings, residual {residual:.4}",
        settings.len()
    );
    for (factor, effects) in DESIGN.iter().zip(&parts.effects) {
        let count = factor.values.len() as f64;
        let best = effects.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Of the difference between two values, each of which an equal share of the settings has.
        let error = residual * (2.0 * count / settings.len() as f64).sqrt();
        let from_middle = |value: usize| (value as f64 - (count - 1.0) / 2.0).abs();
        let chosen = (0..effects.len())
            .filter(|&value| effects[value] >= best - error)
            .min_by(|&a, &b| from_middle(a).total_cmp(&from_middle(b)))
            .with_context(|| {
                format!(
                    "no value of `{}` has a part in AUROC that is a number",
                    factor.name
                )
            })?;
        let chosen = factor.values[chosen];
        let values = factor.values.iter().zip(effects);
        let values: Vec<String> = values
            .map(|(value, effect)| format!("{value}: {effect:+.4}"))
            .collect();
        println!(
            "{}: {chosen} ({}; standard error {error:.4})",
            factor.name,
            values.join(", ")
        );
    }
    Ok(())
}

fn read(path: &str) -> Result<Rows> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    let mut reader = Reader::new(BufReader::new(GzDecoder::new(file)), &UNSW_NB15)?;
    let mut rows = Rows::new(&UNSW_NB15);
    let mut row = CsvRow::default();
    while let Some(outcome) = reader.read_row(&mut row) {
        outcome?;
        rows.push(&row.values);
    }
    Ok(rows)
}
