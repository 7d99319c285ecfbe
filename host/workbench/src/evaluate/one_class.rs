//! What can be said of detectors on rows of one class: how they score, and how much lies above their thresholds.

use std::io::Write as _;
use std::sync::Arc;

use netsage_console::Failure;
use netsage_console::detectors::column_names;
use netsage_console::output::{note, print_json, stdout, table};
use netsage_lifecycle::Loaded;
use serde::Serialize;

use crate::labelled::Labelled;

/// The figures of one detector.
#[derive(Debug, Serialize)]
struct Figures {
    detector: String,
    rows: usize,
    attacks: usize,
    /// Share of the rows above the detector's threshold: false alarms on ordinary rows, what is found on attacks.
    above_threshold: Option<f64>,
    median: f32,
    p95: f32,
    p99: f32,
}

/// Scores the rows and prints the figures, as JSON or as a table.
pub(super) fn print(json: bool, labelled: &Labelled, detectors: &[Arc<Loaded>]) -> Result<(), Failure> {
    if labelled.rows.is_empty() {
        return Err(
            anyhow::anyhow!("no row has a label that can be read, so nothing can be measured").into(),
        );
    }
    let attacks = labelled.attack.iter().filter(|&&attack| attack).count();
    let class = if attacks == 0 { "ordinary" } else { "attacks" };
    note(format_args!(
        "all {} rows are {class}: what ranks attacks above ordinary flows cannot be computed, the rest is given",
        labelled.rows.len()
    ));
    let mut figures = Vec::new();
    for (loaded, name) in detectors.iter().zip(column_names(detectors)) {
        let mut scores = labelled.score(loaded)?;
        scores.sort_by(f32::total_cmp);
        let at = |share: f64| scores[((scores.len() - 1) as f64 * share).round() as usize];
        let threshold = loaded.card.as_ref().and_then(|card| card.threshold);
        figures.push(Figures {
            detector: name,
            rows: scores.len(),
            attacks,
            above_threshold: threshold.map(|threshold| {
                let below = scores.partition_point(|&score| score <= threshold);
                (scores.len() - below) as f64 / scores.len() as f64
            }),
            median: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        });
    }
    let mut out = stdout();
    if json {
        print_json(&mut out, &figures)?;
    } else {
        let rows: Vec<[String; 6]> = figures
            .iter()
            .map(|figures| {
                let above = figures.above_threshold;
                [
                    figures.detector.clone(),
                    figures.rows.to_string(),
                    above.map_or_else(|| "-".to_owned(), |share| format!("{share:.4}")),
                    figures.median.to_string(),
                    figures.p95.to_string(),
                    figures.p99.to_string(),
                ]
            })
            .collect();
        let header = ["detector", "rows", "above threshold", "median", "p95", "p99"];
        table(&mut out, header, &[1, 2, 3, 4, 5], &rows)?;
    }
    Ok(out.flush()?)
}
