//! Hits for tests.

use std::net::IpAddr;

use netsage_api_types::{Contribution, DetectorRef, Severity};
use netsage_schema::Provenance;

use crate::{AlertHit, FlowRecord, HitOfFlow};

/// A flow, its hit and its detector, to be changed one by one.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) flow: FlowRecord,
    pub(crate) hit: AlertHit,
    pub(crate) detector: DetectorRef,
}

impl Owned {
    pub(crate) fn lend(&self) -> HitOfFlow<'_> {
        HitOfFlow {
            hit: &self.hit,
            flow: &self.flow,
            detector: &self.detector,
            schema: "unsw-nb15@1",
        }
    }
}

/// The hit of a flow of this number, from 10.0.0.1 to 10.0.0.2:22.
pub(crate) fn hit(flow: u8, score: u8, start: i64) -> Owned {
    Owned {
        flow: FlowRecord {
            id: [flow; 16],
            start,
            end: start + i64::from(score),
            source: IpAddr::from([10, 0, 0, 1]),
            source_port: u16::from(flow),
            destination: IpAddr::from([10, 0, 0, 2]),
            destination_port: 22,
            protocol: "tcp",
            service: "ssh",
            state: "FIN",
            packets: 1,
            bytes: 1,
            community_id: [flow; 20],
            fused: None,
            provenance: Provenance::NONE,
            foreign: None,
        },
        hit: AlertHit {
            flow: 0,
            detector: 0,
            score: f32::from(score),
            threshold: 0.5,
            severity: Severity::High,
            contributions: vec![Contribution {
                column: format!("of {flow}"),
                unit: String::new(),
                weight: 1.0 / f32::from(flow.max(1)),
                value: "1".into(),
                typical: "2".into(),
            }],
        },
        detector: DetectorRef {
            name: "d".into(),
            version: "1.0.0".into(),
            digest: "0".repeat(64),
            generation: 1,
        },
    }
}
