//! What stands in rows as a number: detectors and labels.

use hashbrown::HashMap;
use netsage_alerts::{FlowRecord, Provenance};
use netsage_api_types::{DetectorRef, FlowScore};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::Fields;
use crate::StoreError;

/// Most labels with a provenance that are remembered: whoever makes names up is not to take memory for each.
const MOST_LABELS: usize = 1 << 16;

/// Finds or makes the numbers of labels, which are protocol, application, state and provenance of a flow together. Rows of
/// labels are never changed or deleted, so that numbers may be remembered.
#[derive(Debug, Default)]
pub(super) struct Labels {
    known: HashMap<[&'static str; 3], i64>,
    /// Those of flows with a provenance.
    of_provenance: HashMap<([&'static str; 3], Provenance), i64>,
}

impl Labels {
    pub(super) fn number(&mut self, connection: &Connection, flow: &FlowRecord) -> rusqlite::Result<i64> {
        let (terms, provenance) = ([flow.protocol, flow.service, flow.state], &flow.provenance);
        if provenance.is_none() {
            if let Some(&number) = self.known.get(&terms) {
                return Ok(number);
            }
            let number = label_number(connection, terms, provenance)?;
            self.known.insert(terms, number);
            return Ok(number);
        }
        let label = (terms, provenance.clone());
        if let Some(&number) = self.of_provenance.get(&label) {
            return Ok(number);
        }
        let number = label_number(connection, terms, provenance)?;
        if self.of_provenance.len() >= MOST_LABELS {
            self.of_provenance.clear();
        }
        self.of_provenance.insert(label, number);
        Ok(number)
    }
}

/// The number of a label, made when there is none.
fn label_number(connection: &Connection, terms: [&str; 3], provenance: &Provenance) -> rusqlite::Result<i64> {
    let [protocol, service, state] = terms;
    let (sensor, network) = (provenance.sensor(), provenance.network());
    let label = params![protocol, service, state, sensor, network, provenance.is_late()];
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO labels (protocol, service, state, sensor, network, is_late) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(label)?;
    connection
        .prepare_cached(
            "SELECT number FROM labels WHERE protocol = ?1 AND service = ?2 AND state = ?3 AND sensor = ?4 \
             AND network = ?5 AND is_late = ?6",
        )?
        .query_row(label, |row| row.get(0))
}

/// Finds or makes the number of a detector; one look-up per detector and transaction.
pub(super) struct DetectorNumbers<'a> {
    connection: &'a Connection,
    known: HashMap<&'a DetectorRef, u32>,
    /// Those of the batch at hand, by their place in it.
    of_batch: Vec<u32>,
}

impl<'a> DetectorNumbers<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
            of_batch: Vec::new(),
        }
    }

    pub(super) fn number(&mut self, detector: &'a DetectorRef) -> rusqlite::Result<u32> {
        let number = self.find(detector)?;
        self.known.insert(detector, number);
        Ok(number)
    }

    /// Likewise for a detector that the batches need not have.
    pub(super) fn find(&self, detector: &DetectorRef) -> rusqlite::Result<u32> {
        if let Some(&number) = self.known.get(detector) {
            return Ok(number);
        }
        let key = params![
            detector.digest,
            detector.name,
            detector.version,
            detector.generation.cast_signed()
        ];
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO detectors (digest, name, version, generation) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(key)?;
        self.connection
            .prepare_cached(
                "SELECT number FROM detectors WHERE digest = ?1 AND name = ?2 AND version = ?3 AND generation = ?4",
            )?
            .query_row(key, |row| row.get(0))
    }

    /// Finds the numbers of all detectors of a batch.
    pub(super) fn number_all(&mut self, detectors: &'a [DetectorRef]) -> rusqlite::Result<()> {
        self.of_batch.clear();
        for detector in detectors {
            let number = self.number(detector)?;
            self.of_batch.push(number);
        }
        Ok(())
    }

    /// Packs the scores of a flow of the batch into `packed`.
    pub(super) fn pack(&self, scores: impl Iterator<Item = (u16, f32)>, packed: &mut Vec<u8>) {
        packed.clear();
        for (detector, score) in scores {
            let number = self.of_batch[usize::from(detector)];
            packed.extend_from_slice(&number.to_le_bytes());
            packed.extend_from_slice(&score.to_le_bytes());
        }
    }
}

/// Unpacks scores, looking detectors up by number.
pub(super) struct DetectorNames<'a> {
    connection: &'a Connection,
    known: HashMap<u32, DetectorRef>,
}

impl<'a> DetectorNames<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<Vec<FlowScore>, StoreError> {
        let (pairs, rest) = packed.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(StoreError::Damaged {
                detail: "the scores of a flow are cut short".to_owned(),
            });
        }
        let mut scores = Vec::with_capacity(pairs.len());
        for &[n0, n1, n2, n3, s0, s1, s2, s3] in pairs {
            let number = u32::from_le_bytes([n0, n1, n2, n3]);
            let detector = self.detector(number)?;
            scores.push(FlowScore {
                detector,
                score: f32::from_le_bytes([s0, s1, s2, s3]),
            });
        }
        Ok(scores)
    }

    fn detector(&mut self, number: u32) -> Result<DetectorRef, StoreError> {
        if let Some(detector) = self.known.get(&number) {
            return Ok(detector.clone());
        }
        let detector = self
            .connection
            .prepare_cached("SELECT name, version, digest, generation FROM detectors WHERE number = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([number], |row| Fields::new(row).detector())
                    .optional()
            })
            .map_err(StoreError::sqlite("read a detector"))?
            .ok_or_else(|| StoreError::Damaged {
                detail: format!("a flow has a score of unknown detector {number}"),
            })?;
        self.known.insert(number, detector.clone());
        Ok(detector)
    }
}
