//! Ensembles of decision trees.

use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::tensor::count;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Leaf,
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Other,
}

#[derive(Debug, Clone)]
struct Place {
    mode: Mode,
    feature: usize,
    value: f32,
    /// Where no number goes.
    missing_is_true: bool,
    /// Positions of the children.
    yes: usize,
    no: usize,
    /// What a leaf gives: target and weight.
    gives: Vec<(usize, f32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Average,
    Smallest,
    Largest,
}

/// Trees of a `TreeEnsembleRegressor` or a `TreeEnsembleClassifier`.
#[derive(Debug)]
pub(super) struct Trees {
    places: Vec<Place>,
    roots: Vec<usize>,
    targets: usize,
    base: Vec<f32>,
    aggregate: Aggregate,
    /// Largest number of a feature, and one more.
    width: usize,
}

impl Trees {
    /// Trees whose leaves give something to `targets` numbers, by the attributes that begin with `prefix`.
    pub(super) fn new(attributes: &Attributes<'_>, prefix: &str, targets: usize) -> Result<Self, String> {
        attributes.without_effect(&["nodes_hitrates"]);
        let ints = |name: &str| attributes.ints(name).unwrap_or_default();
        let (trees, nodes) = (ints("nodes_treeids"), ints("nodes_nodeids"));
        let (features, values) = (ints("nodes_featureids"), attributes.floats("nodes_values"));
        let (yes, no) = (ints("nodes_truenodeids"), ints("nodes_falsenodeids"));
        let (modes, missing) = (
            attributes.texts("nodes_modes"),
            ints("nodes_missing_value_tracks_true"),
        );
        let number = trees.len();
        let lengths = [
            nodes.len(),
            features.len(),
            values.len(),
            yes.len(),
            no.len(),
            modes.len(),
        ];
        if lengths.iter().any(|&length| length != number) || number == 0 {
            return Err(format!(
                "its nodes are described by lists of {number} and {lengths:?}"
            ));
        }
        let mut index = BTreeMap::new();
        for (place, ids) in trees.iter().zip(&nodes).enumerate() {
            index.insert(ids, place);
        }
        let mut places = Vec::with_capacity(number);
        let mut is_child = vec![false; number];
        for place in 0..number {
            let mode = match modes[place].as_str() {
                "LEAF" => Mode::Leaf,
                "BRANCH_LEQ" => Mode::AtMost,
                "BRANCH_LT" => Mode::Below,
                "BRANCH_GTE" => Mode::AtLeast,
                "BRANCH_GT" => Mode::Above,
                "BRANCH_EQ" => Mode::Equal,
                "BRANCH_NEQ" => Mode::Other,
                other => return Err(format!("it has nodes of the mode {other}")),
            };
            let mut child = |id: i64| -> Result<usize, String> {
                if mode == Mode::Leaf {
                    return Ok(place);
                }
                let child = index.get(&(&trees[place], &id)).copied();
                let child = child.filter(|&child| !std::mem::replace(&mut is_child[child], true));
                child.ok_or_else(|| format!("its node {id} is missing, or the child of two"))
            };
            places.push(Place {
                mode,
                feature: usize::try_from(features[place]).map_err(|_| "it has a feature below 0")?,
                value: values[place],
                missing_is_true: missing.get(place).is_some_and(|&flag| flag != 0),
                yes: child(yes[place])?,
                no: child(no[place])?,
                gives: Vec::new(),
            });
        }
        let leaf = |name: &str| format!("{prefix}_{name}");
        let (of_trees, of_nodes) = (ints(&leaf("treeids")), ints(&leaf("nodeids")));
        let (ids, weights) = (ints(&leaf("ids")), attributes.floats(&leaf("weights")));
        if [of_nodes.len(), ids.len(), weights.len()] != [of_trees.len(); 3]
            || !(1..=4_096).contains(&targets)
        {
            return Err("its leaves are described by lists of several lengths".to_owned());
        }
        for leaf in 0..ids.len() {
            let place = index.get(&(&of_trees[leaf], &of_nodes[leaf]));
            let target = usize::try_from(ids[leaf]).ok().filter(|&target| target < targets);
            match (place, target) {
                (Some(&place), Some(target)) => places[place].gives.push((target, weights[leaf])),
                _ => return Err("a leaf gives something to a target that is not there".to_owned()),
            }
        }
        let aggregate = match attributes.text("aggregate_function", "SUM") {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Smallest,
            "MAX" => Aggregate::Largest,
            other => return Err(format!("it aggregates by {other}")),
        };
        // Nodes that no other leads to; each other has exactly one above it. A circle has no root, and is never entered.
        let roots = (0..number).filter(|&place| !is_child[place]).collect();
        let inner = places.iter().filter(|place| place.mode != Mode::Leaf);
        let width = inner
            .map(|place| place.feature.saturating_add(1))
            .max()
            .unwrap_or(0);
        Ok(Self {
            places,
            roots,
            targets,
            base: attributes.floats("base_values"),
            aggregate,
            width,
        })
    }

    /// The numbers that each row of `width` values becomes, row after row.
    pub(super) fn run(&self, values: &[f32], width: usize) -> Result<Vec<f64>, String> {
        if width < self.width || width == 0 {
            return Err(format!("its trees read {} numbers of {width}", self.width));
        }
        let rows = values.len() / width;
        let mut made = Vec::with_capacity(count(&[rows, self.targets])?);
        // In double precision: a sum of many small weights keeps what single precision would lose.
        let mut sums: Vec<Option<f64>> = Vec::new();
        for row in values.chunks_exact(width) {
            sums.clear();
            sums.resize(self.targets, None);
            for &root in &self.roots {
                for &(target, weight) in &self.leaf(root, row).gives {
                    let weight = f64::from(weight);
                    let sum = &mut sums[target];
                    *sum = Some(match (*sum, self.aggregate) {
                        (None, _) => weight,
                        (Some(sum), Aggregate::Sum | Aggregate::Average) => sum + weight,
                        (Some(sum), Aggregate::Smallest) => {
                            if weight < sum {
                                weight
                            } else {
                                sum
                            }
                        }
                        (Some(sum), Aggregate::Largest) => {
                            if weight > sum {
                                weight
                            } else {
                                sum
                            }
                        }
                    });
                }
            }
            for (target, sum) in sums.iter().enumerate() {
                let mut sum = sum.unwrap_or(0.0);
                if self.aggregate == Aggregate::Average {
                    sum /= self.roots.len().max(1) as f64;
                }
                let base = self.base.get(target).copied().unwrap_or(0.0);
                made.push(sum + f64::from(base));
            }
        }
        Ok(made)
    }

    fn leaf(&self, root: usize, row: &[f32]) -> &Place {
        let mut place = &self.places[root];
        while place.mode != Mode::Leaf {
            let (seen, value) = (row[place.feature], place.value);
            let yes = match place.mode {
                Mode::AtMost => seen <= value,
                Mode::Below => seen < value,
                Mode::AtLeast => seen >= value,
                Mode::Above => seen > value,
                Mode::Equal => seen == value,
                Mode::Other | Mode::Leaf => seen != value,
            };
            let yes = if seen.is_nan() { place.missing_is_true } else { yes };
            place = &self.places[if yes { place.yes } else { place.no }];
        }
        place
    }
}
