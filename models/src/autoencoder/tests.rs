//! The gradient is that of the loss, and a training that was interrupted ends like one that was not.

use std::fmt;

use netsage_schema::{Rows, UNSW_NB15};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::network::{Adam, Network, Workspace};
use super::{TrainOptions, onnx, train};
use crate::{Callbacks, Common, NoCallbacks, TrainError};

/// Flows of two kinds with some noise, ordinary all of them.
fn ordinary(count: usize) -> Rows {
    let mut rows = Rows::with_capacity(&UNSW_NB15, count);
    for index in 0..count {
        let noise = |column: usize| ((index * 31 + column * 17) % 23) as f64;
        let kind = (index % 2) as f64;
        let value = |column: usize| match UNSW_NB15.columns[column].vocabulary() {
            Some(_) => kind,
            None => 100.0 * kind + noise(column) + 10.0 * column as f64,
        };
        let row: Vec<f64> = (0..UNSW_NB15.width()).map(value).collect();
        rows.push(&row);
    }
    rows
}

fn options() -> TrainOptions {
    TrainOptions {
        hidden: 8,
        bottleneck: 3,
        epochs: 6,
        batch: 16,
        ..TrainOptions::default()
    }
}

#[test]
fn a_step_goes_down_the_slope_of_the_loss() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let network = Network::new(&[5, 4, 2, 4, 5], &mut random);
    let rows: Vec<f32> = (0..30).map(|index| (index * 7 % 11) as f32 / 5.0 - 1.0).collect();
    let mut workspace = Workspace::default();
    let mut loss = |network: &Network| {
        network.load(&mut workspace, rows.chunks(5));
        network.forward(&mut workspace);
        Network::loss(&workspace)
    };
    let mut stepped = network.clone();
    let mut space = Workspace::default();
    stepped.load(&mut space, rows.chunks(5));
    stepped.forward(&mut space);
    let rate = 1e-4;
    stepped.step(&mut Adam::new(&network), &mut space, rate);
    // Adam's first step is the rate against the sign of the slope, for each parameter.
    let mut checked = 0;
    for (layer, after) in stepped.layers.iter().enumerate() {
        for place in 0..after.weights.len() {
            let mut nudged = network.clone();
            nudged.layers[layer].weights[place] += 1e-2;
            let up = loss(&nudged);
            nudged.layers[layer].weights[place] -= 2e-2;
            let slope = up - loss(&nudged);
            let moved = after.weights[place] - network.layers[layer].weights[place];
            if slope.abs() > 1e-3 {
                assert!(
                    f64::from(moved) * slope < 0.0,
                    "layer {layer}, weight {place}: {moved} for {slope}"
                );
                assert!((moved.abs() - rate).abs() < rate * 0.05, "{moved}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "{checked}");
    assert!(loss(&stepped) < loss(&network));
}

#[derive(Default)]
struct Interrupting {
    after: Option<u32>,
    calls: u32,
    state: Option<Vec<u8>>,
}

impl Callbacks for Interrupting {
    fn step(&mut self, done: u64, total: u64, _figure: fmt::Arguments<'_>) {
        assert!(done <= total);
        self.calls += 1;
    }

    fn interrupted(&self) -> bool {
        self.after.is_some_and(|after| self.calls >= after)
    }

    fn save_checkpoint(&mut self, state: &dyn Fn() -> Vec<u8>) {
        self.state = Some(state());
    }

    fn last_checkpoint(&mut self) -> Option<Vec<u8>> {
        self.state.clone()
    }
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_model() {
    let rows = ordinary(400);
    let whole = train(&rows, &options(), &mut NoCallbacks).unwrap();
    let mut callbacks = Interrupting {
        after: Some(50),
        ..Interrupting::default()
    };
    let ended = train(&rows, &options(), &mut callbacks);
    assert!(matches!(ended, Err(TrainError::Interrupted)));
    assert!(callbacks.state.is_some());
    callbacks.after = None;
    let resumed = train(&rows, &options(), &mut callbacks).unwrap();
    assert_eq!(resumed.artifact, whole.artifact);
    // A damaged state is no state.
    callbacks.state = Some(vec![7; 100]);
    assert_eq!(
        train(&rows, &options(), &mut callbacks).unwrap().artifact,
        whole.artifact
    );
}

#[test]
fn what_it_never_saw_scores_higher() {
    let rows = ordinary(600);
    let trained = train(&rows, &options(), &mut NoCallbacks).unwrap();
    assert_eq!(
        (trained.detector, trained.card.name.as_deref()),
        ("onnx", Some("autoencoder"))
    );
    assert!(onnx(&trained.artifact).is_ok());
    let mut scorer = netsage_onnx::Scorer::decode(&trained.artifact).unwrap();
    let row = |rows: &Rows| -> Vec<f32> {
        let indices = scorer
            .columns()
            .iter()
            .map(|column| UNSW_NB15.index_of(&column.name).unwrap());
        indices.map(|index| rows.row(0)[index] as f32).collect()
    };
    let usual = row(&rows);
    let mut strange = usual.clone();
    let place = scorer
        .columns()
        .iter()
        .position(|column| column.name == "sbytes")
        .unwrap();
    strange[place] = 1e9;
    let mut scores = Vec::new();
    scorer
        .score_block(&[usual, strange.clone()].concat(), 2, &mut scores)
        .unwrap();
    assert!(
        scores[1] > 3.0 * scores[0].max(trained.card.threshold.unwrap()),
        "{scores:?}"
    );
    let explanation = scorer.explain_block(&strange, 1, 3).unwrap();
    let first = explanation.entries()[0];
    assert_eq!(first.column, place);
    assert!(first.typical < 1e4, "{first:?}");
}

#[test]
fn options_out_of_range_are_named() {
    let check = |options: TrainOptions, name: &str| {
        let error = train(&ordinary(200), &options, &mut NoCallbacks).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    };
    let defaults = TrainOptions::default;
    check(
        TrainOptions {
            hidden: 0,
            ..defaults()
        },
        "hidden",
    );
    check(
        TrainOptions {
            bottleneck: 2_000,
            ..defaults()
        },
        "bottleneck",
    );
    check(
        TrainOptions {
            epochs: 0,
            ..defaults()
        },
        "epochs",
    );
    check(
        TrainOptions {
            batch: 0,
            ..defaults()
        },
        "batch",
    );
    check(
        TrainOptions {
            learning_rate: f32::NAN,
            ..defaults()
        },
        "learning_rate",
    );
    check(
        TrainOptions {
            limit: 0.0,
            ..defaults()
        },
        "limit",
    );
    let common = Common {
        exclude: vec!["no such column".to_owned()],
        ..Common::default()
    };
    check(TrainOptions { common, ..defaults() }, "no such column");
}
