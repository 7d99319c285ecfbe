//! The context columns of flows, and their keys.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;

use netsage_lifecycle::lineup::FlowKey;
use netsage_runtime::ContextValues;
use netsage_schema::{Identity, start_seconds};

/// Computes context columns. Addresses are hashed with a key of this process (SipHash), so that a detector
/// can tell addresses apart and never learns one.
#[derive(Debug, Default)]
pub struct Contexts {
    key: RandomState,
    first_start_ns: Option<i64>,
}

impl Contexts {
    /// Replaces the content of `contexts` by that of these flows.
    pub fn fill(&mut self, identities: &[Identity], contexts: &mut ContextValues) {
        contexts.clear();
        for identity in identities {
            let first = *self.first_start_ns.get_or_insert(identity.start_ns);
            contexts.push(
                start_seconds(first, identity.start_ns),
                self.hash(identity.source),
                self.hash(identity.destination),
            );
        }
    }

    /// 24 bits: what an `f32` holds exactly.
    fn hash(&self, address: IpAddr) -> u32 {
        (self.key.hash_one(address) & 0x00ff_ffff) as u32
    }
}

/// Replaces the content of `keys` by those of these flows.
pub(super) fn fill_keys(identities: &[Identity], keys: &mut Vec<u64>) {
    keys.clear();
    keys.extend(identities.iter().map(|flow| {
        let source = (flow.source, flow.source_port);
        let destination = (flow.destination, flow.destination_port);
        FlowKey::new(source, destination, flow.protocol).0
    }));
}
