//! Tests of records through the public interface.
#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]

mod identity;
mod naive;
mod order;
mod rows;
mod traffic;
