//! Packets to flows to feature rows.
//!
//! A capture file or an interface gives [`Packet`]s. A [`Meter`] decodes the packets, keeps a bidirectional flow table
//! with the semantics of Argus 3.0.8, and gives one record per flow and status interval: the columns of the schema
//! (`unsw-nb15` or `flow-v1`), addresses and times, and the Community ID.
//!
//! The core must never do I/O beyond the [`std::io::Read`] that a caller hands over, ask a clock, start a thread, or
//! panic on bytes from outside; the core compiles to wasm. Memory is bounded for every input: the record of a file that
//! is being read, the flow table, and the finished records that have not been drained. Only the module `live` (a feature)
//! touches the system.
//!
//! Start with [`meter::Meter::packet`], the way of one packet. [`decode`] reads the headers of a packet, `flow` finds the
//! flow of a packet and holds the state of flows, `application` recognises protocols, and `features` turns a finished
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
pub use meter::Meter;
pub use netsage_schema::protocol::name as protocol_name;
pub use packet::{LinkType, Packet};
pub use stats::{MeterMemory, MeterStats, NotMetered};
