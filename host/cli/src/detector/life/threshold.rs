//! `netsage detector threshold` and `drift`.

use std::io::Write;

use netsage_api_types::{Drift, ThresholdInfo, ThresholdRequest};
use netsage_console::Failure;
use netsage_console::output::{for_people, print_json, table};
use netsage_gateway::config::Settings;

use super::called;
use super::step::ReasonArgs;
use crate::client::{Client, ClientArgs, encoded, query};

/// Columns of the bar of an index on the terminal; the last one is at twice the index that counts as large.
const COLUMNS: usize = 40;

/// The arguments of `netsage detector threshold`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector threshold\n  netsage detector threshold iforest 10/day --try\n  netsage detector threshold iforest fpr:0.001 --why 'too loud'\n  netsage detector threshold fused p99.99"
)]
pub(crate) struct ThresholdArgs {
    /// Name of the detector, or `fused` for the verdict of all together [default: list all]
    name: Option<String>,
    /// Alerts per day (10/day), false-positive rate (fpr:0.001 or 0.1%), percentile (p99.9), score (0.62), `card` or `off`
    #[arg(allow_hyphen_values = true)]
    rule: Option<String>,
    /// Say what the threshold would have raised, without setting it
    #[arg(long = "try", requires = "rule")]
    only_try: bool,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// The arguments of `netsage detector drift`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector drift iforest\n  netsage detector drift 0123abcd --json"
)]
pub(crate) struct DriftArgs {
    /// Package: its digest, the first 8 or more digits of it, or the name of the detector
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn threshold(args: &ThresholdArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.reason.client, file)?;
    let mut out = for_people();
    let Some(name) = &args.name else {
        let all: Vec<ThresholdInfo> = client.get("/thresholds")?;
        if args.reason.json {
            print_json(&mut out, &all)?;
        } else {
            let rows: Vec<_> = all.iter().map(row).collect();
            table(
                &mut out,
                ["NAME", "RULE", "FROM", "SCORE", "ORDINARY FLOWS ABOVE"],
                &[3],
                &rows,
            )?;
        }
        return Ok(out.flush()?);
    };
    let path = format!("/thresholds/{}", encoded(name));
    let info: ThresholdInfo = match &args.rule {
        Some(rule) if !args.only_try => {
            let request = ThresholdRequest {
                rule: rule.clone(),
                by: args.reason.by(),
                why: args.reason.why.clone(),
            };
            client.post_json(&path, &request)?
        }
        rule => client.get(&format!("{path}{}", query(&[("rule", rule.as_deref())])))?,
    };
    if args.reason.json {
        print_json(&mut out, &info)?;
    } else {
        for sentence in sentences(&info) {
            writeln!(out, "{sentence}")?;
        }
    }
    Ok(out.flush()?)
}

fn row(info: &ThresholdInfo) -> [String; 5] {
    [
        info.name.clone(),
        info.rule.clone(),
        info.origin.clone(),
        info.score
            .map_or_else(|| "-".to_owned(), |score| score.to_string()),
        info.exceedance.map_or_else(|| "-".to_owned(), one_in),
    ]
}

/// A share as `1 in N`.
fn one_in(share: f64) -> String {
    format!("1 in {:.0}", 1.0 / share.max(f64::MIN_POSITIVE))
}

/// What a threshold is and what it would have raised.
fn sentences(info: &ThresholdInfo) -> Vec<String> {
    let above = match (info.score, info.exceedance) {
        (None, _) => "no alerts".to_owned(),
        (Some(score), None) => format!("alerts above {score}"),
        (Some(score), Some(share)) => format!(
            "alerts above {score}, which {} ordinary flows exceeds",
            one_in(share)
        ),
    };
    let rate = info
        .flows_per_day
        .map_or_else(String::new, |flows| format!(", at {flows:.0} flows a day"));
    let mut sentences = vec![format!(
        "{}: {} ({}): {above}{rate}",
        info.name, info.rule, info.origin
    )];
    sentences.extend(info.pending.clone());
    if let Some(yesterday) = &info.yesterday {
        let of = if yesterday.complete {
            ""
        } else {
            " (the newest of them)"
        };
        sentences.push(format!(
            "in the 24 hours before the newest flow: {} alerts after grouping, {} of {} flows{of} above it",
            yesterday.alerts, yesterday.above, yesterday.flows
        ));
    }
    sentences
}

pub(super) fn drift(args: &DriftArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file)?;
    let drift: Drift = client.get(&format!("/detectors/{}/drift", encoded(&args.package)))?;
    let mut out = for_people();
    if args.json {
        print_json(&mut out, &drift)?;
        return Ok(out.flush()?);
    }
    writeln!(out, "{}", called(&drift.detector))?;
    if !drift.has_reference {
        writeln!(
            out,
            "no reference distributions in its card, so drift cannot be told; train it anew to get them"
        )?;
    } else if drift.at.is_none() {
        writeln!(
            out,
            "{} of {} flows counted; nothing to tell yet",
            drift.counting, drift.window
        )?;
    } else {
        writeln!(
            out,
            "population stability over {} flows: below {} the same, above {} another distribution",
            drift.flows, drift.small, drift.large
        )?;
        let columns = drift
            .columns
            .iter()
            .map(|column| (column.column.as_str(), column.index));
        let mut all: Vec<(&str, f64)> = drift
            .score
            .map(|score| ("(score)", score))
            .into_iter()
            .chain(columns)
            .collect();
        all.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        for (name, index) in all {
            writeln!(out, "{name:<20} {index:>7.3} {}", bar(index, drift.large))?;
        }
    }
    Ok(out.flush()?)
}

fn bar(index: f64, large: f64) -> String {
    let length = (index / (2.0 * large) * COLUMNS as f64).round();
    "█".repeat((length.max(0.0) as usize).min(COLUMNS))
}

#[cfg(test)]
mod tests {
    use netsage_api_types::Yesterday;

    use super::*;

    #[test]
    fn a_threshold_is_told_in_sentences() {
        let mut info = ThresholdInfo {
            name: "iforest".to_owned(),
            rule: "10/day".to_owned(),
            origin: "history".to_owned(),
            score: Some(0.5),
            exceedance: Some(0.001),
            flows_per_day: Some(10_000.0),
            pending: None,
            yesterday: Some(Yesterday {
                from: 0,
                until: 1,
                flows: 9_000,
                above: 12,
                alerts: 3,
                complete: true,
            }),
        };
        assert_eq!(
            sentences(&info),
            [
                "iforest: 10/day (history): alerts above 0.5, which 1 in 1000 ordinary flows exceeds, at 10000 flows a day",
                "in the 24 hours before the newest flow: 3 alerts after grouping, 12 of 9000 flows above it",
            ]
        );
        (info.score, info.yesterday, info.flows_per_day) = (None, None, None);
        assert_eq!(sentences(&info), ["iforest: 10/day (history): no alerts"]);
    }

    #[test]
    fn a_bar_is_as_long_as_its_index() {
        assert_eq!(bar(0.0, 0.25), "");
        assert_eq!(bar(0.25, 0.25).chars().count(), COLUMNS / 2);
        assert_eq!(bar(9.0, 0.25).chars().count(), COLUMNS);
        assert_eq!(bar(f64::NAN, 0.25), "");
    }
}
