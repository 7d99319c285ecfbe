//! From a baseline to detectors: trains, packs, and says what they would have raised.

use jiff::Zoned;
use netsage_alerts::{AlertWindow, Raised};
use netsage_calibration::{Rule, Scale};
use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::output::BadRows;
use netsage_gateway::catalog::{load, read_package};
use netsage_gateway::config::Settings;
use netsage_gateway::pipeline::{Contexts, alert_key, score_rows};
use netsage_models::{Flows, Trained, Training};
use netsage_package::ModelCard;
use netsage_runtime::ContextValues;
use netsage_schema::csv::Record;
use netsage_schema::{Identity, Rows};
use netsage_sources::{Input, open};
use netsage_workbench::train::{Progress, save};

use super::spool::Spool;
use super::{package_path, shown, text};

/// Flows that are trained on at most: of more, every second, third, ... is taken, which bounds the memory.
const MOST_FLOWS: u64 = 300_000;

/// Where nobody knows how many flows a day has: a gateway has tens of thousands, and nobody reads hundreds of alerts.
const LEAST_QUANTILE: f64 = 0.999;

/// How to arm.
pub(super) struct Arming {
    pub(super) methods: Vec<Training>,
    pub(super) threshold_quantile: Option<f64>,
    /// Ordinary flows a day that a detector may alert.
    pub(super) alerts_per_day: f64,
    pub(super) seed: u64,
    /// The windows of the store that the detectors will raise alerts in.
    pub(super) alert_window: AlertWindow,
    pub(super) file: Settings,
}

/// The flows of a baseline in memory.
struct Learned {
    rows: Rows,
    identities: Vec<Identity>,
}

/// Trains every method on the flows of the baseline and writes its package beside them.
pub(super) fn arm(arming: &Arming, spool: &mut Spool) -> Result<Vec<String>, Failure> {
    spool.save()?;
    let every = spool.flows().div_ceil(MOST_FLOWS).max(1);
    let learned = read(spool, every)?;
    if every > 1 {
        eprintln!("training on one flow of every {every}: {}", learned.rows.len());
    }
    let mut packages = Vec::with_capacity(arming.methods.len());
    for training in &arming.methods {
        let path = package_path(spool, training);
        let mut training = training.clone();
        let common = training.common_mut();
        common.seed = arming.seed;
        common.threshold_quantile = arming
            .threshold_quantile
            .unwrap_or(common.threshold_quantile.max(LEAST_QUANTILE));
        common.date = Zoned::now().strftime("%Y-%m-%d").to_string();
        common.data = format!(
            "baseline of {}: {} flows in {}",
            spool.source(),
            spool.flows(),
            shown(spool.learned())
        );
        let mut progress = Progress::start(&path, &training, &learned.rows)?;
        let mut trained = training.run(
            Flows {
                rows: &learned.rows,
                identities: &learned.identities,
            },
            &mut progress,
        )?;
        if let Some(flows) = flows_per_day(&mut trained.card) {
            // Those that were left out come too.
            *flows *= every as f64;
        }
        if arming.threshold_quantile.is_none() && training.judges_single_flows() {
            raise_threshold(&mut trained.card, training.method(), arming.alerts_per_day)?;
        }
        save(&path, &trained, &arming.file)?;
        progress.finish();
        tell_raised(&learned, &trained, &text(&path)?, spool, arming)?;
        spool.set_armed(training.method())?;
        packages.push(text(&path)?);
    }
    Ok(packages)
}

fn read(spool: &Spool, every: u64) -> Result<Learned, Failure> {
    let mut learned = Learned {
        rows: Rows::new(spool.schema()),
        identities: Vec::new(),
    };
    let Input::Table(mut table) = open(&spool.rows_path())? else {
        return Err(anyhow::anyhow!("{}: no CSV", spool.rows_path().display()).into());
    };
    let mut record = Record::default();
    let mut bad = BadRows::default();
    let mut number = 0_u64;
    while let Some(result) = table.read(&mut record) {
        match (result, record.identity) {
            (Ok(()), Some(identity)) if number.is_multiple_of(every) => {
                learned.rows.push(&record.values);
                learned.identities.push(identity);
            }
            (Ok(()), _) => {}
            (Err(error), _) => bad.report(&error),
        }
        number += 1;
    }
    bad.finish(learned.rows.len() as u64)?;
    Ok(learned)
}

fn flows_per_day(card: &mut ModelCard) -> Option<&mut f64> {
    card.baseline.as_mut()?.flows_per_day.as_mut()
}

/// Raises a threshold until ordinary traffic has so many flows a day above it at most. Less than ten minutes do not
/// tell how many flows a day has: then it stays.
fn raise_threshold(card: &mut ModelCard, name: &str, alerts: f64) -> Result<(), Failure> {
    let (flows, scale) = (flows_per_day(card).copied(), Scale::of(card));
    if flows.is_none() {
        return Ok(());
    }
    let rule = Rule::PerDay(alerts);
    let threshold = rule
        .threshold(name, Some(card), scale.as_ref(), flows)
        .map_err(anyhow::Error::from)?;
    if threshold > card.threshold {
        card.threshold = threshold;
        card.threshold_rule = format!(
            "{rule}: so many of {:.0} ordinary flows a day score higher, by the tail of the held-out rows",
            flows.unwrap_or_default()
        );
        // It was that of the lower threshold.
        card.figures.remove("fpr_held_out");
    }
    Ok(())
}

/// Says what the threshold would have raised.
fn tell_raised(
    learned: &Learned,
    trained: &Trained,
    package: &str,
    spool: &Spool,
    arming: &Arming,
) -> Result<(), Failure> {
    let runtime = start_runtime(None, &arming.file)?;
    let loaded = load(&runtime, spool.schema(), package, &read_package(package)?)?;
    let mut contexts = ContextValues::new();
    Contexts::default().fill(&learned.identities, &mut contexts);
    let scores = score_rows(&loaded.detector, &learned.rows, Some(&contexts))?;
    let threshold = trained.card.threshold;
    let name = &loaded.reference.name;
    let mut raised = Raised::new(name, threshold);
    for ((row, identity), score) in learned.rows.iter().zip(&learned.identities).zip(&scores) {
        raised.judge(*score, || {
            alert_key(spool.schema(), row, identity, arming.alert_window)
        });
    }
    eprintln!(
        "{name}: its threshold {threshold} would have raised {} alerts ({} of {} flows) in the {} of the baseline; change it with --threshold",
        raised.alerts(),
        raised.above(),
        raised.flows(),
        shown(spool.learned())
    );
    Ok(())
}
