//! What goes out to receivers: messages of alerts and of the program's own events, and how each format writes them.
//!
//! A [`Message`] says what happened and why it is said now. Every message has an id and a revision: a receiver that gets a
//! message twice recognises it by the two. A [`Format`] writes a message as documents within a limit of size, a
//! [`Template`] as the JSON that its author wants, [`syslog`] puts documents into lines, and [`mail`] gathers messages for
//! people. `docs/messages.md` shows what comes of it; [`mapping`] is its table.
//!
//! Alerts hold text of strangers: whatever it is, a document stays one document, one line, with the fields that its format
//! gives it and no mention or link of a stranger's.
//!
//! This crate must never do I/O, ask a clock, or decide when a message goes out: that is the business of `netsage-outputs`.
//!
//! Start with [`Message`], then [`Format::documents`].

mod cef;
mod documents;
mod ecs;
mod format;
pub mod mail;
pub mod mapping;
mod message;
mod ocsf;
mod own_json;
mod shorten;
mod slack;
pub mod syslog;
mod teams;
pub mod template;
mod text;
mod time;
mod tree;
mod words;

pub use cef::cef;
pub use documents::{Document, Urgency};
pub use format::{Format, TooLarge, UnknownFormat, Wording};
pub use message::{AlertMessage, Digest, Event, EventKind, EventSeverity, HeldBackBy, Message, Reason};
pub use template::{Template, TemplateError};
