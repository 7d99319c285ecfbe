//! Every output through the contract of `docs/contracts.md`: the event stream, and a toy, on every kind of store; and
//! receivers through what can happen to them.

// A test that cannot run says so.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod contract;
mod event_stream;
mod leases;
mod lines;
mod receivers;
mod toy;
