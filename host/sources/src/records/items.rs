//! The records of a file as they stand in it.

use std::io::Read;

use netsage_records::formats::Items;

use super::{Incoming, Records};
use crate::SourceError;
use crate::source::Reading;

/// The records of a file one after the other, as they stand in it: in no order, and with their copies.
pub struct RecordItems<R> {
    pub(super) incoming: Incoming<R>,
}

impl<R: Read> RecordItems<R> {
    /// Appends some items, none at the end.
    ///
    /// # Errors
    /// When the bytes cannot be read on; every record before has been given.
    pub fn read(&mut self, into: &mut Items) -> Result<Reading, SourceError> {
        let taken = self.incoming.take_in(into);
        match taken {
            Ok(0) => Ok(Reading::End),
            Ok(_) => Ok(Reading::GoesOn),
            Err(source) => Err(SourceError::Read {
                name: self.incoming.records.name.clone(),
                source,
            }),
        }
    }

    /// How much of the file is no record and why, in one line; `None` when all is.
    pub fn unused(&self) -> Option<String> {
        let Records { name, reader, .. } = &self.incoming.records;
        (reader.counts().unused() > 0).then(|| format!("{name}: {}", reader.counts()))
    }
}
