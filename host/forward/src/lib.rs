//! The gateway that forwards: what it meters goes to a central, by HTTPS or a topic of Kafka, and is not lost on the way.
//!
//! The pipeline encodes each flow as a [`message`] and appends it to the [`spool`], a bounded log on disk; only then is the
//! source told that its flow is stored. A thread of its own empties the spool ([`Forwarder`]): the cursor moves when the receiver
//! says that it has the records, never before, so that a kill repeats some and loses none. Repeats have the same ids, and
//! the central's store holds each flow once.
//!
//! This crate must never score, know a store or a detector, or hold up the pipeline but for writing the spool. What it has to
//! give up is counted, each record once.
//!
//! Start with [`spool`], then [`message`], then [`Forwarder`].

mod backoff;
mod forwarder;
mod https;
pub mod message;
mod sender;
pub mod spool;
#[cfg(feature = "kafka")]
mod topic;

pub use forwarder::{ForwardStatus, Forwarder, Target, Trouble};
pub use https::{HttpsError, HttpsOptions};
pub use sender::{HEADER, SenderNote};
