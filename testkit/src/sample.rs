//! Flows and hits to store.

use netsage_alerts::{AlertHit, FlowRecord, Provenance};
use netsage_api_types::{Contribution, DetectorRef, Flow, FlowScore, FusedScore, Severity};
use netsage_store::FlowBatchRecord;

/// A full hour, so that windows of an hour start here.
pub const T0: i64 = 1_700_002_800_000;

/// The id of the flow of this number, as the API shows it.
pub fn id(number: u32) -> String {
    format!("{number:032x}")
}

/// A version of the one detector.
pub fn detector(version: &str) -> DetectorRef {
    DetectorRef {
        name: "iforest".into(),
        version: version.into(),
        digest: version.repeat(10),
        generation: 1,
    }
}

/// A flow with what was said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The flow.
    pub flow: FlowRecord,
    /// What each detector said.
    pub scores: Vec<FlowScore>,
    /// A score above it makes a hit.
    pub threshold: f32,
}

/// A flow of a source that ends at a time in milliseconds since the epoch, with the score of one detector.
pub fn flow(number: u32, source: &str, end: i64, score: f32) -> Sample {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    Sample {
        flow: FlowRecord {
            id: u128::from(number).to_be_bytes(),
            start: end - 500,
            end,
            source: source.parse().expect("an address"),
            source_port: 40_000 + u16::try_from(number % 1000).expect("small"),
            destination: "192.0.2.7".parse().expect("an address"),
            destination_port: 22,
            protocol: "tcp",
            service: "ssh",
            state: "FIN",
            packets: 12,
            bytes: 3_400,
            community_id: hash,
            fused: Some(FusedScore {
                mean: score / 2.0,
                max: score,
            }),
            provenance: Provenance::NONE,
            foreign: None,
        },
        scores: vec![FlowScore {
            detector: detector("1.0.0"),
            score,
        }],
        threshold: 0.6,
    }
}

impl Sample {
    /// Whether a score is above the threshold.
    pub fn is_hit(&self) -> bool {
        self.scores.iter().any(|entry| entry.score > self.threshold)
    }

    /// What drove a score of this flow.
    pub fn contributions(score: f32) -> Vec<Contribution> {
        vec![Contribution {
            column: "sbytes".into(),
            unit: "B".into(),
            weight: 0.1 + score / 3.0,
            value: "9000".into(),
            typical: "120".into(),
        }]
    }

    /// The flow as the API shows it.
    pub fn shown(&self) -> Flow {
        let flow = &self.flow;
        Flow {
            id: format!("{:032x}", u128::from_be_bytes(flow.id)),
            start: flow.start,
            end: flow.end,
            source: flow.source.to_string(),
            source_port: flow.source_port,
            destination: flow.destination.to_string(),
            destination_port: flow.destination_port,
            protocol: flow.protocol.to_owned(),
            service: flow.service.to_owned(),
            state: flow.state.to_owned(),
            packets: flow.packets,
            bytes: flow.bytes,
            community_id: self.community_id(),
            scores: self.scores.clone(),
            network: flow.provenance.network().to_owned(),
            sensor: flow.provenance.sensor().to_owned(),
            late: flow.provenance.is_late(),
            fused: flow.fused,
            foreign: flow
                .foreign
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
        }
    }

    /// The Community ID as text.
    pub fn community_id(&self) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(self.flow.community_id);
        format!("1:{text}")
    }
}

/// Flows of which those that score above their threshold are hits.
pub fn batch(flows: &[Sample]) -> FlowBatchRecord {
    let mut batch = FlowBatchRecord::default();
    fill(&mut batch, flows);
    batch
}

/// Replaces the content of a batch by these flows.
pub fn fill(batch: &mut FlowBatchRecord, flows: &[Sample]) {
    batch.clear();
    batch.schema = "unsw-nb15@1".into();
    let columns = flows.iter().map(|sample| sample.scores.len()).max();
    batch.scores.reset(flows.len(), columns.unwrap_or(0));
    for (row, sample) in flows.iter().enumerate() {
        batch.flows.push(sample.flow.clone());
        for (column, FlowScore { detector, score }) in sample.scores.iter().enumerate() {
            let (number, score) = (batch.scores.detector(detector), *score);
            batch.scores.set(row, column, number, score);
            if score > sample.threshold {
                batch.hits.push(AlertHit {
                    flow: u32::try_from(row).expect("small"),
                    detector: number,
                    score,
                    threshold: sample.threshold,
                    severity: match score > 0.9 {
                        true => Severity::Critical,
                        false => Severity::Medium,
                    },
                    contributions: Sample::contributions(score),
                });
            }
        }
    }
}

/// A mix of sources, times and scores, the same every time.
pub fn traffic(first: u32, count: u32) -> Vec<Sample> {
    let flows = (first..first + count).map(|number| {
        let mixed = number.wrapping_mul(2_654_435_761);
        let source = match mixed % 5 {
            0 => "2001:db8::5".to_owned(),
            other => format!("10.0.0.{other}"),
        };
        let score = f32::from(u8::try_from(mixed >> 24).expect("eight bits")) / 255.0;
        flow(
            number,
            &source,
            T0 + 1_000 + i64::from(mixed % 7_000) * 1_000,
            score,
        )
    });
    flows.collect()
}

/// How many of them are hits.
pub fn hits(flows: &[Sample]) -> u64 {
    flows.iter().filter(|sample| sample.is_hit()).count() as u64
}
