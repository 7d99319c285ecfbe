//! What stores keep so that alerts can be told apart again: the part of an alert that goes to one target, and the summary of
//! what has no alerts of its own any more.

use std::net::IpAddr;

use netsage_api_types::{Alert, AlertSources, AlertState, SourceScore};
use serde::{Deserialize, Serialize};

use crate::text::to_hex;
use crate::{AlertRecord, HitOfFlow, Id, Sketch};

/// Sources that a summary names.
const MOST_NAMED: usize = 10;

/// The flows from one source to one target in a cell: what leaves the alert of the source when so many sources hit the
/// target that it gets an alert of its own. The alert of a source is the [`AlertRecord::join`] of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The part as an alert.
    pub record: AlertRecord,
    /// Its flows.
    pub flows: Sketch,
}

impl Part {
    /// Counts hits of flows that the part has not counted yet; without a part a new one is made. `None` when there is
    /// neither a part nor a hit. `id` is the one of the alert.
    pub fn extend(part: Option<Self>, id: &Id, hits: &[HitOfFlow<'_>]) -> Option<Self> {
        let (record, mut flows) = match part {
            Some(part) => (Some(part.record), part.flows),
            None => (None, Sketch::default()),
        };
        for hit in hits {
            flows.insert(&hit.flow.id);
        }
        let record = AlertRecord::extend(record, id, hits)?;
        Some(Self { record, flows })
    }
}

/// What is known of many sources. It depends on the set of flows that it was told of alone, so that flows may be told
/// again and summaries be joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// First and last time, and the flow with the highest score. Counts, id and state have no meaning.
    record: AlertRecord,
    flows: Sketch,
    sources: Sketch,
    /// The sources with the highest scores, by falling score and rising address.
    top: Vec<(f32, IpAddr)>,
}

/// A summary as it is stored, its sketches apart.
#[derive(Serialize, Deserialize)]
struct Stored {
    alert: Alert,
    best_flow: Id,
    top: Vec<(f32, IpAddr)>,
}

impl Summary {
    /// A summary of one hit.
    pub fn of_hit(hit: &HitOfFlow<'_>) -> Self {
        let mut summary = Self {
            record: AlertRecord::new(&[0; 16], hit),
            flows: Sketch::default(),
            sources: Sketch::default(),
            top: Vec::new(),
        };
        summary.add_hit(hit);
        summary
    }

    /// A summary of hits; `None` of none.
    pub fn of_hits(hits: &[HitOfFlow<'_>]) -> Option<Self> {
        let (first, others) = hits.split_first()?;
        let mut summary = Self::of_hit(first);
        for hit in others {
            summary.add_hit(hit);
        }
        Some(summary)
    }

    /// A summary of a part; `None` when the source of the part is no address, which no part of a flow has.
    pub fn of_part(part: &Part) -> Option<Self> {
        let source: IpAddr = part.record.alert.source.parse().ok()?;
        let mut record = part.record.clone();
        record.alert.id = to_hex(&[0; 16]);
        record.alert.count = 0;
        record.alert.state = AlertState::New;
        (record.alert.changed_by, record.alert.changed_at) = (None, None);
        let mut sources = Sketch::default();
        sources.insert(&bytes_of(source));
        Some(Self {
            top: vec![(record.alert.score, source)],
            record,
            flows: part.flows.clone(),
            sources,
        })
    }

    /// Adds a hit; says whether that changed anything.
    pub fn add_hit(&mut self, hit: &HitOfFlow<'_>) -> bool {
        let flow = hit.flow;
        let mut changed = self.flows.insert(&flow.id);
        changed |= self.sources.insert(&bytes_of(flow.source));
        changed |= self.name(hit.hit.score, flow.source);
        changed |= self.widen(flow.start, flow.end);
        if hit.claim().beats(&self.record.shown()) {
            self.record.show(hit);
            changed = true;
        }
        changed
    }

    /// Adds what another summary knows; says whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = self.flows.join(&other.flows);
        changed |= self.sources.join(&other.sources);
        for (score, source) in &other.top {
            changed |= self.name(*score, *source);
        }
        let theirs = &other.record.alert;
        changed |= self.widen(theirs.first_seen, theirs.last_seen);
        if other.record.shown().beats(&self.record.shown()) {
            self.record.take_face(other.record.clone());
            changed = true;
        }
        changed
    }

    fn widen(&mut self, first: i64, last: i64) -> bool {
        let alert = &mut self.record.alert;
        let before = (alert.first_seen, alert.last_seen);
        alert.first_seen = alert.first_seen.min(first);
        alert.last_seen = alert.last_seen.max(last);
        before != (alert.first_seen, alert.last_seen)
    }

    /// Names a source among the top ones if its score is high enough. A source that was pushed out had lower scores than
    /// those named, so that it comes back only by a higher one: the order makes no difference.
    fn name(&mut self, score: f32, source: IpAddr) -> bool {
        let is_before = |one: &(f32, IpAddr)| one.0 > score || (one.0 == score && one.1 <= source);
        let place = self.top.partition_point(is_before);
        if let Some(known) = self.top.iter().position(|named| named.1 == source) {
            if place > known || self.top[known].0 >= score {
                return false;
            }
            self.top.remove(known);
        }
        if place >= MOST_NAMED {
            return false;
        }
        self.top.insert(place, (score, source));
        self.top.truncate(MOST_NAMED);
        true
    }

    /// The alert of this id that shows the summary; with `held_back` the one of a kind that has so many more alerts.
    pub fn alert(&self, id: &Id, held_back: Option<u64>) -> AlertRecord {
        let mut record = self.record.clone();
        record.alert.id = to_hex(id);
        record.alert.count = self.flows.count();
        let top = self.top.iter().map(|(score, source)| SourceScore {
            source: source.to_string(),
            score: *score,
        });
        record.alert.sources = Some(AlertSources {
            count: self.sources.count(),
            top: top.collect(),
            held_back,
        });
        record
    }

    /// The summary as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            alert: self.record.alert.clone(),
            best_flow: self.record.best_flow,
            top: self.top.clone(),
        };
        let mut bytes = Vec::new();
        for sketch in [&self.flows, &self.sources] {
            let sketch = sketch.to_bytes();
            // A sketch has 4,096 bytes at most.
            bytes.extend_from_slice(&(sketch.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&sketch);
        }
        let text = serde_json::to_vec(&stored).expect("texts, finite numbers and lists of them");
        bytes.extend_from_slice(&text);
        bytes
    }

    /// Reads what [`Self::to_bytes`] gave; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (flows, rest) = take_sketch(bytes)?;
        let (sources, rest) = take_sketch(rest)?;
        let Stored {
            alert,
            best_flow,
            top,
        } = serde_json::from_slice(rest).ok()?;
        Some(Self {
            record: AlertRecord { alert, best_flow },
            flows,
            sources,
            top,
        })
    }
}

fn take_sketch(bytes: &[u8]) -> Option<(Sketch, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (sketch, rest) = rest.split_at_checked(length)?;
    Some((Sketch::from_bytes(sketch)?, rest))
}

/// An address as a sketch is told of it: 16 bytes, so that both kinds are apart from shorter entries.
fn bytes_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
