//! The program as its users meet it: the real binary, real files, the real API on a free port.

// Tests state their expectations by panicking, and say on the terminal what they skip.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod api;
mod bad_input;
mod baseline;
mod captures;
mod cards;
mod counting;
mod detectors;
mod document;
mod evidence;
#[cfg(target_os = "linux")]
mod forward;
#[cfg(target_os = "linux")]
mod forwarded;
mod input_page;
mod inputs;
#[cfg(feature = "live")]
mod judgement;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kills;
mod live;
mod measures;
mod memory;
#[cfg(target_os = "linux")]
mod netflow;
mod networks;
mod outages;
mod outputs;
mod outputs_killed;
mod pages;
mod prometheus;
mod provenance;
mod records;
mod recover;
mod replay;
mod schemas;
#[cfg(feature = "kafka")]
mod scorers;
mod secrets;
mod shuffled;
mod sources;
mod starts;
mod streams;
mod support;
mod swaps;
#[cfg(feature = "live")]
mod wire;
