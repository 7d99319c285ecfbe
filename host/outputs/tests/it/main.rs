//! Every output through the contract of `docs/contracts.md`: the event stream, and a toy.

mod away;
mod contract;
mod event_stream;
mod toy;
mod traffic;
