//! What one alert is.
//!
//! A flow that a detector scores above its threshold is a *hit*. Hits of the same detector name, source, protocol and
//! application whose flows start in the same window of time are one *alert*. This crate holds that rule and nothing
//! else: the key that hits of one alert share ([`Key`]), the id that follows from the key ([`Key::id`]), the windows
//! ([`AlertWindow`]), the flow whose addresses and score an alert shows ([`Best`]), how an alert counts more hits
//! ([`AlertRecord::extend`]), and how many alerts a threshold would have raised ([`Raised`]).
//!
//! Stores keep alerts by this rule, the pipeline explains the hits that an alert can show, and previews of thresholds
//! count by the same key. An id must never change for the same key: it is what makes a repeated delivery find the alert
//! again, in stores of earlier runs too.
//!
//! This crate must never do I/O, know a store, score a flow, or choose a threshold.
//!
//! Start with [`Key`], then [`group`] and [`AlertRecord`].

mod alert;
mod hit;
mod key;
mod raised;
pub mod text;

pub use alert::{AlertGroup, AlertRecord, group};
pub use hit::{AlertHit, Best, FlowRecord, HitOfFlow, Id};
pub use key::{AlertWindow, Key};
pub use raised::Raised;
