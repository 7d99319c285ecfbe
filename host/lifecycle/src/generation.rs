//! A package that is loaded, and an activation of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use netsage_api_types::DetectorRef;
use netsage_calibration::Scale;
use netsage_package::{ModelCard, Package};
use netsage_runtime::Detector;

use crate::lineup::Failing;
use crate::statistics::{DriftMonitor, Tally};
use crate::trust::Signed;

/// A package, loaded and with its instances ready.
#[derive(Debug)]
pub struct Loaded {
    /// What runs it.
    pub detector: Arc<Detector>,
    /// Name, version and digest; generation 0.
    pub reference: DetectorRef,
    /// The card in the package.
    pub card: Option<ModelCard>,
    /// The calibrated scale of its scores, where the card has one.
    pub scale: Option<Scale>,
    /// Who signed it, where signatures count.
    pub(crate) signed: Option<Signed>,
    /// Bits of the threshold, which may change while other threads score.
    threshold: AtomicU32,
}

impl Loaded {
    /// A loaded detector with its card, and the threshold of the card.
    pub fn new(detector: Arc<Detector>) -> Self {
        let description = detector.description();
        let card = detector.card().cloned();
        let given = card.as_ref().and_then(|card| card.name.clone());
        let reference = DetectorRef {
            name: given.unwrap_or_else(|| description.name.clone()),
            version: description.version.clone(),
            digest: detector.digest().to_string(),
            generation: 0,
        };
        Self::with_card(detector, reference, card)
    }

    /// A loaded detector under a name, with a card and its threshold.
    pub fn with_card(detector: Arc<Detector>, reference: DetectorRef, card: Option<ModelCard>) -> Self {
        let threshold = card.as_ref().and_then(|card| card.threshold).unwrap_or(f32::MAX);
        Self {
            detector,
            reference,
            scale: card.as_ref().and_then(Scale::of),
            signed: None,
            card,
            threshold: AtomicU32::new(threshold.to_bits()),
        }
    }

    /// The same, with its signer.
    pub(crate) fn signed_by(self, signed: Option<Signed>) -> Self {
        Self { signed, ..self }
    }

    /// The package it was loaded from.
    pub fn package(&self) -> &Package {
        self.detector.package()
    }

    /// Score above which a flow raises an alert; `f32::MAX` when neither card nor settings give one.
    pub fn threshold(&self) -> f32 {
        f32::from_bits(self.threshold.load(Ordering::Relaxed))
    }

    /// Changes the threshold; blocks under way may still be judged by the former one.
    pub fn set_threshold(&self, threshold: f32) {
        self.threshold.store(threshold.to_bits(), Ordering::Relaxed);
    }

    /// The percentile of a raw score among the scores of held-out ordinary rows, 0 to 1. `None` without a calibration.
    pub fn calibrated(&self, score: f32) -> Option<f32> {
        self.scale.as_ref().map(|scale| scale.percentile(score))
    }

    /// How rare a raw score is ([`Scale::surprise`]). `None` without a calibration.
    pub fn surprise(&self, score: f32) -> Option<f64> {
        self.scale.as_ref().map(|scale| scale.surprise(score))
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
    /// Counters since the activation.
    pub tally: Tally,
    /// Drift from the reference distributions of the card, where the card has them.
    pub drift: Option<DriftMonitor>,
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
            drift: loaded.card.as_ref().and_then(DriftMonitor::new),
            loaded,
            reference,
            tally: Tally::default(),
            failing: Failing::new(),
            suspended: AtomicBool::new(false),
        }
    }

    /// Whether the generation was taken out of use, for good: a package that scores again has a new generation.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Takes the generation out of use from the next call on; blocks under way finish. Returns whether it was in use
    /// until now.
    pub fn suspend(&self) -> bool {
        !self.suspended.swap(true, Ordering::AcqRel)
    }

    /// Whether the generation must see the blocks of flows in their order, because its detector has a state.
    pub fn is_in_order(&self) -> bool {
        self.loaded.detector.description().keeps_order()
    }
}
