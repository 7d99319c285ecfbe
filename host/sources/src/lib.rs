//! Where flows come from: captures, interfaces, tables, files and streams of records of other meters, topics of Kafka, and
//! exporters of NetFlow and IPFIX.
//!
//! A [`Source`] hands over batches of flows and is told how many of them the store has taken. Two questions are kept
//! apart. *Where bytes come from* is anything that implements [`std::io::Read`]: a file or a pipe ([`open`]), a request,
//! the memory of a browser; later a socket or a broker. *What they mean* is told by their first bytes: a [`Capture`], a
//! [`Table`] or [`Records`], plain or compressed by gzip, zstd or lz4 ([`Input::open`]), or something else, which is named
//! ([`recognise`]). Packets of any origin become flows in one loop, [`Metered`].
//!
//! All of it but [`open`], the interfaces, Kafka, exporters, streams of records and the sorting of many is pure and compiles
//! to wasm, where the Lab uses it. This crate must never decide what a flow is (that is `netsage-capture`), know a detector
//! or a store, hold a file of any length in memory, allocate per packet or per flow, or lose a record without counting it.
//!
//! Start with [`source`], which says what a source promises, then [`metered`].

mod capture;
mod content;
mod error;
mod file;
#[cfg(feature = "live")]
mod interfaces;
#[cfg(feature = "kafka")]
pub mod kafka;
mod kind;
pub mod metered;
#[cfg(target_os = "linux")]
mod netflow;
mod packing;
#[cfg(not(target_family = "wasm"))]
mod piped;
mod records;
mod site;
#[cfg(not(target_family = "wasm"))]
mod socket;
pub mod source;
mod table;

pub use capture::Capture;
pub use content::{Content, Input};
pub use error::SourceError;
pub use file::{Progress, open, open_capture, open_with};
#[cfg(feature = "live")]
pub use interfaces::Interfaces;
pub use kind::{Kind, recognise};
pub use metered::{Metered, Packets, Tap};
#[cfg(target_os = "linux")]
pub use netflow::{Netflow, NetflowOptions};
pub use netsage_records::netflow::{StreamStatus, Version};
#[cfg(not(target_family = "wasm"))]
pub use piped::Piped;
#[cfg(not(target_family = "wasm"))]
pub use records::stream;
pub use records::{RecordItems, RecordOptions, RecordSource, Records};
pub use site::Site;
pub use source::{
    MOST_FLOWS, NotPassedOver, Pace, PartitionControl, PartitionState, PartitionStatus, Position, Reading,
    Source, SourceCounters, read_all, read_all_with,
};
pub use table::{Table, TableSource};
