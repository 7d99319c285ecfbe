//! What the clients of Kafka in this program have in common, whether they read flows or send alerts: how settings of
//! librdkafka are given, how its lines reach the log, and what keeps a client from its work.
//!
//! This crate must never know what is in a message, and hold no client itself.
//!
//! Start with `add_settings`, by which every client is configured, then `Trouble`.

#[cfg(feature = "client")]
mod client;
mod settings;
#[cfg(feature = "client")]
mod trouble;

#[cfg(feature = "client")]
pub use client::{add_settings, check, is_same, log, without_value};
pub use settings::{pair, read_settings};
#[cfg(feature = "client")]
pub use trouble::Trouble;
