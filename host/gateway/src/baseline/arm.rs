//! From a baseline to detectors: trains, packs, and says what they would have raised.

use std::net::SocketAddr;

use anyhow::anyhow;
use jiff::Zoned;
use netsage_alerts::{AlertLimits, AlertWindow, Raised};
use netsage_calibration::{Rule, Scale};
use netsage_models::{Flows, Trained, Training};
use netsage_package::ModelCard;
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::csv::CsvRow;
use netsage_schema::{AddressKey, Contexts, Identity, Rows};
use netsage_sources::{Input, open};

use super::spool::Spool;
use super::{Observer, package_path, shown, text};
use crate::catalog::{component, load, read_package, write_whole};
use crate::pipeline::{alert_key, score_rows};

/// Flows that are trained on at most: of more, every second, third, ... is taken, which bounds the memory.
const MOST_FLOWS: u64 = 300_000;

/// Where nobody knows how many flows a day has: a gateway has tens of thousands, and nobody reads hundreds of alerts.
const LEAST_QUANTILE: f64 = 0.999;

/// How to arm.
#[derive(Debug, Clone)]
pub struct Arming {
    /// What to train, with its options.
    pub methods: Vec<Training>,
    /// Quantile of held-out ordinary scores that becomes the threshold, 0.5 to 1; otherwise it comes from
    /// `alerts_per_day`.
    pub threshold_quantile: Option<f64>,
    /// Ordinary flows a day that each detector may alert, above 0.
    pub alerts_per_day: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// The windows of the store that the detectors will raise alerts in.
    pub alert_window: AlertWindow,
    /// The limits of these alerts.
    pub alert_limits: AlertLimits,
    /// The runtime that the packages are checked in.
    pub runtime: RuntimeConfig,
}

/// The flows of a baseline in memory.
struct Learned {
    rows: Rows,
    identities: Vec<Identity>,
}

/// Trains every method on the flows of the baseline and writes its package beside them. Gives the paths of the packages.
///
/// # Errors
/// When a training is not possible, is interrupted, or a package cannot be written.
pub fn arm(arming: &Arming, spool: &mut Spool, observer: &mut dyn Observer) -> anyhow::Result<Vec<String>> {
    spool.save()?;
    let every = spool.flows().div_ceil(MOST_FLOWS).max(1);
    let learned = read(spool, every)?;
    if every > 1 {
        observer.tell(&format!(
            "training on one flow of every {every}: {}",
            learned.rows.len()
        ));
    }
    let runtime = Runtime::new(arming.runtime.clone())?;
    // Packets are metered meanwhile.
    runtime.give_way();
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
        let flows = Flows {
            rows: &learned.rows,
            identities: &learned.identities,
        };
        let mut trained = observer.train(&training, flows, &path)?;
        if let Some(flows) = flows_per_day(&mut trained.card) {
            // Those that were left out come too.
            *flows *= every as f64;
        }
        if arming.threshold_quantile.is_none() && training.judges_single_flows() {
            raise_threshold(&mut trained.card, training.method(), arming.alerts_per_day)?;
        }
        let json = trained.card.to_json()?;
        let package = runtime.pack(
            component(trained.detector)?,
            &trained.artifact,
            Some(json.as_bytes()),
        )?;
        write_whole(&path, package.bytes())?;
        let package_digest = package.digest();
        observer.packed();
        observer.tell(&format!(
            "trained on {} rows; wrote {} ({} bytes); `netsage detector inspect` shows its card",
            trained.card.rows,
            path.display(),
            package.bytes().len()
        ));
        let package = text(&path)?;
        observer.tell(&raised(&learned, &trained, &package, spool, (arming, &runtime))?);
        spool.set_armed(training.method(), &package_digest)?;
        packages.push(package);
    }
    Ok(packages)
}

fn read(spool: &Spool, every: u64) -> anyhow::Result<Learned> {
    let mut learned = Learned {
        rows: Rows::new(spool.schema()),
        identities: Vec::new(),
    };
    let (Input::Table(mut table), _) = open(&spool.rows_path())? else {
        return Err(anyhow!("{}: no CSV", spool.rows_path().display()));
    };
    let mut row = CsvRow::default();
    let mut number = 0_u64;
    while let Some(result) = table.read(&mut row) {
        // A damaged row costs itself.
        if let (Ok(()), Some(identity)) = (result, row.identity)
            && number.is_multiple_of(every)
        {
            learned.rows.push(&row.values);
            learned.identities.push(identity);
        }
        number += 1;
    }
    Ok(learned)
}

fn flows_per_day(card: &mut ModelCard) -> Option<&mut f64> {
    card.reference.as_mut()?.flows_per_day.as_mut()
}

/// Raises a threshold until ordinary traffic has so many flows a day above it at most. Less than ten minutes do not
/// tell how many flows a day has: then it stays.
fn raise_threshold(card: &mut ModelCard, name: &str, alerts: f64) -> anyhow::Result<()> {
    let (flows, scale) = (flows_per_day(card).copied(), Scale::of(card));
    if flows.is_none() {
        return Ok(());
    }
    let rule = Rule::PerDay(alerts);
    let threshold = rule.threshold(name, Some(card), scale.as_ref(), flows)?;
    if Some(threshold) > card.threshold {
        card.threshold = Some(threshold);
        card.threshold_rule = format!(
            "{rule}: so many of {:.0} ordinary flows a day score higher, by the tail of the held-out rows",
            flows.unwrap_or_default()
        );
        // It was that of the lower threshold.
        card.figures.remove("fpr_held_out");
    }
    Ok(())
}

/// What the threshold would have raised, in a sentence.
fn raised(
    learned: &Learned,
    trained: &Trained,
    package: &str,
    spool: &Spool,
    (arming, runtime): (&Arming, &Runtime),
) -> anyhow::Result<String> {
    let loaded = load(runtime, spool.schema(), package, &read_package(package)?)?;
    let contexts = Contexts::of(&learned.identities, &AddressKey::OF_FILES);
    let scores = score_rows(&loaded.detector, &learned.rows, Some(&contexts))?;
    let threshold = trained.card.threshold.unwrap_or(f32::MAX);
    let name = &loaded.reference.name;
    let mut raised = Raised::new(name, threshold, arming.alert_limits);
    for ((row, identity), score) in learned.rows.iter().zip(&learned.identities).zip(&scores) {
        raised.judge(*score, || {
            let target = SocketAddr::new(identity.destination, identity.destination_port);
            let key = alert_key(spool.schema(), row, identity, arming.alert_window);
            (key, target)
        });
    }
    Ok(format!(
        "{name}: its threshold {threshold} would have raised {} alerts ({} of {} flows) in the {} of the baseline; change it with --threshold",
        raised.alerts(),
        raised.above(),
        raised.flows(),
        shown(spool.learned())
    ))
}
