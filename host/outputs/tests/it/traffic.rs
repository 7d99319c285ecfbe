//! Flows that raise alerts.

use std::net::IpAddr;
use std::sync::Arc;

use netsage_alerts::{AlertHit, FlowRecord};
use netsage_api_types::{DetectorRef, Severity};
use netsage_store::{FlowBatchRecord, Store};

/// Records one flow of each of these sources; each source is an alert of its own.
pub(crate) async fn record(store: &dyn Store, first: u32, sources: std::ops::Range<u8>) {
    let mut batch = FlowBatchRecord {
        schema: "unsw-nb15@1".into(),
        ..FlowBatchRecord::default()
    };
    batch.scores.reset(sources.len(), 1);
    let detector = batch.scores.detector(&DetectorRef {
        name: "iforest".into(),
        version: "1.0.0".into(),
        digest: "0".repeat(64),
        generation: 1,
    });
    for (row, source) in sources.enumerate() {
        let number = first + u32::try_from(row).expect("small");
        batch.flows.push(flow(number, source));
        batch.scores.set(row, 0, detector, 0.9);
        batch.hits.push(AlertHit {
            flow: u32::try_from(row).expect("small"),
            detector,
            score: 0.9,
            threshold: 0.6,
            severity: Severity::High,
            contributions: Vec::new(),
        });
    }
    store.record(&[Arc::new(batch)]).await.expect("recorded");
}

fn flow(number: u32, source: u8) -> FlowRecord {
    FlowRecord {
        id: u128::from(number).to_be_bytes(),
        start: 1_700_002_800_000,
        end: 1_700_002_800_500,
        source: IpAddr::from([10, 0, 0, source]),
        source_port: 40_000,
        destination: IpAddr::from([192, 0, 2, 7]),
        destination_port: 22,
        protocol: "tcp",
        service: "ssh",
        state: "FIN",
        packets: 12,
        bytes: 3_400,
        community_id: [7; 20],
        fused: None,
    }
}
