//! Tests of the schema crate through its public interface.
#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]

mod batches;
mod csv;
mod features;
mod tables;
mod vocabularies;
