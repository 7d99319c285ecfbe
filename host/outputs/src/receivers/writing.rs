//! How messages become documents for a receiver.

use netsage_messages::{Document, Format, Message, Template, TooLarge, Wording};
use serde::{Deserialize as _, Deserializer};

/// What writes messages.
pub(crate) struct Writer {
    how: How,
    wording: Wording,
}

enum How {
    Format(Format),
    Template(Box<Template>),
}

impl Writer {
    /// Writes in a format.
    pub(crate) fn format(format: Format, wording: Wording) -> Self {
        Self {
            how: How::Format(format),
            wording,
        }
    }

    /// Writes by a template.
    pub(crate) fn template(template: Template, wording: Wording) -> Self {
        Self {
            how: How::Template(Box::new(template)),
            wording,
        }
    }

    /// The documents of a message, each at most `limit` bytes and one line without its end.
    pub(crate) fn documents(&self, message: &Message, limit: usize) -> Result<Vec<Document>, TooLarge> {
        match &self.how {
            How::Format(format) => format.keyed_documents(message, &self.wording, limit),
            How::Template(template) => template.keyed_fill(message, &self.wording, limit),
        }
    }
}

/// Reads the name of a format in options.
pub(crate) fn by_name<'de, D: Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
    let name = String::deserialize(from)?;
    name.parse().map_err(serde::de::Error::custom)
}

/// The format where options name none.
pub(crate) fn usual() -> Format {
    Format::Json
}
