//! Records of rows, where a table or the meter of captures has rows alone.

use netsage_schema::{Identity, Schema};

use crate::{BytesOf, Record, Sides, State};

/// Makes records of rows of one schema.
///
/// A record has what its row says: of `record-v1` the same row comes of it again. Rows of `flow-v1` say more than a record
/// does, and the states of `unsw-nb15` are those of Argus, of which a record says none.
#[derive(Debug, Clone)]
pub struct Unrow {
    schema: &'static Schema,
    service: Option<usize>,
    state: Option<usize>,
    packets: Pair,
    bytes: Pair,
    bytes_of: Option<usize>,
    service_missing: Option<usize>,
    packets_missing: Option<usize>,
    bytes_missing: Option<usize>,
    sampled: Option<usize>,
}

/// The places of the columns of source and destination.
type Pair = Option<(usize, usize)>;

impl Unrow {
    /// For rows of that schema.
    pub fn of(schema: &'static Schema) -> Self {
        let place = |name: &str| schema.index_of(name);
        let pair = |names: [(&'static str, &'static str); 2]| {
            names
                .into_iter()
                .find_map(|(source, destination)| place(source).zip(place(destination)))
        };
        Self {
            schema,
            service: place("service"),
            state: place("state"),
            packets: pair([("src_packets", "dst_packets"), ("spkts", "dpkts")]),
            bytes: pair([("src_bytes", "dst_bytes"), ("sbytes", "dbytes")]),
            bytes_of: place("bytes_of"),
            service_missing: place("service_missing"),
            packets_missing: place("packets_missing"),
            bytes_missing: place("bytes_missing"),
            sampled: place("sampled"),
        }
    }

    /// The record of a row.
    pub fn record(&self, row: &[f64], identity: &Identity) -> Record {
        let value = |place: Option<usize>| place.and_then(|place| row.get(place)).copied();
        let is_set = |place| value(place).is_some_and(|value| value != 0.0);
        // Values are whole, and casts of floats keep to the bounds of the type.
        let code = |place| value(place).map(|value| value as u16);
        let sides = |pair: Pair, missing| {
            let (source, destination) = pair.filter(|_| !is_set(missing))?;
            Some(Sides {
                source: value(Some(source))? as u64,
                destination: value(Some(destination))? as u64,
            })
        };
        Record {
            start_us: identity.start_ns.div_euclid(1_000),
            end_us: identity.end_ns.div_euclid(1_000),
            source: identity.source,
            destination: identity.destination,
            source_port: identity.source_port,
            destination_port: identity.destination_port,
            protocol: identity.protocol,
            service: code(self.service).filter(|_| !is_set(self.service_missing)),
            state: self.state(code(self.state)),
            packets: sides(self.packets, self.packets_missing),
            bytes: sides(self.bytes, self.bytes_missing),
            bytes_of: code(self.bytes_of)
                .and_then(|code| BytesOf::ALL.get(usize::from(code)).copied())
                .unwrap_or(BytesOf::Network),
            payload: None,
            // A row says no rate; any above 1 makes the same row.
            sampling: if is_set(self.sampled) { 2 } else { 1 },
            own_id: None,
            sensor: None,
            network: None,
            foreign: None,
        }
    }

    fn state(&self, code: Option<u16>) -> Option<State> {
        let vocabulary = self.schema.columns.get(self.state?)?.vocabulary()?;
        Some(match vocabulary.term(code?)? {
            "attempt" => State::Attempt,
            "refused" => State::Refused,
            "established" | "half-open" | "half-closed" => State::Established,
            "closed" => State::Closed,
            "reset" | "aborted" | "reset-src" | "reset-dst" => State::Reset,
            "midstream" => State::Midstream,
            "two-way" => State::TwoWay,
            "one-way" => State::OneWay,
            _ => return None,
        })
    }
}
