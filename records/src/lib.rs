//! Flow records of other meters: from bytes of a format to rows of `record-v1`.
//!
//! This crate must never do I/O, ask a clock, know packets or detectors, or panic on bytes from outside; it compiles to
//! wasm. Where bytes come from is the matter of `netsage-sources`.
//!
//! Start with [`Record`], what one record says. `formats` reads one; [`Partition`] puts the records of a stream in order
//! and counts each over its trailing window; [`row_of`] makes a row of it; [`flow_id`] says which flow it is.

pub mod formats;
mod identity;
pub mod netflow;
mod order;
mod partition;
mod record;
mod row;
mod unrow;
mod windows;

pub use identity::{Exporter, FlowId, Network, Origin, flow_id};
pub use netsage_windows::Counts;
pub use order::{Key, Order, OrderCounters, Queue, Standing};
pub use partition::{Ordered, Partition};
pub use record::{BytesOf, OwnId, Record, Sides, State};
pub use row::{Row, row_of};
pub use unrow::Unrow;
pub use windows::Windows;
