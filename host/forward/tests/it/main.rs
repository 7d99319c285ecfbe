//! The spool over restarts, kills and damage.

#![allow(clippy::unwrap_used)]

mod spool;
