//! Between rows and the types of the API.

use std::collections::HashMap;

use netsage_api_types::{Alert, AlertState, DetectorRef, Flow, FlowScore, Severity};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::grouping::AlertRecord;
use crate::record::{Id, to_hex, to_unsigned};

/// The columns that [`alert`] reads, in its order.
pub(super) const ALERT_COLUMNS: &str = "a.id, a.first_seen_ms, a.last_seen_ms, a.count, a.kind, a.source, \
     a.source_port, a.destination, a.destination_port, a.protocol, a.community_id, a.score, a.threshold, a.severity, \
     d.name, d.version, d.digest, a.schema, a.contributions, a.state, a.changed_by, a.changed_ms, a.best_flow, \
     a.number FROM alerts a JOIN detectors d ON d.number = a.detector";

/// The columns that [`flow`] reads, in its order.
pub(super) const FLOW_COLUMNS: &str = "id, start_ms, end_ms, source, source_port, destination, destination_port, \
     protocol, service, state, packets, bytes, community_id, scores FROM flows";

const SEVERITIES: [Severity; 4] = [
    Severity::Low,
    Severity::Medium,
    Severity::High,
    Severity::Critical,
];

const STATES: [AlertState; 3] = [AlertState::New, AlertState::Acknowledged, AlertState::Closed];

pub(super) fn state_code(state: AlertState) -> i64 {
    match state {
        AlertState::New => 0,
        AlertState::Acknowledged => 1,
        AlertState::Closed => 2,
    }
}

/// The columns of a row, one after the other.
struct Fields<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Fields<'a, 'r> {
    fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let column = self.next;
        self.next += 1;
        self.row.get(column)
    }

    fn id(&mut self) -> rusqlite::Result<String> {
        Ok(to_hex(&self.take::<Id>()?))
    }

    fn count(&mut self) -> rusqlite::Result<u64> {
        Ok(to_unsigned(self.take()?))
    }

    /// One of `choices`, stored as its position.
    fn choice<T: Copy>(&mut self, choices: &[T]) -> rusqlite::Result<T> {
        let column = self.next;
        let code: i64 = self.take()?;
        usize::try_from(code)
            .ok()
            .and_then(|position| choices.get(position).copied())
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, code))
    }

    fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let column = self.next;
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        })
    }

    fn detector(&mut self) -> rusqlite::Result<DetectorRef> {
        Ok(DetectorRef {
            name: self.take()?,
            version: self.take()?,
            digest: self.take()?,
            generation: 0,
        })
    }
}

/// Reads an alert, the flow that gave it its face, and its number.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<(AlertRecord, i64)> {
    let mut fields = Fields::new(row);
    // The fields of a struct are evaluated in the order in which they are written: that of `ALERT_COLUMNS`.
    let alert = Alert {
        id: fields.id()?,
        first_seen: fields.take()?,
        last_seen: fields.take()?,
        count: fields.count()?,
        kind: fields.take()?,
        source: fields.take()?,
        source_port: fields.take()?,
        destination: fields.take()?,
        destination_port: fields.take()?,
        protocol: fields.take()?,
        community_id: fields.take()?,
        score: fields.take()?,
        threshold: fields.take()?,
        severity: fields.choice(&SEVERITIES)?,
        detector: fields.detector()?,
        schema: fields.take()?,
        contributions: fields.json()?,
        state: fields.choice(&STATES)?,
        changed_by: fields.take()?,
        changed_at: fields.take()?,
    };
    let best_flow = fields.id()?;
    Ok((AlertRecord { alert, best_flow }, fields.take()?))
}

/// Reads a flow and its packed scores.
pub(super) fn flow(row: &Row<'_>) -> rusqlite::Result<(Flow, Vec<u8>)> {
    let mut fields = Fields::new(row);
    // In the order of `FLOW_COLUMNS`, as above.
    let flow = Flow {
        id: fields.id()?,
        start: fields.take()?,
        end: fields.take()?,
        source: fields.take()?,
        source_port: fields.take()?,
        destination: fields.take()?,
        destination_port: fields.take()?,
        protocol: fields.take()?,
        service: fields.take()?,
        state: fields.take()?,
        packets: fields.count()?,
        bytes: fields.count()?,
        community_id: fields.take()?,
        scores: Vec::new(),
        fused: None,
    };
    Ok((flow, fields.take()?))
}

/// Finds or makes the number of a detector; one look-up per detector and transaction.
pub(super) struct DetectorNumbers<'a> {
    connection: &'a Connection,
    known: HashMap<&'a DetectorRef, u32>,
}

impl<'a> DetectorNumbers<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    pub(super) fn number(&mut self, detector: &'a DetectorRef) -> rusqlite::Result<u32> {
        if let Some(&number) = self.known.get(detector) {
            return Ok(number);
        }
        let key = params![detector.digest, detector.name, detector.version];
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO detectors (digest, name, version) VALUES (?1, ?2, ?3)")?
            .execute(key)?;
        let number = self
            .connection
            .prepare_cached("SELECT number FROM detectors WHERE digest = ?1 AND name = ?2 AND version = ?3")?
            .query_row(key, |row| row.get(0))?;
        self.known.insert(detector, number);
        Ok(number)
    }

    /// Packs the scores of a flow into `packed`.
    pub(super) fn pack(&mut self, scores: &'a [FlowScore], packed: &mut Vec<u8>) -> rusqlite::Result<()> {
        packed.clear();
        for entry in scores {
            packed.extend_from_slice(&self.number(&entry.detector)?.to_le_bytes());
            packed.extend_from_slice(&entry.score.to_le_bytes());
        }
        Ok(())
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
            .prepare_cached("SELECT name, version, digest FROM detectors WHERE number = ?1")
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
