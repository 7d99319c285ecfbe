//! The crate as its users call it.

mod metrics;
mod train;
mod unsw_nb15;
