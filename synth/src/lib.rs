//! A seeded generator of labelled traffic, as real Ethernet packets.
//!
//! It writes what an office network looks like from its gateway: browsing, name lookups, SSH, mail, clock
//! synchronisation, video, file transfers and small housekeeping; and, when asked, six attacks hidden in it.
//! Packets are complete: checksums, sequence numbers, windows and the first bytes of every protocol are
//! what a flow meter and an application parser expect of a capture. The same configuration gives the same
//! packets.
//!
//! This crate must never do I/O of its own (callers hand it a writer), read a clock or the system's randomness; it
//! compiles to wasm. It must never generate code, passwords or payloads of real attacks: what looks like
//! ciphertext is noise, and addresses outside the office come from ranges that belong to nobody.
//!
//! Start with [`Generator`]; `ordinary` and `attacks` hold the behaviours, `tcp` and `datagrams` turn a
//! dialogue into packets, and `hosts` is the population that talks.

mod attacks;
mod config;
mod conversation;
mod datagrams;
mod dialogue;
mod generator;
mod hosts;
mod label;
mod labels;
pub mod labels_csv;
mod ordinary;
pub mod pcap;
mod random;
mod segment;
mod tcp;
mod tls;
mod wire;

pub use config::SynthConfig;
pub use generator::{Generator, SynthPacket};
pub use label::{Behaviour, FlowLabel};
pub use labels::Labels;
