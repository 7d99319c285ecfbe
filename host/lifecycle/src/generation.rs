//! A package that is loaded, and an activation of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netsage_api_types::{DetectorRef, ModelCard};
use netsage_runtime::{Detector, Package, is_detector_name};

use crate::lineup::Failing;
use crate::statistics::Tally;

/// The card in a package is not a model card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model card in the package cannot be read: {message}; pack it again with the card that its training wrote"
)]
pub struct CardError {
    /// What is wrong.
    pub message: String,
}

/// Reads the card of a package.
pub(crate) fn read_card(json: &[u8]) -> Result<ModelCard, CardError> {
    let message = |message: String| CardError { message };
    let card: ModelCard = serde_json::from_slice(json).map_err(|error| message(error.to_string()))?;
    match &card.name {
        // It becomes the name of a detector, so it keeps to the contract's rule for those.
        Some(name) if !is_detector_name(name) => Err(message(format!(
            "its name {name:?} is not 1 to 64 of a-z, 0-9 and -"
        ))),
        _ => Ok(card),
    }
}

/// A package, loaded and with its instances ready.
#[derive(Debug)]
pub struct Loaded {
    /// What runs it.
    pub detector: Arc<Detector>,
    /// Name, version and digest; generation 0.
    pub reference: DetectorRef,
    /// The card in the package.
    pub card: Option<ModelCard>,
    /// Score above which a flow raises an alert; `f32::MAX` when neither card nor settings give one.
    pub threshold: f32,
}

impl Loaded {
    /// A loaded detector with its card and threshold; `thresholds` by name win over that of the card.
    ///
    /// # Errors
    /// When the card in the package is not a model card.
    pub fn new(detector: Arc<Detector>, thresholds: &BTreeMap<String, f32>) -> Result<Self, CardError> {
        let description = detector.description();
        let card = detector.card().map(read_card).transpose()?;
        let from_card = || card.as_ref().map(|card| card.threshold);
        let given = card.as_ref().and_then(|card| card.name.clone());
        let name = given.unwrap_or_else(|| description.name.clone());
        let threshold = thresholds.get(&name).copied().or_else(from_card);
        let reference = DetectorRef {
            name,
            version: description.version.clone(),
            digest: detector.digest().to_string(),
            generation: 0,
        };
        Ok(Self {
            detector,
            reference,
            card,
            threshold: threshold.unwrap_or(f32::MAX),
        })
    }

    /// The package it was loaded from.
    pub fn package(&self) -> &Package {
        self.detector.package()
    }

    /// The percentile of a raw score among the scores of held-out ordinary rows, 0 to 1: linear between the quantiles
    /// of the card's calibration, 0 below and 1 above them. `None` without a calibration.
    pub fn calibrated(&self, score: f32) -> Option<f32> {
        let quantiles = self.card.as_ref()?.calibration.as_slice();
        let steps = quantiles.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let above = quantiles.partition_point(|quantile| *quantile <= score);
        if above == 0 {
            return Some(0.0);
        }
        let (Some(low), Some(high)) = (quantiles.get(above - 1), quantiles.get(above)) else {
            return Some(1.0);
        };
        // `low <= score < high`, so the width is not zero.
        let within = (score - low) / (high - low);
        Some(((above - 1) as f32 + within) / steps as f32)
    }
}

/// One activation of a package, as canary or as active one. Numbers rise, over restarts too, and are never used again.
#[derive(Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// The package.
    pub loaded: Arc<Loaded>,
    /// Name, version, digest and number: what scores and alerts carry.
    pub reference: DetectorRef,
    /// What it did since it began.
    pub tally: Tally,
    pub(crate) failing: Failing,
    suspended: AtomicBool,
}

impl Generation {
    /// The activation `number` of a package.
    pub fn new(number: u64, loaded: Arc<Loaded>) -> Self {
        let reference = DetectorRef {
            generation: number,
            ..loaded.reference.clone()
        };
        Self {
            number,
            loaded,
            reference,
            tally: Tally::default(),
            failing: Failing::new(),
            suspended: AtomicBool::new(false),
        }
    }

    /// Whether it was taken out of use. That is for good: a package that scores again does so as another generation.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Takes it out of use from the next call on; blocks under way finish. Says whether it was in use until now.
    pub fn suspend(&self) -> bool {
        !self.suspended.swap(true, Ordering::AcqRel)
    }

    /// Whether it must see the blocks of flows in their order: it has a state.
    pub fn is_in_order(&self) -> bool {
        self.loaded.detector.description().keeps_order()
    }
}

#[cfg(test)]
mod tests {
    use super::read_card;

    #[test]
    fn a_name_in_a_card_is_one_for_detectors() {
        let check = |name: &str, expected: bool| {
            let json = format!(
                r#"{{"name":{name},"schema":"unsw-nb15@1","data":"","rows":0,"columns":[],"seed":0,"date":"","threshold":0.5,"threshold_rule":"","calibration":[],"figures":{{}},"notes":[]}}"#
            );
            assert_eq!(read_card(json.as_bytes()).is_ok(), expected, "{name}");
        };
        check("null", true);
        check(r#""iforest-dmz""#, true);
        check(r#""""#, false);
        check(r#""../etc""#, false);
        check(r#""Forest""#, false);
    }
}
