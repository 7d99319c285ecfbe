//! Receivers that outputs speak to, each with the options that its table of the settings file has.
//!
//! An option that is a secret names a file, which is read again whenever it is used.

mod address;
mod batch;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod mail;
pub mod mqtt;
mod parts;
mod secret;
mod stream;
pub mod syslog;
mod tls;
pub mod webhook;
mod writing;

pub use address::AddressError;
pub use secret::SecretError;
pub use tls::TlsError;
