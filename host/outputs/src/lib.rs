//! Where alerts go.
//!
//! An [`Output`] hands messages to one receiver. A [`Delivery`] feeds an output: the delivery follows the changes of
//! alerts in the store from a cursor that outlasts restarts, decides by [`sending`] which of them become messages, hands
//! these over, and moves the cursor on when the receiver has taken them. So each alert reaches the receiver **at least
//! once** in the state of its last change; a receiver recognises a repeat by the same id and the same revision. Of several
//! programs on one store one delivers, by a lease. What happens to the program itself lies in its [`EventLog`], and goes out
//! by the same outputs while the store is away, too.
//!
//! An output never stands in the way of recording. An output reads changes from the store at its own pace, so a
//! receiver that is slow or away costs no memory and no flow: the output lags, and the lag is counted. While the store
//! fails, no alert is sent: what an alert is, is decided in the store.
//!
//! `docs/contracts.md` says what each output must do and count; `tests/it/contract.rs` runs every output through it.
//!
//! This crate must never decide what is an alert, keep alerts of its own, or know how a detector works.
//!
//! Start with [`Output`], then [`Delivery`]; [`event_stream`] is the first member, and the others are in [`receivers`].

mod counters;
mod delivery;
mod event_log;
pub mod event_stream;
mod handle;
mod kept;
mod lease;
mod news;
pub mod opening;
mod output;
mod pauses;
pub mod quantity;
pub mod receivers;
pub mod sending;
mod set_aside;
pub mod settings;
mod tables;

pub use counters::{OutputCounters, OutputCounts};
pub use delivery::{Begin, Cursor, Delivery};
pub use event_log::EventLog;
pub use handle::{Busy, Orders, OutputHandle, OutputStatus, handle};
pub use kept::Kept;
pub use lease::LEASE;
pub use news::News;
pub use output::{Failure, Output, Undelivered};
pub use pauses::Pauses;
pub use set_aside::{Refused, SetAside};
pub use tables::Tables;
