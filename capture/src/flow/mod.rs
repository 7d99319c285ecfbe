//! Flows: which packets belong together, and what is remembered of them.
//!
//! [`key`] says to which flow a packet belongs, [`table`] keeps the flows and their timers within a hard limit,
//! with [`cells`] as its memory, [`index`] to find flows, and the times of [`timeout`]. [`state`] is what one flow
//! remembers, with [`tcp`] (of two [`side`]s) and [`gaps`] as parts. [`services`] tells a server by its port,
//! [`fragments`] finds the flow of later pieces, and [`loss`] notices data that was acknowledged and never seen.

pub(crate) mod cells;
pub(crate) mod fragments;
pub(crate) mod gaps;
pub(crate) mod index;
pub(crate) mod key;
pub(crate) mod loss;
mod services;
mod side;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod tcp;
pub(crate) mod timeout;
