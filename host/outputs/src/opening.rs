//! From the table of an output in the settings file to the output.

use netsage_messages::Wording;

use crate::Output;

/// What a table says of a receiver, checked as far as that goes without asking it.
#[derive(Debug, Clone)]
pub enum ReceiverSettings {}

/// What receivers need to know of the program.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What messages say beside what happened.
    pub wording: Wording,
}

/// Why an output cannot be made of a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The kind is not there, or is none.
    #[error("`type` is `{0}`, and must be one of {list}", list = KINDS.join(", "))]
    Kind(String),
    /// The rest of the table is not that of such a receiver.
    #[error("{0}")]
    Table(String),
    /// The receiver cannot be set up.
    #[error("{0}")]
    Receiver(String),
}

/// The kinds of receivers.
pub const KINDS: [&str; 6] = ["webhook", "file", "mail", "syslog", "mqtt", "kafka"];

impl ReceiverSettings {
    /// Reads what is left of a table when [`Common`](crate::settings::Common) has been taken out.
    ///
    /// # Errors
    /// When there is no such kind, or a key or value is not one of its kind.
    pub fn from_table(mut table: toml::Table) -> Result<Self, OpenError> {
        let kind = table.remove("type");
        let kind = kind.as_ref().and_then(toml::Value::as_str).unwrap_or_default();
        Err(OpenError::Kind(kind.to_owned()))
    }

    /// What it sends to: one of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match *self {}
    }

    /// The output. Whatever can be checked without the receiver is checked here.
    ///
    /// # Errors
    /// When a file of it cannot be read, or it cannot be set up.
    pub fn open(&self, _setting: &Setting) -> Result<Box<dyn Output>, OpenError> {
        match *self {}
    }
}
