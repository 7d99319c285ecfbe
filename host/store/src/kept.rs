//! Which flows a store keeps, where the stream is larger than any store.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use netsage_alerts::{Id, Sketch};

use crate::FlowBatchRecord;
use crate::overview::{OVERVIEW_GRAIN_MS, step_start};

/// Which flows a store keeps. Alerts follow from all flows, and the time axis counts all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeptFlows {
    /// All.
    #[default]
    All,
    /// Those with a hit.
    Alerted,
    /// Those with a hit, and one in so many of the others. Its id chooses a flow, so that whoever delivers the flow again
    /// decides alike, and so do all programs on one store.
    OneIn(NonZeroU32),
}

impl KeptFlows {
    /// Whether a flow is kept.
    pub fn keeps(self, id: &Id, has_hit: bool) -> bool {
        match self {
            _ if has_hit => true,
            Self::All => true,
            Self::Alerted => false,
            Self::OneIn(number) => {
                // The last bytes of an id are of a digest.
                let [.., a, b, c, d, e, f, g, h] = *id;
                u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(number.get()) == 0
            }
        }
    }

    /// Of each flow of a batch, whether it is kept.
    pub(crate) fn choose(self, batch: &FlowBatchRecord) -> Vec<bool> {
        let mut keeps: Vec<bool> = batch
            .flows
            .iter()
            .map(|flow| self.keeps(&flow.id, false))
            .collect();
        for hit in &batch.hits {
            if let Some(keeps) = keeps.get_mut(hit.flow as usize) {
                *keeps = true;
            }
        }
        keeps
    }
}

/// The flows that are counted and not kept: of each step of the time axis a sketch of their ids, so that a flow that comes
/// again does not count twice, whoever delivers it.
#[derive(Debug, Default)]
pub(crate) struct CountedOnly(BTreeMap<i64, Sketch>);

impl CountedOnly {
    /// Those of a batch.
    pub(crate) fn add(&mut self, batch: &FlowBatchRecord, keeps: &[bool]) {
        for (flow, keeps) in batch.flows.iter().zip(keeps) {
            if !keeps {
                let step = step_start(flow.end, OVERVIEW_GRAIN_MS);
                self.0.entry(step).or_default().insert(&flow.id);
            }
        }
    }

    /// Start of each step, with its flows.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (i64, &Sketch)> {
        self.0.iter().map(|(step, flows)| (*step, flows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_flow_decides() {
        let one_in = |number| KeptFlows::OneIn(NonZeroU32::new(number).expect("not zero"));
        let id = |number: u128| number.to_be_bytes();
        let check = |kept: KeptFlows, number: u128, expected: [bool; 2]| {
            let found = [false, true].map(|has_hit| kept.keeps(&id(number), has_hit));
            assert_eq!(found, expected, "{kept:?} of {number}");
        };
        for number in [0, 1, 7, u128::MAX] {
            check(KeptFlows::All, number, [true, true]);
            check(KeptFlows::Alerted, number, [false, true]);
            check(one_in(1), number, [true, true]);
        }
        check(one_in(3), 6, [true, true]);
        check(one_in(3), 7, [false, true]);
        // The first bytes are a time.
        check(one_in(3), 6 + (1 << 64), [true, true]);
        check(one_in(3), 7 + (1 << 80), [false, true]);
    }
}
