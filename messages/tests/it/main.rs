//! Messages as receivers read them.
#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]
#![allow(clippy::print_stdout, reason = "a test that skips says so")]

mod cef;
mod chat;
mod hostile;
mod limits;
mod mail;
mod mapping;
mod names;
mod own_json;
mod samples;
mod schemas;
mod syslog;
mod template;
