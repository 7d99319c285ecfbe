//! Tests of the meter from outside: hand-built packets, real captures, and invariants on any input.

#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]
#![allow(clippy::print_stdout, reason = "a test that skips says so")]

mod captures;
mod decode;
mod files;
mod flow_v1;
mod invariants;
mod limits;
mod live_clock;
mod packets;
mod record_v1;
mod rules;
