//! The keys of flows.

use netsage_lifecycle::lineup::FlowKey;
use netsage_schema::Identity;

/// Replaces the content of `keys` by those of these flows.
pub(super) fn fill_keys(identities: &[Identity], keys: &mut Vec<u64>) {
    keys.clear();
    keys.extend(identities.iter().map(|flow| {
        let source = (flow.source, flow.source_port);
        let destination = (flow.destination, flow.destination_port);
        FlowKey::new(source, destination, flow.protocol).0
    }));
}
