//! The store of a gateway that only forwards: it holds nothing but the places of sources.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netsage_alerts::{AlertLimits, AlertWindow};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};
use netsage_store::{
    BoxFuture, Changes, FlowBatchRecord, Store, StoreError, StoreOverview, StoreSeries, StoreSeriesQuery,
};

/// The file with the places of sources.
const FILE: &str = "places.json";

/// A store that takes everything and keeps nothing of it.
pub(crate) struct NoStore {
    file: PathBuf,
    places: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl NoStore {
    /// Opens it in a folder. A file that cannot be read is none: what is read again has equal ids.
    pub(crate) fn open(folder: &Path) -> Self {
        let file = folder.join(FILE);
        let places = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "kept places not read, sources begin anew");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "kept places not read, sources begin anew");
                BTreeMap::new()
            }
        };
        Self {
            file,
            places: Mutex::new(places),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves a place where `may` allows it, by what is saved; says whether.
    fn save(
        &self,
        name: &str,
        place: &[u8],
        may: impl Fn(Option<&[u8]>) -> bool,
    ) -> Result<bool, StoreError> {
        let mut places = self.places();
        if !may(places.get(name).map(Vec::as_slice)) {
            return Ok(false);
        }
        places.insert(name.to_owned(), place.to_vec());
        let written = serde_json::to_vec(&*places).map_err(io::Error::from);
        // Whole or not there. It need not be on the disk before a loss of power: an older place only repeats more.
        let fresh = self.file.with_extension("new");
        let saved = written
            .and_then(|bytes| fs::write(&fresh, bytes))
            .and_then(|()| fs::rename(&fresh, &self.file));
        saved.map(|()| true).map_err(|error| StoreError::CannotOpen {
            path: self.file.clone(),
            reason: error.to_string(),
        })
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(async { Ok(value) })
}

fn no_page<'a, T: Send + 'a>() -> BoxFuture<'a, Result<Page<T>, StoreError>> {
    ready(Page {
        items: Vec::new(),
        next: None,
    })
}

impl Store for NoStore {
    fn kind(&self) -> &'static str {
        "none"
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(())
    }

    fn alert_window(&self) -> AlertWindow {
        AlertWindow::default()
    }

    fn alert_limits(&self) -> AlertLimits {
        AlertLimits::default()
    }

    fn record<'a>(&'a self, _: &'a [Arc<FlowBatchRecord>]) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        ready(Vec::new())
    }

    fn alerts<'a>(&'a self, _: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        no_page()
    }

    fn alert<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        ready(None)
    }

    fn change_state<'a>(
        &'a self,
        _: &'a str,
        _: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        ready(None)
    }

    fn changes(&self, _: u64, _: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        ready(Changes {
            items: Vec::new(),
            newest: 0,
        })
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        ready(self.places().get(name).cloned())
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let saved = self.save(name, position, |_| true);
        Box::pin(async { saved.map(|_| ()) })
    }

    fn swap_position<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let saved = self.save(name, position, |saved| saved == expected);
        Box::pin(async { saved })
    }

    fn flows<'a>(&'a self, _: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        no_page()
    }

    fn overview(&self, step_ms: i64, _: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        ready(StoreOverview {
            step: step_ms,
            points: Vec::new(),
            top_sources: Vec::new(),
            alerts_new: 0,
            alerts_total: 0,
        })
    }

    fn series<'a>(&'a self, _: &'a StoreSeriesQuery) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>> {
        ready(Vec::new())
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        ready(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_outlive_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = NoStore::open(folder.path());
        assert_eq!(store.position("source:a").await.unwrap(), None);
        store.save_position("source:a", &[1, 255]).await.unwrap();
        store.save_position("source:b", b"2").await.unwrap();
        let store = NoStore::open(folder.path());
        assert_eq!(store.position("source:a").await.unwrap(), Some(vec![1, 255]));
        assert!(!store.swap_position("source:b", None, b"3").await.unwrap());
        assert!(store.swap_position("source:b", Some(b"2"), b"3").await.unwrap());
        assert_eq!(store.position("source:b").await.unwrap(), Some(b"3".to_vec()));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(
            NoStore::open(folder.path()).position("source:b").await.unwrap(),
            None
        );
    }
}
