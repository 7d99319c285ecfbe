//! Flow records of other meters: from bytes of a format to rows of `record-v1`.
//!
//! This crate must never do I/O, ask a clock, know packets or detectors, or panic on bytes from outside; it compiles to
//! wasm. Where bytes come from is the matter of `netsage-sources`.
//!
//! Start with [`Record`], what one record says. `formats` reads one.

mod record;

pub use record::{BytesOf, OwnId, Record, Sides, State};
