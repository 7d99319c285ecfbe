//! Where alerts go.
//!
//! An [`Output`] hands alerts to one receiver. A [`Delivery`] feeds an output: the delivery follows the changes of
//! alerts in the store from a cursor that outlasts restarts, hands the changes over in the order of their revisions,
//! and moves the cursor on when the receiver has taken them. So each alert reaches the receiver **at least once** in
//! the state of its last change; a receiver recognises a repeat by the same id and the same revision.
//!
//! An output never stands in the way of recording. An output reads changes from the store at its own pace, so a
//! receiver that is slow or away costs no memory and no flow: the output lags, and the lag is counted. While the store
//! fails, nothing is sent: what an alert is, is decided in the store.
//!
//! `docs/contracts.md` says what each output must do and count; `tests/it/contract.rs` runs every output through it.
//!
//! This crate must never decide what is an alert, keep alerts of its own, or know how a detector works.
//!
//! Start with [`Output`], then [`Delivery`]; [`event_stream`] is the first member.

mod counters;
mod delivery;
pub mod event_stream;
mod news;
mod output;
mod pauses;
pub mod receivers;

pub use counters::{OutputCounters, OutputCounts};
pub use delivery::{Begin, Cursor, Delivery};
pub use news::News;
pub use output::{Failure, Output, Undelivered};
pub use pauses::Pauses;
