//! What the receiver was told of alerts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use netsage_api_types::{Alert, AlertState, Severity};

/// Alerts remembered; of the others it is not known what was told.
const MOST: usize = 65_536;

/// What was told of an alert last.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastTold {
    pub(super) severity: Severity,
    pub(super) state: AlertState,
    /// When, since the output began.
    pub(super) at: Duration,
    order: u64,
}

/// The last message of each of the alerts that were told of last.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_id: HashMap<String, LastTold>,
    by_order: BTreeMap<u64, String>,
    next: u64,
}

impl Told {
    pub(super) fn get(&self, id: &str) -> Option<&LastTold> {
        self.by_id.get(id)
    }

    /// Notes that a message of the alert was taken.
    pub(super) fn note(&mut self, alert: &Alert, at: Duration) {
        let order = self.next;
        self.next += 1;
        let last = LastTold {
            severity: alert.severity,
            state: alert.state,
            at,
            order,
        };
        if let Some(before) = self.by_id.insert(alert.id.clone(), last) {
            self.by_order.remove(&before.order);
        }
        self.by_order.insert(order, alert.id.clone());
        if self.by_order.len() > MOST
            && let Some((_, oldest)) = self.by_order.pop_first()
        {
            self.by_id.remove(&oldest);
        }
    }
}
