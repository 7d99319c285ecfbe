//! The gateway: reads packets, scores their flows with detectors, stores the alerts and serves them.
//!
//! This crate connects the others and holds no knowledge of its own about packets (`netsage-capture`),
//! features (`netsage-schema`), WebAssembly (`netsage-runtime`) or databases (`netsage-store`). It must never
//! lose a flow without counting it, let one bad detector or one bad row stop the rest, or panic on input.
//!
//! Start with [`gateway`], which starts and stops the whole, then [`pipeline`], the way of a flow from the meter to the
//! store. [`opening`] opens the source, [`baseline`] learns what is normal, [`catalog`] holds the detectors,
//! [`api`] serves both behind the limits of [`server`], [`condition`] says what is wrong, [`traffic`] asks the store what
//! thresholds would have raised, [`outputs`] sends alerts on, [`evidence`] keeps packets where that is asked for, [`senders`] knows who
//! forwards flows to this program, [`privileges`] gives up root, [`private_files`] keeps data from other users, [`descriptors`] makes room for connections, [`config`] says which settings
//! there are.

pub mod address_key;
mod announcer;
pub mod api;
pub mod assets;
pub mod baseline;
pub mod catalog;
pub mod condition;
pub mod config;
pub mod descriptors;
pub mod evidence;
mod forwarding;
pub mod gateway;
mod no_store;
pub mod opening;
pub mod outputs;
pub mod pipeline;
pub mod private_files;
pub mod privileges;
pub mod senders;
pub mod server;
pub mod traffic;

pub use announcer::Announcer;
