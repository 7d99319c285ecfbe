//! Flows: which packets belong together, and what is remembered of them.
//!
//! [`key`] says to which flow a packet belongs, [`table`] keeps the flows within a hard limit and their
//! timers, [`state`] is what one flow remembers, with [`tcp`] and [`gaps`] as its parts.
//! [`loss`] notices data that was acknowledged and never seen.

pub(crate) mod gaps;
pub(crate) mod key;
pub(crate) mod loss;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod tcp;
