//! Messages as documents: of a message there can be several, and it is taken when all of them are.

use netsage_messages::{Document, Format, Message, TooLarge, Wording};

use crate::{Failure, Undelivered};

/// A document, and what kind of message it is of.
pub(crate) struct Written {
    pub(crate) kind: &'static str,
    pub(crate) document: Document,
}

impl Written {
    /// The documents of a message.
    pub(crate) fn of(
        message: &Message,
        format: Format,
        wording: &Wording,
        limit: usize,
    ) -> Result<Vec<Self>, TooLarge> {
        let kind = message.kind();
        let documents = format.keyed_documents(message, wording, limit)?;
        Ok(documents
            .into_iter()
            .map(|document| Self { kind, document })
            .collect())
    }
}

/// What is handed over at once: documents, or lines of them.
pub(crate) struct Batch<T> {
    /// The documents in their order, each with the place of its message.
    documents: Vec<(usize, T)>,
    /// Messages of which all documents are there.
    messages: usize,
    /// Why the message after these is refused.
    refusal: Option<String>,
}

impl<T> Batch<T> {
    /// Writes messages, up to the first that cannot be written.
    pub(crate) fn of(messages: &[Message], write: impl Fn(&Message) -> Result<Vec<T>, TooLarge>) -> Self {
        let mut batch = Self {
            documents: Vec::with_capacity(messages.len()),
            messages: 0,
            refusal: None,
        };
        for (place, message) in messages.iter().enumerate() {
            match write(message) {
                Ok(documents) => batch
                    .documents
                    .extend(documents.into_iter().map(|one| (place, one))),
                Err(error) => {
                    batch.refusal = Some(error.to_string());
                    break;
                }
            }
            batch.messages = place + 1;
        }
        batch
    }

    /// The documents, in their order.
    pub(crate) fn documents(&self) -> impl ExactSizeIterator<Item = &T> {
        self.documents.iter().map(|(_, document)| document)
    }

    /// What is to be said when all documents were taken.
    pub(crate) fn taken(&self) -> Result<(), Undelivered> {
        match &self.refusal {
            None => Ok(()),
            Some(reason) => Err(Undelivered {
                taken: self.messages,
                failure: Failure::Refused(reason.clone()),
            }),
        }
    }

    /// What is to be said when so many documents were taken, and then something stood in the way.
    pub(crate) fn failed(&self, documents: usize, failure: Failure) -> Result<(), Undelivered> {
        let place = self.documents.get(documents).map(|(place, _)| *place);
        let taken = place.unwrap_or(self.messages);
        Err(Undelivered { taken, failure })
    }
}
