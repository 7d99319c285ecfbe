//! Between rows and the types of the API.

use std::collections::HashMap;

use netsage_api_types::{Alert, AlertState, DetectorRef, Flow, FlowScore, Severity};
use rusqlite::{Connection, OptionalExtension, Row, params};

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

pub(super) fn severity_rank(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
        Severity::Critical => 3,
    }
}

pub(super) fn state_code(state: AlertState) -> i64 {
    match state {
        AlertState::New => 0,
        AlertState::Acknowledged => 1,
        AlertState::Closed => 2,
    }
}

fn out_of_range(column: usize, value: i64) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, value)
}

/// Reads an alert, the flow that gave it its face, and its number.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<(AlertRecord, i64)> {
    let severity = match row.get(13)? {
        0 => Severity::Low,
        1 => Severity::Medium,
        2 => Severity::High,
        3 => Severity::Critical,
        other => return Err(out_of_range(13, other)),
    };
    let state = match row.get(19)? {
        0 => AlertState::New,
        1 => AlertState::Acknowledged,
        2 => AlertState::Closed,
        other => return Err(out_of_range(19, other)),
    };
    let contributions: String = row.get(18)?;
    let contributions = serde_json::from_str(&contributions).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(18, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let alert = Alert {
        id: to_hex(&row.get::<_, Id>(0)?),
        first_seen: row.get(1)?,
        last_seen: row.get(2)?,
        count: to_unsigned(row.get(3)?),
        kind: row.get(4)?,
        source: row.get(5)?,
        source_port: row.get(6)?,
        destination: row.get(7)?,
        destination_port: row.get(8)?,
        protocol: row.get(9)?,
        community_id: row.get(10)?,
        score: row.get(11)?,
        threshold: row.get(12)?,
        severity,
        detector: DetectorRef {
            name: row.get(14)?,
            version: row.get(15)?,
            digest: row.get(16)?,
        },
        schema: row.get(17)?,
        contributions,
        state,
        changed_by: row.get(20)?,
        changed_at: row.get(21)?,
    };
    Ok((
        AlertRecord {
            alert,
            best_flow: to_hex(&row.get::<_, Id>(22)?),
        },
        row.get(23)?,
    ))
}

/// Reads a flow and its packed scores.
pub(super) fn flow(row: &Row<'_>) -> rusqlite::Result<(Flow, Vec<u8>)> {
    let flow = Flow {
        id: to_hex(&row.get::<_, Id>(0)?),
        start: row.get(1)?,
        end: row.get(2)?,
        source: row.get(3)?,
        source_port: row.get(4)?,
        destination: row.get(5)?,
        destination_port: row.get(6)?,
        protocol: row.get(7)?,
        service: row.get(8)?,
        state: row.get(9)?,
        packets: to_unsigned(row.get(10)?),
        bytes: to_unsigned(row.get(11)?),
        community_id: row.get(12)?,
        scores: Vec::new(),
    };
    Ok((flow, row.get(13)?))
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
        let read = |row: &Row<'_>| {
            Ok(DetectorRef {
                name: row.get(0)?,
                version: row.get(1)?,
                digest: row.get(2)?,
            })
        };
        let detector = self
            .connection
            .prepare_cached("SELECT name, version, digest FROM detectors WHERE number = ?1")
            .and_then(|mut statement| statement.query_row([number], read).optional())
            .map_err(StoreError::sqlite("read a detector"))?
            .ok_or_else(|| StoreError::Damaged {
                detail: format!("a flow has a score of unknown detector {number}"),
            })?;
        self.known.insert(number, detector.clone());
        Ok(detector)
    }
}
