//! What a receiver is sent of a flow: the flow as a record, and beside it what was made of it here.
//!
//! The record is the project's own JSON (`docs/sources/flow-json.md`), from which the receiver makes rows of `record-v1` as of
//! any other record. Rows of another schema, and scores, are members beside it. A message is encoded once, by a thread that
//! scores, and lies in the spool as it is sent.

use std::fmt::Write as _;

use netsage_records::formats::flow_json;
use netsage_records::{BytesOf, Network, Origin, OwnId, Unrow, flow_id};
use netsage_schema::{FlowBatch, RECORD_V1, Schema};

/// What a detector said of a flow.
#[derive(Debug, Clone, Copy)]
pub struct Score<'a> {
    /// Its name.
    pub detector: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The digest of its package.
    pub digest: &'a str,
    /// The score.
    pub score: f32,
    /// The score above which it is a hit.
    pub threshold: f32,
}

/// Messages in one piece of memory, as they lie in the spool.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One after the other.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(self.ends.iter().copied());
        ranges.map(|(start, end)| self.bytes.get(start..end).unwrap_or_default())
    }
}

/// A message as it lies in the spool: the key by which a topic is parted, and the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The source address, with the network and a slash before it where the flow names one.
    pub key: &'a [u8],
    /// The flow as JSON, on one line.
    pub json: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parts a text of the spool; one that no [`Writer`] has written has no key.
    pub fn of(text: &'a [u8]) -> Self {
        let parted = text.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::from(u16::from_le_bytes(*length));
            rest.split_at_checked(length)
        });
        let (key, json) = parted.unwrap_or((&[], text));
        Self { key, json }
    }
}

/// Encodes flows whose rows are of one schema.
#[derive(Debug, Clone)]
pub struct Writer {
    schema: &'static Schema,
    name: String,
    unrow: Unrow,
    /// Which bytes rows count, where they do not say so.
    bytes_of: BytesOf,
    /// Nearly always that of the flow before.
    network: (String, Network),
    key: String,
}

impl Writer {
    /// Of flows with rows of that schema, which count these bytes where the schema does not say.
    pub fn new(schema: &'static Schema, bytes_of: BytesOf) -> Self {
        Self {
            schema,
            name: schema.to_string(),
            unrow: Unrow::of(schema),
            bytes_of,
            network: (String::new(), Network::UNNAMED),
            key: String::new(),
        }
    }

    /// Appends the message of the flow at `place`; of one that is not there none.
    pub fn push<'a>(
        &mut self,
        messages: &mut Messages,
        flows: &FlowBatch,
        place: usize,
        scores: impl Iterator<Item = Score<'a>>,
    ) {
        let (Some(identity), Some(provenance), Some(beside)) = (
            flows.identities.get(place),
            flows.provenances.get(place),
            flows.besides.get(place),
        ) else {
            return;
        };
        let row = flows.rows.row(place);
        let mut record = self.unrow.record(row, identity);
        if self.schema != &RECORD_V1 {
            record.bytes_of = self.bytes_of;
        }
        if beside.sampling > 0 {
            record.sampling = beside.sampling;
        }
        let [sensor, network] = [provenance.sensor(), provenance.network()];
        if self.network.0 != network {
            self.network = (network.to_owned(), Network::named(network));
        }
        record.own_id = beside.own_id.map(OwnId);
        if let Some(id) = flows.ids.get(place).copied().flatten() {
            let origin = Origin {
                network: self.network.1,
                exporter: None,
            };
            // More is part of its id, such as its exporter: flows that are two here stay two.
            if flow_id(identity, &origin, record.own_id) != id {
                record.own_id = Some(OwnId(id));
            }
        }

        self.key.clear();
        if !network.is_empty() {
            self.key.push_str(network);
            self.key.push('/');
        }
        // Text takes all that is written, and so do bytes.
        let _ = write!(self.key, "{}", identity.source);
        let key = self.key.as_bytes();
        let length = u16::try_from(key.len()).unwrap_or(0);
        let out = &mut messages.bytes;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&key[..usize::from(length)]);
        // Names are written here, so that none is allocated for each flow.
        let _ = flow_json::write(&record, out);
        // The end of the object, which comes last again.
        out.pop();
        for (name, value) in [("sensor", sensor), ("network", network)] {
            if !value.is_empty() {
                let _ = write_name(out, name, value);
            }
        }
        match &beside.foreign {
            // What was made of the flow where it was metered says more than what is made of its record.
            Some(foreign) => {
                out.push(b',');
                out.extend_from_slice(foreign.trim_start_matches('{').as_bytes());
            }
            None => {
                if self.schema != &RECORD_V1 {
                    write_row(out, &self.name, row);
                }
                write_scores(out, scores);
                out.push(b'}');
            }
        }
        messages.ends.push(messages.bytes.len());
    }
}

fn write_name(out: &mut Vec<u8>, name: &str, value: &str) -> serde_json::Result<()> {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    serde_json::to_writer(out, value)
}

fn write_row(out: &mut Vec<u8>, schema: &str, row: &[f64]) {
    out.extend_from_slice(b",\"row\":{\"schema\":\"");
    out.extend_from_slice(schema.as_bytes());
    out.extend_from_slice(b"\",\"values\":[");
    let mut buffer = zmij::Buffer::new();
    for (place, &value) in row.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        // Most values are whole, and take less room so.
        if value.fract() == 0.0 && value.abs() < 1e15 {
            out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        } else if value.is_finite() {
            out.extend_from_slice(buffer.format_finite(value).as_bytes());
        } else {
            out.push(b'0');
        }
    }
    out.extend_from_slice(b"]}");
}

fn write_scores<'a>(out: &mut Vec<u8>, scores: impl Iterator<Item = Score<'a>>) {
    let mut has_any = false;
    let mut buffer = zmij::Buffer::new();
    for score in scores {
        out.extend_from_slice(if has_any { b"," } else { b",\"scores\":[" });
        has_any = true;
        let texts = [
            ("{\"detector\":", score.detector),
            (",\"version\":", score.version),
            (",\"digest\":", score.digest),
        ];
        for (name, text) in texts {
            out.extend_from_slice(name.as_bytes());
            // Bytes take all that is written.
            let _ = serde_json::to_writer(&mut *out, text);
        }
        for (name, number) in [(",\"score\":", score.score), (",\"threshold\":", score.threshold)] {
            // A threshold that nothing reaches is none.
            if number.is_finite() {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(buffer.format_finite(number).as_bytes());
            }
        }
        out.push(b'}');
    }
    if has_any {
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::IpAddr;

    use netsage_records::formats::{Format, Items, Reader};
    use netsage_records::{Counts, Record, row_of};
    use netsage_schema::{Beside, CommunityId, FLOW_V1, Provenance};

    use super::*;

    fn record() -> Record {
        Record {
            start_us: 1_700_000_000_000_001,
            end_us: 1_700_000_000_500_000,
            source: IpAddr::from([10, 0, 0, 1]),
            destination: IpAddr::from([10, 0, 0, 2]),
            source_port: 4_000,
            destination_port: 443,
            protocol: 6,
            service: Some(3),
            state: Some(netsage_records::State::Closed),
            packets: None,
            bytes: Some(netsage_records::Sides {
                source: 7,
                destination: 9,
            }),
            bytes_of: BytesOf::Link,
            payload: None,
            sampling: 64,
            own_id: Some(OwnId([9; 16])),
            sensor: Some("tap \"1\"".into()),
            network: Some("Zürich\n2".into()),
            foreign: None,
        }
    }

    fn read(json: &[u8]) -> Record {
        let (mut reader, mut items) = (
            Reader::new(Format::FlowJson, &Default::default()),
            Items::default(),
        );
        reader.message(json, &mut items);
        assert!(items.refused.is_empty(), "{:?}", items.refused);
        items.records.pop().unwrap()
    }

    const SCORE: Score<'static> = Score {
        detector: "iforest",
        version: "1.0.0",
        digest: "00ff",
        score: 0.1,
        threshold: f32::INFINITY,
    };

    #[test]
    fn a_record_is_sent_as_it_came() {
        let record = record();
        let identity = record.identity();
        let origin = Origin {
            network: Network::named("Zürich\n2"),
            exporter: None,
        };
        let mut flows = FlowBatch::new(&RECORD_V1);
        let mut check = |id, foreign: Option<&str>, expected: &Record| {
            flows.clear();
            flows.push_with(
                &row_of(&record, &Counts::default()),
                identity,
                CommunityId::of(&identity),
                id,
                Provenance::new("tap \"1\"", "Zürich\n2", false),
                Beside {
                    foreign: foreign.map(Into::into),
                    ..record.beside()
                },
            );
            let mut messages = Messages::default();
            Writer::new(&RECORD_V1, BytesOf::Network).push(&mut messages, &flows, 0, [SCORE].into_iter());
            let text = messages.texts().next().unwrap();
            let message = Message::of(text);
            assert_eq!(message.key, "Zürich\n2/10.0.0.1".as_bytes());
            assert!(!message.json.contains(&b'\n'));
            assert_eq!(&read(message.json), expected);
        };
        let scores = r#"{"scores":[{"detector":"iforest","version":"1.0.0","digest":"00ff","score":0.1}]}"#;
        let expected = Record {
            foreign: Some(scores.into()),
            ..record.clone()
        };
        check(Some(record.id(&origin)), None, &expected);
        let row = r#"{"row":{"schema":"flow-v1@1","values":[1]},"scores":[]}"#;
        let passed_on = Record {
            foreign: Some(row.into()),
            ..record.clone()
        };
        check(Some(record.id(&origin)), Some(row), &passed_on);
        let of_exporter = Record {
            own_id: Some(OwnId([7; 16])),
            ..expected
        };
        check(Some([7; 16]), None, &of_exporter);
    }

    #[test]
    fn a_row_of_another_schema_goes_beside_the_record() {
        let record = record();
        let identity = record.identity();
        let mut flows = FlowBatch::new(&FLOW_V1);
        let row: Vec<f64> = (0..FLOW_V1.width()).map(|place| place as f64 / 4.0).collect();
        flows.push(&row, identity, CommunityId::of(&identity));
        let mut messages = Messages::default();
        let mut writer = Writer::new(&FLOW_V1, BytesOf::Link);
        writer.push(&mut messages, &flows, 0, std::iter::empty());
        writer.push(&mut messages, &flows, 1, std::iter::empty());
        assert_eq!(messages.len(), 1, "there is no second flow");
        let message = Message::of(messages.texts().next().unwrap());
        assert_eq!(message.key, b"10.0.0.1");
        let read = read(message.json);
        assert_eq!(
            (read.bytes_of, read.own_id, read.network),
            (BytesOf::Link, None, None)
        );
        let foreign: serde_json::Value = serde_json::from_str(&read.foreign.unwrap()).unwrap();
        assert_eq!(foreign["row"]["schema"], FLOW_V1.to_string());
        let values: Vec<f64> = serde_json::from_value(foreign["row"]["values"].clone()).unwrap();
        assert_eq!(values, row);
        assert_eq!(foreign.get("scores"), None);
    }

    #[test]
    fn what_no_writer_wrote_has_no_key() {
        for text in [&b""[..], b"{", b"\xFF\xFFshort"] {
            assert_eq!(Message::of(text), Message { key: b"", json: text });
        }
    }
}
