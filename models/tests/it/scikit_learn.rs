//! Figures against those of scikit-learn, on random cases with many ties.

use netsage_models::metrics::{Thresholds, evaluate};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::peers::python;

const SCRIPT: &str = r#"
import json, sys
import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score, roc_curve

def figures(case):
    # Single precision, as detectors give them.
    scores = np.array(case["scores"], dtype=np.float32)
    attack = np.array(case["attack"], dtype=bool)
    fpr, tpr, _ = roc_curve(attack, scores, drop_intermediate=False)
    found = {
        "auroc": roc_auc_score(attack, scores),
        "auprc": average_precision_score(attack, scores),
    }
    for name, limit in [("0_1", 0.001), ("1", 0.01), ("5", 0.05)]:
        found["tpr_at_fpr_" + name] = tpr[fpr <= limit].max()
    for name in ["p95", "p99", "threshold"]:
        above = scores > np.float32(case[name])
        found["tpr_at_" + name] = recall_score(attack, above)
        found["fpr_at_" + name] = above[~attack].mean()
        found["precision_at_" + name] = precision_score(attack, above, zero_division=1)
        found["f1_at_" + name] = f1_score(attack, above)
    return {name: float(value) for name, value in found.items()}

json.dump([figures(case) for case in json.load(sys.stdin)], sys.stdout)
"#;

/// A case of some size, how often attacks are, and how many distinct scores there are.
fn case(random: &mut ChaCha8Rng) -> Value {
    let rows = random.random_range(2..3_000);
    let share = random.random_range(0.01..0.99);
    let levels = [2.0_f32, 7.0, 40.0, 1e6][random.random_range(0..4)];
    let shift: f32 = random.random_range(-0.2..0.5);
    let mut attack: Vec<bool> = (0..rows).map(|_| random.random_bool(share)).collect();
    (attack[0], attack[1]) = (true, false);
    let scores: Vec<f32> = attack
        .iter()
        .map(|&attack| {
            let score = random.random::<f32>() + if attack { shift } else { 0.0 };
            (score * levels).round() / levels
        })
        .collect();
    let mut threshold = || scores[random.random_range(0..scores.len())];
    json!({ "p95": threshold(), "p99": threshold(), "threshold": threshold(), "scores": scores, "attack": attack })
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let cases: Vec<Value> = (0..150).map(|_| case(&mut random)).collect();
    let Some(expected) = python(SCRIPT, &json!(cases)) else {
        return;
    };
    let expected = expected.as_array().unwrap();
    assert_eq!(expected.len(), cases.len());
    for (case, expected) in cases.iter().zip(expected) {
        let numbers = |name: &str| -> Vec<f32> { serde_json::from_value(case[name].clone()).unwrap() };
        let threshold = |name: &str| serde_json::from_value(case[name].clone()).unwrap();
        let attack: Vec<bool> = serde_json::from_value(case["attack"].clone()).unwrap();
        let thresholds = Thresholds {
            p95: threshold("p95"),
            p99: threshold("p99"),
            model: threshold("threshold"),
        };
        let named = evaluate(&numbers("scores"), &attack, None, thresholds)
            .unwrap()
            .named();
        assert_eq!(named.len(), expected.as_object().unwrap().len());
        for (name, value) in named {
            let theirs = expected[&name].as_f64().unwrap();
            assert!(
                (value - theirs).abs() < 1e-12,
                "{name}: {value}, scikit-learn has {theirs}"
            );
        }
    }
}
