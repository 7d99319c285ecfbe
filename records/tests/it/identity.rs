//! Which flow a record is of.

use netsage_records::{Exporter, FlowId, Network, Origin, OwnId, Record, flow_id};
use netsage_schema::Identity;

use crate::traffic::record;

fn identity() -> Identity {
    Identity {
        start_ns: 1_421_927_414_000_123_000,
        end_ns: 1_421_927_415_987_654_000,
        source: "10.0.0.1".parse().unwrap(),
        source_port: 40_001,
        destination: "2001:db8::2".parse().unwrap(),
        destination_port: 443,
        protocol: 6,
    }
}

fn hexadecimal(id: FlowId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ids_of_captures_are_those_of_stores_of_before() {
    // Computed from the bytes that the documentation names, by another implementation of SHA-256. The first is also what
    // this flow had while times were hashed in nanoseconds.
    let id = flow_id(&identity(), &Origin::default(), None);
    assert_eq!(hexadecimal(id), "014b117a80b3d30f1f9f2d8ee552ccb9");
    let origin = Origin {
        network: Network::named("branch"),
        exporter: Some(Exporter {
            address: "192.0.2.1".parse().unwrap(),
            domain: 7,
        }),
    };
    let id = flow_id(&identity(), &origin, Some(OwnId([9; 16])));
    assert_eq!(hexadecimal(id), "014b117a80b3e82b757eadad67eecd18");
}

#[test]
fn times_count_by_the_microsecond() {
    let id = |start_ns, end_ns| {
        let identity = Identity {
            start_ns,
            end_ns,
            ..identity()
        };
        flow_id(&identity, &Origin::default(), None)
    };
    let [start, end] = [identity().start_ns, identity().end_ns];
    assert_eq!(id(start + 999, end + 999), id(start, end));
    assert_ne!(id(start + 1_000, end), id(start, end));
    assert_ne!(id(start, end + 1_000), id(start, end));
    for time in [i64::MIN, -1, 0, i64::MAX] {
        id(time, time);
    }
}

#[test]
fn a_record_has_the_id_of_its_flow() {
    let record = Record {
        start_us: identity().start_ns / 1_000,
        end_us: identity().end_ns / 1_000,
        source: identity().source,
        destination: identity().destination,
        ..record()
    };
    assert_eq!(record.identity(), identity());
    let bare = Origin::default();
    assert_eq!(record.id(&bare), flow_id(&identity(), &bare, None));
    // Everything that is part of the identity, alone.
    let exporter = |domain| Origin {
        exporter: Some(Exporter {
            address: "192.0.2.1".parse().unwrap(),
            domain,
        }),
        ..bare
    };
    let network = |name| Origin {
        network: Network::named(name),
        ..bare
    };
    let own = |byte| Record {
        own_id: Some(OwnId([byte; 16])),
        ..record.clone()
    };
    let ids = [
        record.id(&bare),
        record.id(&network("a")),
        record.id(&network("b")),
        record.id(&exporter(1)),
        record.id(&exporter(2)),
        own(1).id(&bare),
        own(2).id(&bare),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(record.id(&network("")), record.id(&bare));
    // Neither what was counted nor what the flow came to is part of it.
    let other = Record {
        packets: None,
        state: None,
        ..record.clone()
    };
    assert_eq!(other.id(&bare), record.id(&bare));
}
