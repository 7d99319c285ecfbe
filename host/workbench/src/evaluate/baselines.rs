//! What detectors have to beat, learned from the same ordinary rows.

use netsage_console::Failure;
use netsage_models::Common;
use netsage_models::baselines::{BaselineScores, best_column, mahalanobis};
use netsage_models::report::{Columns, Condition, Kind, Outcome};
use netsage_schema::Rows;
use netsage_schema::unsw_nb15::{SEQUENCE_NUMBERS, TTL_TRIO};

use super::models::Session;

pub(super) fn outcomes(session: &Session<'_>, training: &Rows) -> Result<Vec<Outcome>, Failure> {
    let rows = &session.labelled.rows;
    let mut choices = vec![(Columns::All, Common::default())];
    if session.has_ttl_trio() {
        let exclude = TTL_TRIO.map(str::to_owned).to_vec();
        choices.push((
            Columns::WithoutTtl,
            Common {
                exclude,
                ..Common::default()
            },
        ));
    }
    let schema = rows.schema();
    let (mut distances, mut columns, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for (choice, common) in choices {
        let distance = mahalanobis(training, &common, rows)?;
        let is_read = |name: &str| {
            !SEQUENCE_NUMBERS.contains(&name) && !common.exclude.iter().any(|excluded| excluded == name)
        };
        let reads = schema
            .columns
            .iter()
            .filter(|column| is_read(column.name))
            .count();
        distances.push(condition(session, choice, reads, &distance)?);
        let (column, scores) = best_column(training, &common, rows, &session.labelled.attack)?;
        named.push(format!("{} ({})", column.describe(schema), choice.words()));
        columns.push(condition(session, choice, 1, &scores)?);
    }
    Ok(vec![
        outcome(
            "Mahalanobis distance",
            "Baseline: distance from the mean of the ordinary training rows in units of their covariance, which is shrunk \
             by the rule of Ledoit and Wolf; logarithms of quantities, terms as 0 and 1."
                .to_owned(),
            distances,
        ),
        outcome(
            "best single column (oracle)",
            format!(
                "Baseline: the one column, read high, low or by how rare its term is, that the labels of these very rows \
                 show to be best: {}. No detector may choose so.",
                named.join(", ")
            ),
            columns,
        ),
    ])
}

fn condition(
    session: &Session<'_>,
    columns: Columns,
    reads: usize,
    baseline: &BaselineScores,
) -> Result<Condition, Failure> {
    let judged = session
        .judge
        .condition(columns, reads, &baseline.scores, baseline.thresholds);
    Ok(judged.map_err(anyhow::Error::from)?)
}

fn outcome(name: &str, about: String, conditions: Vec<Condition>) -> Outcome {
    Outcome {
        name: name.to_owned(),
        kind: Kind::Baseline,
        detector: None,
        about,
        steered: None,
        notes: Vec::new(),
        conditions,
        not_without_ttl: None,
    }
}
