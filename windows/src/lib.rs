//! Trailing windows of flows: how many flows of the last 60 s share a source, a destination, a service or a pair of
//! hosts with one, and how many of them failed.
//!
//! The window columns of `flow-v1` and `record-v1` are these counts. The schemas differ in what enters a window and when:
//! flows at their first packets there, records at their ends here; both definitions stand in `netsage_schema`. What a
//! host and a service are is the caller's choice: keys of any type that is small and can be hashed.
//!
//! This crate must never know packets, records or rows, ask a clock, or hold more memory than it was given; it compiles to
//! wasm.
//!
//! Start with [`Windows::began`].

mod counts;
mod groups;
mod windows;

pub use counts::{Answer, Counts, Host, Opening, Pair, Service};
pub use windows::{Ticket, Windows};
