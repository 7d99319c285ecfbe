//! Training DBSCAN on ordinary flows: scales, `eps`, core points, and fewer of them.
//!
//! `eps` follows from the rows. The distances of rows to their `min_samples`-th neighbour, sorted, form a curve; `eps` is
//! the distance at its knee, the point farthest below the straight line between its ends. The last hundredth of the
//! curve is left out, since a few strange rows stretch it at will.

mod cluster;

use netsage_context_knn::index::{Cloud, Nearest, arrange};
use netsage_context_knn::{Group, Method, Points, Surprise};
use netsage_dbscan::{Model, Scorer};
use netsage_schema::{Column, Rows};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use cluster::{Clustering, cluster};

use crate::callbacks::Callbacks;
use crate::context_knn::references::{self, Shares};
use crate::context_knn::table::Table;
use crate::preparation::{Common, TrainError, Trained, gather};

/// Share of the k-distance curve, from its end, that does not decide about `eps`.
const LEFT_OUT: f64 = 0.01;
/// Smallest `eps`, in grid steps: the rows of a curve that is flat are equal, and differ by chance alone.
const LEAST_EPS: f32 = 1.0;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Rows within `eps` of a row, itself included, that make the row a core point; 2 to 256.
    pub min_samples: u16,
    /// The radius of a neighbourhood in standard deviations; from the rows when absent.
    pub eps: Option<f32>,
    /// Of two columns whose logarithms correlate more than this (Pearson, either sign) only the first is read; above 0
    /// and at most 1. Distances would otherwise count the same property several times.
    pub most_correlation: f64,
    /// Rows that are clustered, at even distances; equal ones count once. Clustering takes the square of their number.
    pub rows: u32,
    /// Core points within this part of `eps` of a kept one are left out; 0 to 1. A score is off by this part at most.
    pub condense: f32,
    /// Grid steps to a standard deviation, 1 to 4,096. Differences below one step do not count.
    pub resolution: f32,
    /// Distance in standard deviations of two rows that differ in one nominal column and in nothing else; at least
    /// `eps`, so that each context is clustered by itself.
    pub context_weight: f32,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            min_samples: 10,
            eps: None,
            most_correlation: 0.9,
            rows: 20_000,
            condense: 0.75,
            resolution: 32.0,
            context_weight: 4.25,
            common: Common::default(),
        }
    }
}

impl TrainOptions {
    fn check(&self) -> Result<(), TrainError> {
        let option = TrainError::unless;
        option(
            (2..=256).contains(&self.min_samples),
            "min_samples",
            "2 to 256",
            &self.min_samples,
        )?;
        if let Some(eps) = self.eps {
            option(eps > 0.0 && eps <= 100.0, "eps", "above 0 and at most 100", &eps)?;
        }
        let correlation = self.most_correlation;
        option(
            correlation > 0.0 && correlation <= 1.0,
            "most_correlation",
            "above 0 and at most 1",
            &correlation,
        )?;
        option(self.rows >= 100, "rows", "at least 100", &self.rows)?;
        option(
            (0.0..=1.0).contains(&self.condense),
            "condense",
            "0 to 1",
            &self.condense,
        )?;
        option(
            (1.0..=4_096.0).contains(&self.resolution),
            "resolution",
            "1 to 4096",
            &self.resolution,
        )?;
        let weight = self.context_weight;
        option(
            (0.0..=100.0).contains(&weight),
            "context_weight",
            "0 to 100",
            &weight,
        )
    }
}

/// Trains on `rows`, all taken for ordinary.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    rows: &Rows,
    options: &TrainOptions,
    callbacks: &mut dyn Callbacks,
) -> Result<Trained, TrainError> {
    let (common, schema) = (&options.common, rows.schema());
    common.check(rows)?;
    options.check()?;
    let mut selected = common.columns(schema)?;
    let mut random = ChaCha8Rng::seed_from_u64(common.seed);
    let [held_out, mut fitted] = common.split(rows, &mut random);
    fitted.sort_unstable();
    let table_of = |selected: &[usize]| -> Result<Table, TrainError> {
        let columns: Vec<&Column> = selected.iter().map(|&index| &schema.columns[index]).collect();
        let values = gather(rows, &fitted, selected)?;
        Ok(Table::new(&columns, &values, |_| false))
    };
    let kept = uncorrelated(&table_of(&selected)?, options.most_correlation);
    selected = kept.into_iter().map(|position| selected[position]).collect();
    let table = table_of(&selected)?;
    let positions: Vec<usize> = (0..table.columns.len())
        .filter(|&position| !table.columns[position].scale.is_nominal())
        .collect();
    if positions.is_empty() {
        return Err(TrainError::option("exclude", "a part of the numbers", "all"));
    }
    let distinct = (0..table.len()).filter(|&row| table.first[row]).collect();
    let shares = Shares {
        most: options.rows,
        least: usize::from(options.min_samples),
        // Density is what the clusters are made of.
        exponent: 1.0,
    };
    let drawn = references::draw(&table, distinct, shares, &mut random);
    let points = references::points(&table, &drawn, &positions, options.resolution);
    let width = positions.len();
    let steps = points.len() as u64 + 1;
    callbacks.step(0, steps, format_args!("k-distances"));
    let eps = match options.eps {
        Some(eps) => eps * options.resolution,
        None => knee(&points, width, options.min_samples),
    };
    let (mut cores, mut clusters, mut core_points) = (Vec::new(), 0, 0);
    for (number, points) in points.iter().enumerate() {
        if callbacks.interrupted() {
            return Err(TrainError::Interrupted);
        }
        callbacks.step(
            number as u64 + 1,
            steps,
            format_args!("{core_points} core points"),
        );
        let values: Vec<f64> = points.values.iter().map(|&value| f64::from(value)).collect();
        let found = cluster(
            &values,
            width,
            &points.counts,
            f64::from(eps),
            u64::from(options.min_samples),
        );
        clusters += found.clusters;
        core_points += found.core.iter().filter(|&&core| core).count();
        cores.push(condense(points, &found.core, width, options.condense * eps));
    }
    if core_points == 0 {
        let range = "large enough for a core point among the rows";
        return Err(TrainError::option("eps", range, eps / options.resolution));
    }
    let penalty = (options.context_weight * options.resolution).max(eps);
    let model = Model {
        eps,
        min_samples: u32::from(options.min_samples),
        clusters,
        // Rows are fewer than 2^32.
        core_points: core_points as u32,
        cores: netsage_context_knn::Model {
            schema: schema.to_string(),
            columns: table.columns.clone(),
            resolution: options.resolution,
            contexts: table.contexts.clone(),
            groups: vec![Group {
                name: "core points".to_owned(),
                // Columns are at most 255.
                columns: positions.iter().map(|&position| position as u16).collect(),
                method: Method::Neighbours {
                    neighbours: 1,
                    penalties: vec![penalty; table.nominals.len()],
                    points: cores,
                },
                // Only explanations read it: what is nearer than `eps` counts too.
                surprise: Surprise {
                    knots: vec![(0.0, 0.0), (eps, 1.0)],
                    per_doubling: 1.0,
                },
            }],
        },
    };
    let held_out_values: Vec<f32> = gather(rows, &held_out, &selected)?.iter().copied().collect();
    let mut scores = Vec::with_capacity(held_out.len());
    Scorer::new(&model)
        .map_err(|error| TrainError::Artifact(error.to_string()))?
        .score_block(&held_out_values, held_out.len(), &mut scores)
        .map_err(|error| TrainError::Score(error.to_string()))?;
    callbacks.step(
        steps,
        steps,
        format_args!("{clusters} clusters, {core_points} core points"),
    );
    let names = table.columns.iter().map(|column| column.name.clone()).collect();
    Ok(Trained {
        detector: "dbscan",
        card: common.card(schema, names, fitted.len(), scores),
        artifact: model.encode(),
    })
}

/// Positions of the columns that say something that none before says; nominal columns stay.
fn uncorrelated(table: &Table, most: f64) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    // Columns are scaled to mean 0 and deviation 1, so that the mean product is the correlation.
    let correlation = |a: usize, b: usize| {
        let products = (0..table.len()).map(|row| {
            let numbers = table.numbers(row);
            f64::from(numbers[a]) * f64::from(numbers[b])
        });
        products.sum::<f64>() / table.len() as f64
    };
    for position in 0..table.columns.len() {
        let is_nominal = |position: usize| table.columns[position].scale.is_nominal();
        let repeats = |&other: &usize| !is_nominal(other) && correlation(other, position).abs() > most;
        if is_nominal(position) || !kept.iter().any(repeats) {
            kept.push(position);
        }
    }
    kept
}

/// `eps` from the curve of distances to the `min_samples`-th neighbour, the point itself included.
fn knee(points: &[Points], width: usize, min_samples: u16) -> f32 {
    let mut nearest = Nearest::new(u32::from(min_samples));
    let mut curve = Vec::new();
    for points in points {
        let values: Vec<f32> = points.values.iter().map(|&value| f32::from(value)).collect();
        let cloud = Cloud::new(width, &values, &points.counts, 0);
        for (row, &count) in values.chunks_exact(width).zip(&points.counts) {
            let mut query = row.to_vec();
            query.resize(width.next_multiple_of(4), 0.0);
            nearest.clear(f32::INFINITY);
            cloud.search(&query, 0.0, -1.0, &mut nearest);
            // Infinite where a context has fewer rows: such rows have no such neighbour.
            let distance = nearest.bound().sqrt();
            curve.extend(
                std::iter::repeat_n(distance, count as usize).filter(|distance| distance.is_finite()),
            );
        }
    }
    curve.sort_by(f32::total_cmp);
    curve.truncate((curve.len() as f64 * (1.0 - LEFT_OUT)).ceil() as usize);
    let (Some(&first), Some(&last)) = (curve.first(), curve.last()) else {
        return LEAST_EPS;
    };
    let below = |(place, distance): &(usize, f32)| {
        let line = first + (last - first) * (*place as f32 / (curve.len() - 1).max(1) as f32);
        line - distance
    };
    let turn = curve
        .iter()
        .copied()
        .enumerate()
        .max_by(|a, b| below(a).total_cmp(&below(b)));
    turn.map_or(LEAST_EPS, |(_, distance)| distance.max(LEAST_EPS))
}

/// Core points such that every one has a kept one within `radius`.
fn condense(points: &Points, core: &[bool], width: usize, radius: f32) -> Points {
    let rows: Vec<Vec<f32>> = points
        .values
        .chunks_exact(width)
        .zip(core)
        .filter(|(_, core)| **core)
        .map(|(row, _)| row.iter().map(|&value| f32::from(value)).collect())
        .collect();
    let mut kept: Vec<&[f32]> = Vec::new();
    for row in &rows {
        let square = |other: &[f32]| -> f32 { other.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum() };
        if !kept.iter().any(|other| square(other) <= radius * radius) {
            kept.push(row);
        }
    }
    let values: Vec<f32> = kept.concat();
    let mut order: Vec<u32> = (0..).take(kept.len()).collect();
    arrange(width, &values, &mut order);
    Points {
        // They came from a grid of `i16`.
        values: order
            .iter()
            .flat_map(|&row| kept[row as usize])
            .map(|&value| value as i16)
            .collect(),
        counts: vec![1; kept.len()],
    }
}
