//! A flow of the meter as the store takes it.

use std::sync::{Arc, LazyLock};

use netsage_alerts::{AlertHit, AlertWindow, FlowRecord, Id, Key};
use netsage_api_types::{Contribution, DetectorRef};
use netsage_calibration::{fused, severity};
use netsage_lifecycle::lineup::Scored;
use netsage_lifecycle::{Generation, Verdicts};
use netsage_records::Origin;
use netsage_schema::{FlowBatch, Identity, Schema, Summary};

use super::block::Block;
use super::explainer::Explainer;
use super::scoring::explained;

/// What a record needs to know of a schema.
struct Facts {
    /// Name and version.
    name: Arc<str>,
    columns: Summary,
}

static FACTS: LazyLock<[Facts; Schema::ALL.len()]> = LazyLock::new(|| {
    Schema::ALL.map(|schema| Facts {
        name: schema.to_string().into(),
        columns: Summary::of(schema),
    })
});

/// What there is to know of a schema.
fn facts(schema: &Schema) -> &'static Facts {
    let place = Schema::ALL.into_iter().position(|known| known.id == schema.id);
    &FACTS[place.expect("every schema is among all of them")]
}

/// The id in the store of a flow of this program's own meter. The same flow of the same packets always gets the same id, so
/// that a repeated replay finds its flows again.
pub fn flow_id(identity: &Identity) -> Id {
    netsage_records::flow_id(identity, &Origin::default(), None)
}

fn milliseconds(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000)
}

/// A sum of two counts; a float-to-integer cast saturates, and counts are whole and not negative.
fn total(row: &[f64], positions: [usize; 2]) -> u64 {
    (row[positions[0]] + row[positions[1]]) as u64
}

/// The flow at `index`, without what detectors said about it.
fn flow(flows: &FlowBatch, facts: &Facts, index: usize) -> FlowRecord {
    let (row, identity) = (flows.rows.row(index), &flows.identities[index]);
    let term = |position| term(flows.rows.schema(), row, position);
    FlowRecord {
        id: flows.ids[index].unwrap_or_else(|| flow_id(identity)),
        start: milliseconds(identity.start_ns),
        end: milliseconds(identity.end_ns),
        source: identity.source,
        source_port: identity.source_port,
        destination: identity.destination,
        destination_port: identity.destination_port,
        protocol: term(facts.columns.proto),
        service: term(facts.columns.service),
        state: term(facts.columns.state),
        packets: total(row, facts.columns.packets),
        bytes: total(row, facts.columns.bytes),
        community_id: *flows.community_ids[index].hash(),
        fused: None,
        provenance: flows.provenances[index].clone(),
        foreign: flows.besides[index].foreign.clone(),
    }
}

/// The key of the alerts that a flow with this row and identity would be in.
pub fn alert_key(schema: &Schema, row: &[f64], identity: &Identity, window: AlertWindow) -> Key<'static> {
    let columns = &facts(schema).columns;
    let term = |position| term(schema, row, position);
    let start = milliseconds(identity.start_ns);
    Key::new(
        identity.source,
        term(columns.proto),
        term(columns.service),
        start,
        window,
    )
}

/// The term in a nominal column of a row, `-` where the code is of none.
fn term(schema: &Schema, row: &[f64], position: usize) -> &'static str {
    schema.columns[position].term(row[position]).unwrap_or("-")
}

impl Block {
    /// Begins the record of the block: its flows, without scores.
    pub(super) fn begin_record(&mut self) {
        let record = Arc::make_mut(&mut self.record);
        record.clear();
        let facts = facts(self.flows.rows.schema());
        record.schema = Arc::clone(&facts.name);
        let count = self.flows.len();
        record
            .flows
            .extend((0..count).map(|index| flow(&self.flows, facts, index)));
        record.scores.reset(count, self.verdicts.slots());
        self.above.clear();
        self.above.resize(count, false);
    }

    /// Adds the scores and hits of the slots that see blocks in any order, or of those that see them `in_order`.
    pub(super) fn record_scores(&mut self, in_order: bool, explainer: &mut Explainer) {
        let Some(lineup) = self.verdicts.lineup() else {
            return;
        };
        let record = Arc::make_mut(&mut self.record);
        for (slot, place) in lineup.slots.iter().enumerate() {
            if place.is_in_order() != in_order {
                continue;
            }
            let first_hit = record.hits.len();
            // Nearly always the one of the row before.
            let mut last: Option<(&Arc<Generation>, u16)> = None;
            for row in 0..self.flows.len() {
                let Some(scored) = self.verdicts.get(slot, row) else {
                    continue;
                };
                let detector = match last {
                    Some((generation, number)) if Arc::ptr_eq(generation, scored.generation) => number,
                    _ => record.scores.detector(&scored.generation.reference),
                };
                last = Some((scored.generation, detector));
                record.scores.set(row, slot, detector, scored.score);
                if scored.is_above() {
                    self.above[row] = true;
                    record.hits.push(hit(row, detector, &scored));
                }
            }
            for index in explainer.choose(&place.name, &record.flows, &record.hits, first_hit) {
                let row = record.hits[*index].flow as usize;
                if let Some(scored) = self.verdicts.get(slot, row) {
                    let detector = &scored.generation.loaded.detector;
                    record.hits[*index].contributions =
                        explained(detector, &self.flows.rows, Some(&self.contexts), row);
                }
            }
        }
    }

    /// Adds what all detectors together say, once all have spoken, and its hits, where it has a threshold.
    pub(super) fn record_fused(&mut self, explainer: &mut Explainer) {
        let record = Arc::make_mut(&mut self.record);
        for (row, flow) in record.flows.iter_mut().enumerate() {
            flow.fused = self.verdicts.fused(row);
        }
        let Some(threshold) = self.verdicts.lineup().and_then(|lineup| lineup.fused) else {
            return;
        };
        let first_hit = record.hits.len();
        for row in 0..self.flows.len() {
            let surprise = self.verdicts.surprise(row);
            let Some(surprise) = surprise.filter(|surprise| *surprise as f32 > threshold) else {
                continue;
            };
            self.above[row] = true;
            record.hits.push(AlertHit {
                flow: flow_number(row),
                detector: record.scores.detector(&FUSED),
                score: surprise as f32,
                threshold,
                severity: severity(Some(surprise)),
                contributions: Vec::new(),
            });
        }
        for index in explainer.choose(fused::NAME, &record.flows, &record.hits, first_hit) {
            let row = record.hits[*index].flow as usize;
            record.hits[*index].contributions = parts(&self.verdicts, row);
        }
    }
}

/// Who gives the fused verdict: the program, not a package.
static FUSED: LazyLock<DetectorRef> = LazyLock::new(|| DetectorRef {
    name: fused::NAME.to_owned(),
    version: env!("CARGO_PKG_VERSION").to_owned(),
    digest: String::new(),
    generation: 0,
});

/// What each detector brought to the fused verdict on a flow: its score, how rare that is, and its median.
fn parts(verdicts: &Verdicts, row: usize) -> Vec<Contribution> {
    let mut parts: Vec<Contribution> = verdicts
        .of_row(row)
        .filter_map(|scored| {
            let loaded = &scored.generation.loaded;
            let scale = loaded.scale.as_ref()?;
            let flows = 1.0 / scale.exceedance(scored.score);
            Some(Contribution {
                column: loaded.reference.name.clone(),
                unit: String::new(),
                weight: scale.surprise(scored.score) as f32,
                value: format!("{:.4} (1 in {flows:.0} ordinary flows)", scored.score),
                typical: format!("{:.4}", scale.score_exceeded_by(0.5)),
            })
        })
        .collect();
    let sum: f32 = parts.iter().map(|part| part.weight).sum();
    for part in &mut parts {
        part.weight /= sum.max(f32::MIN_POSITIVE);
    }
    parts.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    parts
}

fn flow_number(row: usize) -> u32 {
    u32::try_from(row).expect("a block has at most 1,024 flows")
}

/// A hit that nothing explains yet.
fn hit(row: usize, detector: u16, scored: &Scored<'_>) -> AlertHit {
    let by = &scored.generation.loaded;
    AlertHit {
        flow: flow_number(row),
        detector,
        score: scored.score,
        threshold: by.threshold(),
        severity: severity(by.surprise(scored.score)),
        contributions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{IpAddr, SocketAddr};

    use netsage_alerts::{AlertLimits, Raised};
    use netsage_capture::protocol_name;
    use netsage_schema::CommunityId;

    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    /// A flow of no packets, with this protocol, from 10.0.0.1.
    fn add(flows: &mut FlowBatch, protocol: u8, start_ns: i64) {
        let [source, destination] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let schema = flows.rows.schema();
        let proto = facts(schema).columns.proto;
        let mut row = vec![0.0; schema.columns.len()];
        let name = protocol_name(protocol);
        let code = (0..256)
            .map(f64::from)
            .find(|code| schema.columns[proto].term(*code) == Some(name));
        row[proto] = code.expect("a term of the column");
        let identity = Identity {
            source,
            source_port: 0,
            destination,
            destination_port: 0,
            protocol,
            start_ns,
            end_ns: start_ns,
        };
        flows.push(&row, identity, CommunityId::of(&identity));
    }

    #[test]
    fn a_row_is_in_the_alert_that_its_stored_flow_is_in() {
        // Shorter than the usual windows.
        let window = AlertWindow::of_ms(10 * 60_000);
        for schema in Schema::ALL {
            let mut flows = FlowBatch::new(schema);
            // Neither 250 nor 251 has a name of its own: one alert a window.
            for (protocol, minute) in [(250, 0), (251, 1), (6, 2), (250, 15), (6, 59), (6, -1)] {
                add(&mut flows, protocol, minute * MINUTE_NS);
            }
            let mut raised = Raised::new("d", 0.5, AlertLimits::default());
            let mut stored = HashSet::new();
            for (index, identity) in flows.identities.iter().enumerate() {
                let key = || alert_key(schema, flows.rows.row(index), identity, window);
                let target = SocketAddr::new(identity.destination, identity.destination_port);
                raised.judge(0.6, || (key(), target));
                let record = flow(&flows, facts(schema), index);
                assert_eq!(key(), Key::of(&record, window), "{record:?}");
                stored.insert(Key::of(&record, window).id("d"));
            }
            assert_eq!((raised.alerts(), stored.len()), (5, 5), "{}", schema.id);
        }
    }
}
