//! What one alert is.
//!
//! A flow that a detector scores above its threshold is a *hit*. Hits of the same detector name, network, source, protocol
//! and application whose flows start in the same window of time are one *alert*. So many alerts would be made by a flood that
//! two bounds hold: a target that many sources hit has one alert for all of them, and of one detector, kind and window a
//! limited number of alerts is shown. This crate holds that rule and nothing else: the id that follows from what an alert
//! is of ([`Key`], [`Cell`]), the windows ([`AlertWindow`]), the flow whose addresses and score an alert shows ([`Best`]), how
//! an alert counts more hits ([`AlertRecord::extend`]), what has to be kept of each source, target and kind ([`Part`],
//! [`Summary`], [`Sketch`]), the bounds as a model in memory ([`Bounded`]), and how many alerts a threshold would have
//! raised ([`Raised`]).
//!
//! Alerts are a function of the hits that were counted: neither the order of deliveries, nor repeats, nor how they are cut
//! makes a difference. An id must never change for the same key: it is what makes a repeated delivery find the alert again,
//! in stores of earlier runs too. Stores keep alerts by this rule, the pipeline explains the hits that an alert can show, and
//! previews of thresholds count by the same key.
//!
//! This crate must never do I/O, know a store, score a flow, or choose a threshold.
//!
//! Start with [`Key`] and [`AlertRecord`], then [`Bounded`] and [`group`].

mod alert;
mod bounded;
mod group;
mod hit;
mod key;
mod part;
mod raised;
#[cfg(test)]
mod samples;
mod sketch;
pub mod text;

pub use alert::{AlertRecord, best_of};
pub use bounded::{AlertLimits, Bounded};
pub use group::{CellHits, by_source, group, target_of};
pub use hit::{AlertHit, Best, FlowRecord, HitOfFlow, Id};
pub use key::{AlertWindow, Cell, Key};
pub use netsage_schema::Provenance;
pub use part::{Part, Summary};
pub use raised::Raised;
pub use sketch::Sketch;
