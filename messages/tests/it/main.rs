//! Messages as receivers read them.

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
