//! What goes out to receivers: messages of alerts and of the program's own events, and how each format writes them.
//!
//! A [`Message`] says what happened and why it is said now. Every message has an id and a revision: a receiver that gets a
//! message twice recognises it by the two.
//!
//! This crate must never do I/O, ask a clock, or decide when a message goes out: that is the business of `netsage-outputs`.
//!
//! Start with [`Message`].

mod message;

pub use message::{AlertMessage, Digest, Event, EventKind, EventSeverity, HeldBackBy, Message, Reason};
