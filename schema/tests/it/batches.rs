//! Batches of flows.

use netsage_schema::{Beside, CommunityId, FLOW_V1, FlowBatch, Identity, Provenance};

#[test]
fn the_first_flows_move_and_the_others_stay() {
    let batch_of = |ports: std::ops::Range<u16>| {
        let mut batch = FlowBatch::new(&FLOW_V1);
        for port in ports {
            let identity = Identity {
                start_ns: 0,
                end_ns: 0,
                source: [192, 0, 2, 1].into(),
                source_port: port,
                destination: [192, 0, 2, 2].into(),
                destination_port: 443,
                protocol: 6,
            };
            let row = vec![f64::from(port); FLOW_V1.width()];
            let id = Some(u128::from(port).to_be_bytes());
            batch.push_with(
                &row,
                identity,
                CommunityId::of(&identity),
                id,
                Provenance::new(&port.to_string(), "", false),
                Beside {
                    sampling: u32::from(port),
                    ..Beside::NONE
                },
            );
        }
        batch
    };
    let check = |flows: u16, most: u16| {
        let (mut batch, mut other) = (batch_of(0..flows), batch_of(900..903));
        batch.move_first_into(usize::from(most), &mut other);
        let first = most.min(flows);
        for (found, expected) in [(other, batch_of(0..first)), (batch, batch_of(first..flows))] {
            assert_eq!(found.rows.values(), expected.rows.values(), "{flows} {most}");
            assert_eq!(found.identities, expected.identities, "{flows} {most}");
            assert_eq!(found.community_ids, expected.community_ids, "{flows} {most}");
            assert_eq!(found.ids, expected.ids, "{flows} {most}");
            assert_eq!(found.provenances, expected.provenances, "{flows} {most}");
            assert_eq!(found.besides, expected.besides, "{flows} {most}");
        }
    };
    check(0, 4);
    check(3, 4);
    check(4, 4);
    check(5, 4);
    check(11, 4);
}
