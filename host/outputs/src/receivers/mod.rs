//! Receivers: one output for each kind of them.

mod address;
mod batch;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod mqtt;
mod stream;
pub mod syslog;
mod tls;

pub use address::AddressError;
pub use tls::TlsError;
