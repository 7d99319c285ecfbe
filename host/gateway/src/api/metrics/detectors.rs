//! Figures of detectors: the stage of each package; scores, failures and cost of each generation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Error;

use netsage_api_types::{DetectorInfo, Drift, FailurePolicy, HistoryQuery, Step};
use netsage_lifecycle::statistics::histogram::time_quantile;
use netsage_lifecycle::statistics::{FailureKind, Measured};
use netsage_lifecycle::{Generation, Lifecycle};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::family::{Labels, family};
use crate::pipeline::Counters;

const KINDS: [(FailureKind, &str); 3] = [
    (FailureKind::Fault, "fault"),
    (FailureKind::Overrun, "overrun"),
    (FailureKind::NotFinite, "not-finite"),
];

/// A generation of the line-up, and what it did.
struct Scoring {
    name: String,
    digest: String,
    generation: u64,
    role: &'static str,
    policy: FailurePolicy,
    share: Option<f64>,
    measured: Box<Measured>,
}

impl Scoring {
    fn labels(&self) -> Labels {
        vec![
            ("name", self.name.clone()),
            ("digest", self.digest.clone()),
            ("generation", self.generation.to_string()),
            ("role", self.role.to_owned()),
        ]
    }

    fn labels_and(&self, label: &'static str, value: &str) -> Labels {
        let mut labels = self.labels();
        labels.push((label, value.to_owned()));
        labels
    }
}

pub(super) fn encode(
    lifecycle: &Lifecycle,
    counters: &Counters,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let list = lifecycle.list();
    packages(&list, encoder)?;
    let scoring = line_up(lifecycle);
    generations(&scoring, encoder)?;
    drift(lifecycle, &scoring, encoder)?;
    let thresholds = lifecycle.thresholds().into_iter().filter_map(|info| {
        let score = ConstGauge::new(f64::from(info.score?));
        Some((vec![("name", info.name), ("rule", info.rule)], score))
    });
    let help = "Score above which a flow is alerted";
    family(encoder, "detector_threshold", help, MetricType::Gauge, thresholds)?;
    let names: BTreeSet<&str> = list.iter().map(|info| info.detector.name.as_str()).collect();
    hits(&names, counters, encoder)?;
    rollbacks(&names, lifecycle, encoder)
}

/// Hits by name and severity, all severities of each name that is known.
fn hits(
    names: &BTreeSet<&str>,
    counters: &Counters,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let mut hits = counters.hits();
    for name in names {
        hits.entry((*name).to_owned()).or_default();
    }
    let samples = hits.into_iter().flat_map(|(name, by_severity)| {
        by_severity.map(|(severity, count)| {
            let labels = vec![("name", name.clone()), ("severity", severity.to_owned())];
            (labels, ConstCounter::new(count))
        })
    });
    let help = "Flows that a detector scored above its threshold and that are stored, by severity";
    family(encoder, "detector_hits", help, MetricType::Counter, samples)
}

/// Rollbacks by name and who asked for them, both of each name that is known.
fn rollbacks(
    names: &BTreeSet<&str>,
    lifecycle: &Lifecycle,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    const BY: [&str; 2] = ["people", "netsage"];
    let whole = HistoryQuery {
        limit: Some(u32::MAX),
        ..HistoryQuery::default()
    };
    let history = lifecycle.history(&whole).map_err(|_| Error)?;
    let known = names.iter().flat_map(|name| BY.map(|by| ((*name, by), 0)));
    let mut counts: BTreeMap<(&str, &str), u64> = known.collect();
    for entry in history.items.iter().filter(|entry| entry.step == Step::Rollback) {
        let by = BY[usize::from(entry.by == "netsage")];
        let name = entry.name.as_deref().unwrap_or_default();
        *counts.entry((name, by)).or_default() += 1;
    }
    let samples = counts.into_iter().map(|((name, by), count)| {
        let labels = vec![("name", name.to_owned()), ("by", by.to_owned())];
        (labels, ConstCounter::new(count))
    });
    let help = "Rollbacks in the history that is kept, by who asked for them";
    family(encoder, "detector_rollbacks", help, MetricType::Counter, samples)
}

fn packages(list: &[DetectorInfo], encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let labels = |info: &DetectorInfo| {
        vec![
            ("name", info.detector.name.clone()),
            ("digest", info.detector.digest.clone()),
        ]
    };
    let stages = list.iter().map(|info| {
        let mut labels = labels(info);
        labels.push(("stage", info.stage.name().to_owned()));
        (labels, ConstGauge::new(1_i64))
    });
    let help = "1 for the stage in which a package stands";
    family(encoder, "detector_stage", help, MetricType::Gauge, stages)?;
    type Counted = (&'static str, &'static str, fn(&DetectorInfo) -> u64);
    let counters: [Counted; 4] = [
        ("detector_flows_scored", "Flows that a package scored", |info| {
            info.scored
        }),
        (
            "detector_flows_failed",
            "Flows that a package failed to score",
            |info| info.failed,
        ),
        (
            "detector_instances_replaced",
            "Instances of a package that were replaced after a trap or an overrun",
            |info| info.replaced_instances,
        ),
        (
            "detector_explanations_failed",
            "Explanations that a package failed to give",
            |info| info.failed_explanations,
        ),
    ];
    for (name, help, value) in counters {
        let samples = list
            .iter()
            .map(|info| (labels(info), ConstCounter::new(value(info))));
        family(encoder, name, help, MetricType::Counter, samples)?;
    }
    Ok(())
}

fn generations(scoring: &[Scoring], encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let scored = scoring
        .iter()
        .map(|one| (one.labels(), ConstCounter::new(one.measured.rows)));
    let help = "Flows that a generation scored";
    family(
        encoder,
        "generation_flows_scored",
        help,
        MetricType::Counter,
        scored,
    )?;
    let failures = scoring.iter().flat_map(|one| {
        KINDS.map(|(kind, name)| {
            (
                one.labels_and("kind", name),
                ConstCounter::new(one.measured.failures(kind)),
            )
        })
    });
    let help = "Calls of a generation that failed, by how";
    family(
        encoder,
        "generation_calls_failed",
        help,
        MetricType::Counter,
        failures,
    )?;
    let unscored = scoring.iter().map(|one| {
        let labels = one.labels_and("policy", one.policy.name());
        (labels, ConstCounter::new(one.measured.failed_rows))
    });
    let help = "Flows that a generation was to score and did not, by what becomes of them";
    family(
        encoder,
        "generation_flows_unscored",
        help,
        MetricType::Counter,
        unscored,
    )?;
    let skipped = scoring
        .iter()
        .filter(|one| one.role == "shadow")
        .map(|one| (one.labels(), ConstCounter::new(one.measured.skipped_rows)));
    let help = "Flows that a shadow was to score and did not, for want of time";
    family(
        encoder,
        "generation_flows_skipped",
        help,
        MetricType::Counter,
        skipped,
    )?;
    let shares = scoring
        .iter()
        .filter_map(|one| Some((one.labels(), ConstGauge::new(one.share?))));
    let help = "Share of the flows that a shadow or a canary scores";
    family(encoder, "generation_share", help, MetricType::Gauge, shares)?;
    let costs = scoring.iter().filter_map(|one| {
        Some((
            one.labels(),
            ConstGauge::new(one.measured.nanoseconds_per_row()? * 1e-9),
        ))
    });
    let help = "Mean time that a generation takes for a row";
    family(
        encoder,
        "generation_seconds_per_row",
        help,
        MetricType::Gauge,
        costs,
    )?;
    let slowest = scoring.iter().filter_map(|one| {
        let nanoseconds = time_quantile(&one.measured.call_time, 0.99)?;
        Some((one.labels(), ConstGauge::new(nanoseconds * 1e-9)))
    });
    let help = "Time that 99 of 100 calls of a generation do not exceed";
    family(
        encoder,
        "generation_call_seconds_p99",
        help,
        MetricType::Gauge,
        slowest,
    )
}

fn drift(
    lifecycle: &Lifecycle,
    scoring: &[Scoring],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let found: Vec<(&Scoring, Drift)> = scoring
        .iter()
        .filter_map(|one| Some((one, lifecycle.drift(&one.digest).ok()?)))
        .collect();
    let columns = found.iter().flat_map(|(one, drift)| {
        let columns = drift.columns.iter();
        columns.map(|column| {
            (
                one.labels_and("column", &column.column),
                ConstGauge::new(column.index),
            )
        })
    });
    let help =
        "Population stability index of a column against the rows of the training, over the last window";
    family(encoder, "generation_drift", help, MetricType::Gauge, columns)?;
    let scores = found
        .iter()
        .filter_map(|(one, drift)| Some((one.labels(), ConstGauge::new(drift.score?))));
    let help = "Population stability index of the calibrated score, over the last window";
    family(encoder, "generation_score_drift", help, MetricType::Gauge, scores)
}

fn line_up(lifecycle: &Lifecycle) -> Vec<Scoring> {
    let lineup = lifecycle.roster().lineup();
    let mut found = Vec::new();
    for slot in &lineup.slots {
        let mut add = |generation: &Generation, role, share| {
            let mut measured = Box::<Measured>::default();
            generation.tally.read(&mut measured);
            found.push(Scoring {
                name: slot.name.clone(),
                digest: generation.reference.digest.clone(),
                generation: generation.number,
                role,
                policy: slot.on_failure,
                share,
                measured,
            });
        };
        if let Some(active) = &slot.active {
            add(active, "active", None);
        }
        if let Some(canary) = &slot.canary {
            add(&canary.generation, "canary", Some(canary.share));
        }
        for shadow in &slot.shadows {
            add(&shadow.generation, "shadow", Some(shadow.share));
        }
    }
    found
}
