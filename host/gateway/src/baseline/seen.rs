//! What has been seen, in a few words.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use netsage_schema::{FlowBatch, Schema};

/// Sources that are told apart; beyond it "at least so many" is told.
const MOST_SOURCES: usize = 100_000;
/// Services that are named.
const NAMED: usize = 4;

/// Sources and services of the flows so far.
#[derive(Debug)]
pub(super) struct Seen {
    service: Option<usize>,
    schema: &'static Schema,
    sources: HashSet<IpAddr>,
    services: BTreeMap<u16, u64>,
    flows: u64,
}

impl Seen {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self {
            service: schema.index_of("service"),
            schema,
            sources: HashSet::new(),
            services: BTreeMap::new(),
            flows: 0,
        }
    }

    pub(super) fn add(&mut self, batch: &FlowBatch) {
        self.flows += batch.len() as u64;
        for identity in &batch.identities {
            if self.sources.len() < MOST_SOURCES {
                self.sources.insert(identity.source);
            }
        }
        if let Some(service) = self.service {
            for row in batch.rows.iter() {
                *self.services.entry(row[service] as u16).or_default() += 1;
            }
        }
    }

    /// E.g. `17 sources; http 41 %, dns 30 %`.
    pub(super) fn shown(&self) -> String {
        let mut by_count: Vec<(u64, u16)> = self
            .services
            .iter()
            .map(|(&code, &count)| (count, code))
            .collect();
        by_count.sort_unstable_by(|a, b| b.cmp(a));
        let names = self
            .service
            .and_then(|column| self.schema.columns[column].vocabulary());
        let name = |code: u16| match names.and_then(|names| names.terms.get(usize::from(code))) {
            Some(&"-") | None => "unknown",
            Some(name) => name,
        };
        let services: Vec<String> = by_count
            .iter()
            .take(NAMED)
            .map(|&(count, code)| {
                let share = 100.0 * count as f64 / self.flows.max(1) as f64;
                format!("{} {share:.0} %", name(code))
            })
            .collect();
        let more = if self.sources.len() < MOST_SOURCES {
            ""
        } else {
            "at least "
        };
        format!("{more}{} sources; {}", self.sources.len(), services.join(", "))
    }
}
