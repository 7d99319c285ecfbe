//! What the fuzz targets feed to the packet path, and what has to hold whatever they feed.
//!
//! The engine makes bytes; this crate reads them as a file, a packet, or a sequence of packets with times and
//! settings. The form is simple on purpose: a change of one byte changes one thing, so that the engine learns
//! what it did. The corpus in `corpus/` is written in the same form by the program `fuzz-corpus`.
//!
//! Each check panics when an invariant is broken, which the engine keeps as a finding with its input.

mod check;
mod event;
pub mod packets;

pub use check::{decode, file, meter};
pub use event::{LINKS, write_head, write_packet};
