//! Packets to flows to feature rows.
//!
//! A capture file or an interface gives [`Packet`]s; a [`Meter`] decodes them, keeps a bidirectional flow table with
//! the semantics of Argus 3.0.8, and gives one record per flow and status interval: the 42 columns of UNSW-NB15, the
//! addresses and times, and the Community ID.
//!
//! The core must never do I/O beyond the [`std::io::Read`] it is handed, ask a clock, start a thread, or panic
//! on bytes from outside; it compiles to wasm. No input makes it grow beyond its limits: a record of a
//! file, the flow table and the records that wait to leave are all bounded. Only the module `live` (a
//! feature) touches the system.
//!
//! Start with [`meter::Meter::packet`]: it is the way of one packet. [`decode`] reads the headers of a packet, `flow`
//! finds its flow and holds the state of flows, `application` recognises protocols, and `features` turns a finished
//! record into a row.

mod application;
mod config;
pub mod decode;
mod engine;
mod features;
pub mod file;
mod flow;
#[cfg(feature = "live")]
pub mod live;
pub mod meter;
mod packet;
mod stats;
mod timeline;

pub use config::{MeterConfig, Mode};
pub use features::protocol_name;
pub use meter::Meter;
pub use packet::{LinkType, Packet};
pub use stats::{MeterMemory, MeterStats, NotMetered};
