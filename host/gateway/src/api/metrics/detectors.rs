//! Figures of detectors: the stage of each package; scores, failures and cost of each generation.

use std::fmt::Error;

use netsage_api_types::{DetectorInfo, Drift, FailurePolicy, HistoryQuery, Step};
use netsage_lifecycle::statistics::histogram::time_quantile;
use netsage_lifecycle::statistics::{FailureKind, Measured};
use netsage_lifecycle::{Generation, Lifecycle};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// A value with its labels.
type Sample<V> = (Vec<(&'static str, String)>, V);

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
    fn labels(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("digest", self.digest.clone()),
            ("generation", self.generation.to_string()),
            ("role", self.role.to_owned()),
        ]
    }

    fn labels_and(&self, label: &'static str, value: &str) -> Vec<(&'static str, String)> {
        let mut labels = self.labels();
        labels.push((label, value.to_owned()));
        labels
    }
}

pub(super) fn encode(lifecycle: &Lifecycle, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    packages(&lifecycle.list(), encoder)?;
    let scoring = line_up(lifecycle);
    generations(&scoring, encoder)?;
    drift(lifecycle, &scoring, encoder)?;
    let thresholds = lifecycle.thresholds().into_iter().filter_map(|info| {
        let score = ConstGauge::new(f64::from(info.score?));
        Some((vec![("name", info.name), ("rule", info.rule)], score))
    });
    let help = "Score above which a flow is alerted";
    family(encoder, "detector_threshold", help, MetricType::Gauge, thresholds)?;
    let whole = HistoryQuery {
        limit: Some(u32::MAX),
        ..HistoryQuery::default()
    };
    let history = lifecycle.history(&whole).map_err(|_| Error)?;
    let rollbacks = history.items.iter().filter(|entry| entry.step == Step::Rollback);
    let mut by_name = std::collections::BTreeMap::<(&str, bool), u64>::new();
    for entry in rollbacks {
        let name = entry.name.as_deref().unwrap_or_default();
        *by_name.entry((name, entry.by == "netsage")).or_default() += 1;
    }
    let rollbacks = by_name.into_iter().map(|((name, by_itself), count)| {
        let by = if by_itself { "netsage" } else { "people" };
        (
            vec![("name", name.to_owned()), ("by", by.to_owned())],
            ConstCounter::new(count),
        )
    });
    family(
        encoder,
        "detector_rollbacks",
        "Rollbacks in the history that is kept, by who asked for them",
        MetricType::Counter,
        rollbacks,
    )
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

fn family<V: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    samples: impl Iterator<Item = Sample<V>>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
