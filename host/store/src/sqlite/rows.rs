//! Between rows and the types of the API.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use netsage_api_types::{Alert, AlertState, Contribution, DetectorRef, Flow, Foreign, FusedScore, Severity};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};
use serde::de::DeserializeOwned;

use crate::record::to_unsigned;
use netsage_alerts::text::{community_id, to_hex};
use netsage_alerts::{AlertRecord, Cell, HitOfFlow, Id, Part, Sketch, best_of};

/// The columns that [`alert`] reads, in its order.
pub(super) const ALERT_COLUMNS: &str = "a.id, a.first_seen_ms, a.last_seen_ms, a.count, a.kind, a.source, \
     a.source_port, a.destination, a.destination_port, a.protocol, a.community_id, a.score, a.threshold, a.severity, \
     d.name, d.version, d.digest, d.generation, a.schema, a.contributions, a.state, a.changed_by, a.changed_ms, a.sources, \
     a.merged_into, a.sensor, a.network, a.best_flow, a.state_before, a.revision, a.number FROM alerts a JOIN detectors d ON d.number = a.detector";

/// The columns that [`part`] reads, in its order. Parts are found first, whatever the planner thinks of the other tables.
pub(super) const PART_COLUMNS: &str = "p.raised, r.id, r.subject, p.target, p.first_seen_ms, p.last_seen_ms, p.count, \
     p.source_port, p.protocol, p.community_id, p.score, p.threshold, p.severity, d.name, d.version, d.digest, \
     d.generation, p.schema, p.contributions, p.sensor, p.best_flow, p.flows FROM parts p CROSS JOIN raised r ON r.number = p.raised \
     CROSS JOIN detectors d ON d.number = p.detector";

/// The columns that [`flow`] reads, in its order, of `flows f` and `labels l`.
pub(super) const FLOW_COLUMNS: &str = "f.id, f.start_ms, f.end_ms, f.source, f.source_port, f.destination, \
     f.destination_port, l.protocol, l.service, l.state, f.packets, f.bytes, f.community_id, f.fused_mean, f.fused_max, \
     l.sensor, l.network, l.is_late, f.foreign_said, f.scores";

/// An address as it is stored: 4 or 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(address.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address {
            Address::V4(bytes) => Self::from(bytes),
            Address::V6(bytes) => Self::from(bytes),
        }
    }
}

impl Address {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

impl ToSql for Address {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.bytes())))
    }
}

impl FromSql for Address {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        if let Ok(bytes) = bytes.try_into() {
            return Ok(Self::V4(bytes));
        }
        bytes
            .try_into()
            .map(Self::V6)
            .map_err(|_| FromSqlError::InvalidBlobSize {
                expected_size: 16,
                blob_size: bytes.len(),
            })
    }
}

const SEVERITIES: [Severity; 4] = [
    Severity::Low,
    Severity::Medium,
    Severity::High,
    Severity::Critical,
];

const STATES: [AlertState; 4] = [
    AlertState::New,
    AlertState::Acknowledged,
    AlertState::Closed,
    AlertState::Merged,
];

pub(super) fn state_code(state: AlertState) -> i64 {
    match state {
        AlertState::New => 0,
        AlertState::Acknowledged => 1,
        AlertState::Closed => 2,
        AlertState::Merged => 3,
    }
}

/// The columns of a row, one after the other.
pub(super) struct Fields<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Fields<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
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

    fn address(&mut self) -> rusqlite::Result<String> {
        Ok(IpAddr::from(self.take::<Address>()?).to_string())
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

    fn optional_json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<Option<T>> {
        let is_null = self.row.get_ref(self.next)? == ValueRef::Null;
        if is_null {
            self.next += 1;
            return Ok(None);
        }
        self.json().map(Some)
    }

    fn target(&mut self) -> rusqlite::Result<SocketAddr> {
        let column = self.next;
        let text: String = self.take()?;
        text.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        })
    }

    fn sketch(&mut self) -> rusqlite::Result<Sketch> {
        let column = self.next;
        let bytes: Vec<u8> = self.take()?;
        Sketch::from_bytes(&bytes).ok_or_else(|| {
            let problem = "a sketch is cut short".into();
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, problem)
        })
    }

    fn fused(&mut self) -> rusqlite::Result<Option<FusedScore>> {
        let (mean, max): (Option<f32>, Option<f32>) = (self.take()?, self.take()?);
        Ok(mean.zip(max).map(|(mean, max)| FusedScore { mean, max }))
    }

    pub(super) fn detector(&mut self) -> rusqlite::Result<DetectorRef> {
        Ok(DetectorRef {
            name: self.take()?,
            version: self.take()?,
            digest: self.take()?,
            generation: self.take::<i64>()?.cast_unsigned(),
        })
    }
}

/// A row of `alerts`.
pub(super) struct StoredAlert {
    pub(super) record: AlertRecord,
    /// The state that a merged alert had before.
    pub(super) state_before: AlertState,
    pub(super) revision: u64,
}

/// A row of `parts`.
pub(super) struct StoredPart {
    /// Number and id of its alert.
    pub(super) raised: i64,
    pub(super) id: Id,
    pub(super) part: Part,
}

/// What a row of `parts` says of the flows of a part.
pub(super) struct PartRow<'p> {
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) count: u64,
    pub(super) source_port: u16,
    pub(super) protocol: &'p str,
    pub(super) community_id: Cow<'p, str>,
    pub(super) score: f32,
    pub(super) threshold: f32,
    pub(super) severity: Severity,
    pub(super) detector: &'p DetectorRef,
    pub(super) schema: &'p str,
    pub(super) contributions: &'p [Contribution],
    pub(super) sensor: &'p str,
    pub(super) best_flow: &'p Id,
    /// Empty where [`Self::best_flow`] is the only one.
    pub(super) flows: Cow<'p, Sketch>,
}

impl<'p> PartRow<'p> {
    pub(super) fn of(part: &'p Part) -> Self {
        let alert = &part.record.alert;
        Self {
            first_seen: alert.first_seen,
            last_seen: alert.last_seen,
            count: alert.count,
            source_port: alert.source_port,
            protocol: &alert.protocol,
            community_id: Cow::Borrowed(&alert.community_id),
            score: alert.score,
            threshold: alert.threshold,
            severity: alert.severity,
            detector: &alert.detector,
            schema: &alert.schema,
            contributions: &alert.contributions,
            sensor: &alert.sensor,
            best_flow: &part.record.best_flow,
            flows: Cow::Borrowed(&part.flows),
        }
    }

    /// The row of [`Part::extend`] without a part, and without its alert: a scan makes thousands. `None` of no hits.
    pub(super) fn of_hits(hits: &'p [HitOfFlow<'_>]) -> Option<Self> {
        let best = best_of(hits)?;
        let flows = || hits.iter().map(|hit| hit.flow);
        let mut sketch = Sketch::default();
        // Whoever reads the row knows the one flow by its id.
        for flow in flows().filter(|_| hits.len() > 1) {
            sketch.insert(&flow.id);
        }
        Some(Self {
            first_seen: flows().map(|flow| flow.start).min()?,
            last_seen: flows().map(|flow| flow.end).max()?,
            count: hits.len() as u64,
            source_port: best.flow.source_port,
            protocol: best.flow.protocol,
            community_id: Cow::Owned(community_id(&best.flow.community_id)),
            score: best.hit.score,
            threshold: best.hit.threshold,
            severity: best.hit.severity,
            detector: best.detector,
            schema: best.schema,
            contributions: &best.hit.contributions,
            sensor: best.flow.provenance.sensor(),
            best_flow: &best.flow.id,
            flows: Cow::Owned(sketch),
        })
    }
}

/// Reads an alert.
pub(super) fn alert(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
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
        sources: fields.optional_json()?,
        merged_into: fields.take::<Option<Id>>()?.map(|id| to_hex(&id)),
        sensor: fields.take()?,
        network: fields.take()?,
    };
    let best_flow = fields.take()?;
    Ok(StoredAlert {
        record: AlertRecord { alert, best_flow },
        state_before: fields.choice(&STATES)?,
        revision: fields.count()?,
    })
}

/// Reads a part of an alert in a cell.
pub(super) fn part(row: &Row<'_>, cell: &Cell<'_>) -> rusqlite::Result<StoredPart> {
    let mut fields = Fields::new(row);
    let (raised, id, source) = (fields.take()?, fields.take::<Id>()?, fields.take()?);
    let target = fields.target()?;
    // In the order of `PART_COLUMNS`, as above.
    let alert = Alert {
        id: to_hex(&id),
        first_seen: fields.take()?,
        last_seen: fields.take()?,
        count: fields.count()?,
        kind: cell.kind(),
        source,
        source_port: fields.take()?,
        destination: target.ip().to_string(),
        destination_port: target.port(),
        protocol: fields.take()?,
        community_id: fields.take()?,
        score: fields.take()?,
        threshold: fields.take()?,
        severity: fields.choice(&SEVERITIES)?,
        detector: fields.detector()?,
        schema: fields.take()?,
        contributions: fields.json()?,
        state: AlertState::New,
        changed_by: None,
        changed_at: None,
        sources: None,
        merged_into: None,
        sensor: fields.take()?,
        network: cell.network().to_owned(),
    };
    let best_flow = fields.take::<Id>()?;
    let mut flows = fields.sketch()?;
    if alert.count == 1 {
        flows.insert(&best_flow);
    }
    Ok(StoredPart {
        raised,
        id,
        part: Part {
            record: AlertRecord { alert, best_flow },
            flows,
        },
    })
}

/// Reads what another program said of a flow; what cannot be read was never written.
fn foreign(text: Option<String>) -> Option<Foreign> {
    serde_json::from_str(&text?).ok()
}

/// Reads a flow and its packed scores.
pub(super) fn flow(row: &Row<'_>) -> rusqlite::Result<(Flow, Vec<u8>)> {
    let mut fields = Fields::new(row);
    // In the order of `FLOW_COLUMNS`, as above.
    let flow = Flow {
        id: fields.id()?,
        start: fields.take()?,
        end: fields.take()?,
        source: fields.address()?,
        source_port: fields.take()?,
        destination: fields.address()?,
        destination_port: fields.take()?,
        protocol: fields.take()?,
        service: fields.take()?,
        state: fields.take()?,
        packets: fields.count()?,
        bytes: fields.count()?,
        community_id: community_id(&fields.take()?),
        fused: fields.fused()?,
        sensor: fields.take()?,
        network: fields.take()?,
        late: fields.take()?,
        foreign: foreign(fields.take()?),
        scores: Vec::new(),
    };
    Ok((flow, fields.take()?))
}
