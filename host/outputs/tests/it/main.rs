//! Every output through the contract of `docs/contracts.md`: the live stream, and a toy.

mod away;
mod contract;
mod live_stream;
mod toy;
mod traffic;
