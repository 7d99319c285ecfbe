//! How far the store has what a source gave, kept in the store itself.

use std::sync::Arc;

use netsage_sources::{Position, Source, SourceError};
use netsage_store::Store;

use super::SourceState;

/// Keeps positions of sources. Its calls block the thread.
#[derive(Clone)]
pub(super) struct Positions {
    pub(super) store: Arc<dyn Store>,
    pub(super) runtime: tokio::runtime::Handle,
}

impl Positions {
    /// Lets a source begin where an earlier run had it stored. A place that cannot be read is none: what is read again
    /// is known by its ids.
    pub(super) fn restore(&self, source: &mut dyn Source) -> Result<(), SourceError> {
        let key = key(source.name());
        match self.runtime.block_on(self.store.position(&key)) {
            Ok(Some(place)) => source.begin_at(&Position(place)),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(source = source.name(), %error, "kept place not read, source begins anew");
                Ok(())
            }
        }
    }

    /// Tells a source how many of its flows are stored, when the number has risen, and keeps the position that the
    /// source gives.
    pub(super) fn acknowledge(&self, state: &SourceState, source: &mut dyn Source) {
        let place = match state.news() {
            Some(flows) => source.stored(flows),
            None => source.position(),
        };
        let Some(place) = place else {
            return;
        };
        let key = key(source.name());
        if let Err(error) = self.runtime.block_on(self.store.save_position(&key, &place.0)) {
            // The next place covers this one.
            tracing::warn!(source = source.name(), %error, "place of source not kept");
        }
    }
}

/// Sources and outputs share one set of names.
fn key(name: &str) -> String {
    format!("source:{name}")
}
