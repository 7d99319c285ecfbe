//! Receivers that outputs speak to, each with the options that its table of the settings file has.
//!
//! An option that is a secret names a file, which is read again whenever it is used.

pub mod file;
pub mod mail;
mod parts;
mod secret;
mod tls;
pub mod webhook;
mod writing;

pub use secret::SecretError;
pub use tls::TlsError;
