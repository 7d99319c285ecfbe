//! Training nearest neighbours per group of columns: scales, reference points, mixtures, and what distances mean.
//!
//! The distribution of distances is measured as the model will be used: on rows of other hosts than those that the model
//! learned from. Datasets lie in the order of collection, so the fitted rows are cut into stretches, and each stretch is
//! measured against reference rows of the others. That gives less weight to groups whose distances differ from host to
//! host. Threshold and calibration come from held-out rows, which are drawn at random and take no part in any of this.

mod groups;
mod mixture;
pub(crate) mod references;
mod surprise;
pub(crate) mod table;

use netsage_context_knn::{Group, Method, Mixture, Model, Scorer, Surprise};
use netsage_schema::{Column, Rows};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use groups::{GroupMethod, GroupOptions, NAMES, by_kind};
use references::Shares;
use table::Table;

use crate::callbacks::Callbacks;
use crate::preparation::{Common, TrainError, Trained, gather};

/// How to train.
///
/// No label decides over the defaults. `models/examples/context_knn_settings.rs` chooses by ordinary rows: the share
/// exponent, the stretches, the tail, the surprise per doubling, the resolution, that equal rows count as often as they
/// occur, and that times to live are names. The other defaults are conventions and costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// The groups; those of [`by_kind`] when empty. Groups without a column that is read are left out.
    pub groups: Vec<GroupOptions>,
    /// Distance in standard deviations of two rows that differ in one nominal column and in nothing else; 0 to 100.
    pub context_weight: f32,
    /// Grid steps to a standard deviation, 1 to 4,096. Differences below one step do not count.
    pub resolution: f32,
    /// Distances that at least this share of ordinary rows exceed count as one, above 0 and at most 1: they are
    /// ordinary and need not be found exactly, which makes scoring faster.
    pub floor: f64,
    /// Stretches of rows that are measured against each other, 2 to 100; with 0 the distances of the held-out rows are
    /// taken.
    pub stretches: usize,
    /// Each context gets reference rows in proportion to this power of its number of rows: 1 divides by rows, 0 equally.
    pub share_exponent: f64,
    /// Share of the ordinary rows in the tail, those with the largest distances; above 0 and at most 0.5. Within the tail and
    /// beyond, surprise is extrapolated.
    pub tail: f64,
    /// How much surprise rises in the tail when a distance doubles, 0 to 10. Hill's estimates of the tails would let one
    /// far group outweigh all others together; 1 is the mean of `-ln p` over ordinary rows.
    pub per_doubling: f32,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            // Three columns of its own for each code, where two codes are the square root of 2 apart.
            context_weight: 4.25,
            resolution: 32.0,
            floor: 1.0,
            stretches: 16,
            share_exponent: 0.75,
            tail: 0.003,
            per_doubling: 1.0,
            common: Common::default(),
        }
    }
}

impl TrainOptions {
    fn check(&self) -> Result<(), TrainError> {
        let option = TrainError::unless;
        let weight = self.context_weight;
        option(
            (0.0..=100.0).contains(&weight),
            "context_weight",
            "0 to 100",
            &weight,
        )?;
        let resolution = self.resolution;
        option(
            (1.0..=4_096.0).contains(&resolution),
            "resolution",
            "1 to 4096",
            &resolution,
        )?;
        let floor = self.floor;
        option(
            floor > 0.0 && floor <= 1.0,
            "floor",
            "above 0 and at most 1",
            &floor,
        )?;
        let stretches = self.stretches;
        option(
            stretches == 0 || (2..=100).contains(&stretches),
            "stretches",
            "0 or 2 to 100",
            &stretches,
        )?;
        let exponent = self.share_exponent;
        option(
            (0.0..=1.0).contains(&exponent),
            "share_exponent",
            "0 to 1",
            &exponent,
        )?;
        let tail = self.tail;
        option(
            tail > 0.0 && tail <= 0.5,
            "tail",
            "above 0 and at most 0.5",
            &tail,
        )?;
        let per_doubling = self.per_doubling;
        option(
            (0.0..=10.0).contains(&per_doubling),
            "per_doubling",
            "0 to 10",
            &per_doubling,
        )?;
        option(
            self.groups.len() <= 64,
            "groups",
            "at most 64 of them",
            &self.groups.len(),
        )?;
        for group in &self.groups {
            match group.method {
                GroupMethod::Neighbours {
                    neighbours,
                    references,
                    ..
                } => {
                    option(
                        (1..=256).contains(&neighbours),
                        "neighbours",
                        "1 to 256",
                        &neighbours,
                    )?;
                    option(references >= 1, "references", "at least 1", &references)?;
                }
                GroupMethod::Mixture {
                    components,
                    least_variance,
                } => {
                    option(
                        (1..=256).contains(&components),
                        "components",
                        "1 to 256",
                        &components,
                    )?;
                    let sound = (1e-6..=100.0).contains(&least_variance);
                    option(sound, "least_variance", "0.000001 to 100", &least_variance)?;
                }
            }
        }
        Ok(())
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
    let groups = if options.groups.is_empty() {
        by_kind(schema)
    } else {
        options.groups.clone()
    };
    let unknown = groups
        .iter()
        .flat_map(|group| &group.columns)
        .find(|name| schema.index_of(name).is_none());
    if let Some(column) = unknown {
        let range = "made of columns of the schema";
        return Err(TrainError::option("groups", range, column));
    }
    let is_grouped = |name: &str| {
        groups
            .iter()
            .any(|group| group.columns.iter().any(|column| column == name))
    };
    let is_name = |column: &Column| NAMES.contains(&column.name) && !is_grouped(column.name);
    let is_used =
        |column: &Column| column.vocabulary().is_some() || is_name(column) || is_grouped(column.name);
    let mut selected = common.columns(schema)?;
    selected.retain(|&index| is_used(&schema.columns[index]));
    let mut random = ChaCha8Rng::seed_from_u64(common.seed);
    let [held_out, mut fitted] = common.split(rows, &mut random);
    // In the order of collection, for the stretches.
    fitted.sort_unstable();
    let columns: Vec<&Column> = selected.iter().map(|&index| &schema.columns[index]).collect();
    let values = gather(rows, &fitted, &selected)?;
    let table = Table::new(&columns, &values, is_name);
    let values: Vec<f32> = values.iter().copied().collect();

    let mut steps = Steps {
        done: 0,
        total: (groups.len() + options.stretches) as u64,
        callbacks,
    };
    let mut model = Model {
        schema: schema.to_string(),
        columns: table.columns.clone(),
        resolution: options.resolution,
        contexts: table.contexts.clone(),
        groups: Vec::new(),
    };
    let mut neighbours = Vec::new();
    for group in &groups {
        let positions = table.positions(&group.columns);
        if positions.is_empty() {
            steps.total -= 1;
            continue;
        }
        steps.next(format_args!("group `{}`", group.name))?;
        neighbours.push(group.method);
        model.groups.push(Group {
            name: group.name.clone(),
            method: fit(&table, &positions, group.method, options, &mut random, &mut steps)?,
            // Columns are at most 255.
            columns: positions.iter().map(|&position| position as u16).collect(),
            // Until the distances are known.
            surprise: Surprise {
                knots: vec![(0.0, 0.0), (1.0, 0.0)],
                per_doubling: 0.0,
            },
        });
    }
    if model.groups.is_empty() {
        return Err(TrainError::option(
            "groups",
            "groups with a column that is read",
            "empty",
        ));
    }
    let held_out_values: Vec<f32> = gather(rows, &held_out, &selected)?.iter().copied().collect();
    let distances = if options.stretches == 0 {
        let mut distances = Vec::new();
        let mut scorer = Scorer::new(&model).map_err(artifact_error)?;
        scorer
            .distances(&held_out_values, held_out.len(), &mut distances)
            .map_err(score_error)?;
        distances
    } else {
        measure(
            &model,
            &table,
            &values,
            &neighbours,
            options,
            &mut random,
            &mut steps,
        )?
    };
    let count = model.groups.len();
    for (place, group) in model.groups.iter_mut().enumerate() {
        let own = distances.iter().skip(place).step_by(count).copied().collect();
        group.surprise = surprise::fit(own, options);
    }
    let mut scores = Vec::with_capacity(held_out.len());
    Scorer::new(&model)
        .map_err(artifact_error)?
        .score_block(&held_out_values, held_out.len(), &mut scores)
        .map_err(score_error)?;
    steps.finish();
    let names = model.columns.iter().map(|column| column.name.clone()).collect();
    Ok(Trained {
        detector: "context-knn",
        card: common.card(schema, names, fitted.len(), scores),
        artifact: model.encode(),
    })
}

fn artifact_error(error: impl std::fmt::Display) -> TrainError {
    TrainError::Artifact(error.to_string())
}

fn score_error(error: impl std::fmt::Display) -> TrainError {
    TrainError::Score(error.to_string())
}

/// The steps of a training, reported to its callbacks.
struct Steps<'a> {
    done: u64,
    total: u64,
    callbacks: &'a mut dyn Callbacks,
}

impl Steps<'_> {
    /// The next step begins, unless the training is interrupted.
    fn next(&mut self, what: std::fmt::Arguments<'_>) -> Result<(), TrainError> {
        self.say(what)?;
        self.done += 1;
        Ok(())
    }

    /// Says how the step goes.
    fn say(&mut self, what: std::fmt::Arguments<'_>) -> Result<(), TrainError> {
        if self.callbacks.interrupted() {
            return Err(TrainError::Interrupted);
        }
        self.callbacks.step(self.done, self.total, what);
        Ok(())
    }

    fn finish(&mut self) {
        self.callbacks.step(self.total, self.total, format_args!("done"));
    }
}

fn fit(
    table: &Table,
    positions: &[usize],
    method: GroupMethod,
    options: &TrainOptions,
    random: &mut ChaCha8Rng,
    steps: &mut Steps<'_>,
) -> Result<Method, TrainError> {
    match method {
        GroupMethod::Neighbours {
            neighbours,
            duplicates,
            references,
        } => {
            let all = (0..table.len())
                .filter(|&row| duplicates || table.first[row])
                .collect();
            let drawn = references::draw(table, all, shares(references, neighbours, options), random);
            Ok(Method::Neighbours {
                neighbours,
                penalties: vec![options.context_weight * options.resolution; table.nominals.len()],
                points: references::points(table, &drawn, positions, options.resolution),
            })
        }
        GroupMethod::Mixture {
            components,
            least_variance,
        } => {
            let sample = mixture::Sample::new(table, positions);
            let shape = mixture::Shape {
                components: usize::from(components),
                least_variance,
            };
            let components = mixture::fit(&sample, &shape, random, &mut |pass, density| {
                steps.say(format_args!("pass {pass}, mean log density {density:.3}"))
            })?;
            let mut evaluated = Mixture::new(positions.len(), &components);
            let mut lowest = f32::INFINITY;
            for row in 0..table.len() {
                let numbers: Vec<f32> = positions
                    .iter()
                    .map(|&position| table.numbers(row)[position])
                    .collect();
                lowest = lowest.min(evaluated.energy(&numbers, table.codes(row)));
            }
            Ok(Method::Mixture {
                components,
                floor: lowest,
            })
        }
    }
}

/// The distances of the rows of each stretch, row by row and group by group, where the neighbours are rows of the other
/// stretches, as many as in the model. A mixture has too few parameters for one stretch to bend it; it stays.
fn measure(
    model: &Model,
    table: &Table,
    values: &[f32],
    methods: &[GroupMethod],
    options: &TrainOptions,
    random: &mut ChaCha8Rng,
    steps: &mut Steps<'_>,
) -> Result<Vec<f32>, TrainError> {
    let (rows, width) = (table.len(), table.columns.len());
    let mut distances = Vec::with_capacity(rows * model.groups.len());
    for stretch in 0..options.stretches {
        steps.next(format_args!("distances from stretch to stretch"))?;
        let own = rows * stretch / options.stretches..rows * (stretch + 1) / options.stretches;
        let mut others = model.clone();
        for (group, method) in others.groups.iter_mut().zip(methods) {
            if let (
                Method::Neighbours { points, .. },
                GroupMethod::Neighbours {
                    neighbours,
                    duplicates,
                    references,
                },
            ) = (&mut group.method, *method)
            {
                let is_other = |row: &usize| !own.contains(row) && (duplicates || table.first[*row]);
                let rows = (0..rows).filter(is_other).collect();
                let drawn = references::draw(table, rows, shares(references, neighbours, options), random);
                let positions: Vec<usize> = group.columns.iter().map(|&column| usize::from(column)).collect();
                *points = references::points(table, &drawn, &positions, options.resolution);
            }
        }
        let mut scorer = Scorer::new(&others).map_err(artifact_error)?;
        let values = &values[own.start * width..own.end * width];
        scorer
            .distances(values, own.len(), &mut distances)
            .map_err(score_error)?;
    }
    Ok(distances)
}

/// Even the rarest context keeps twice as many reference rows as neighbours are asked for: its own rows then stand around
/// each other, and another context is not nearer than they are.
fn shares(references: u32, neighbours: u16, options: &TrainOptions) -> Shares {
    Shares {
        most: references,
        least: 2 * usize::from(neighbours),
        exponent: options.share_exponent,
    }
}
