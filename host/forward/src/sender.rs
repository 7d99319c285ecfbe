//! What a sender tells of itself beside the flows, in the header [`HEADER`] of calls and of messages.

use std::fmt::Write as _;

use serde_json::Value;

use crate::spool::SpoolStatus;

/// Name of the header.
pub const HEADER: &str = "netsage-sender";
/// Longest name of a sensor or a network, in characters.
const LONGEST_NAME: usize = 128;
/// Longest header that is read.
const LONGEST_HEADER: usize = 4 << 10;

/// Who sends, and how far behind it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderNote {
    /// Where the flows are seen; empty without a name.
    pub sensor: String,
    /// The network whose flows they are; empty without a name.
    pub network: String,
    /// Records that wait in its spool.
    pub waiting: u64,
    /// How long the oldest of them has waited, ms.
    pub lag_ms: u64,
    /// Records that it had to give up, over all its runs.
    pub given_up: u64,
    /// Records that were refused for good, over all its runs.
    pub set_aside: u64,
}

impl SenderNote {
    /// What a spool says now.
    pub fn of(sensor: &str, network: &str, status: &SpoolStatus) -> Self {
        Self {
            sensor: sensor.to_owned(),
            network: network.to_owned(),
            waiting: status.waiting,
            lag_ms: u64::try_from(status.age().as_millis()).unwrap_or(u64::MAX),
            given_up: status.given_up,
            set_aside: status.set_aside,
        }
    }

    /// As the value of a header: JSON of printable ASCII.
    pub fn header(&self) -> String {
        let json = serde_json::json!({
            "sensor": self.sensor,
            "network": self.network,
            "waiting": self.waiting,
            "lag_ms": self.lag_ms,
            "given_up": self.given_up,
            "set_aside": self.set_aside,
        });
        let mut header = String::new();
        for character in json.to_string().chars() {
            if matches!(character, ' '..='~') {
                header.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Text takes all that is written.
                let _ = write!(header, "\\u{unit:04x}");
            }
        }
        header
    }

    /// Reads the value of a header; `None` when it is none.
    pub fn read(header: &[u8]) -> Option<Self> {
        if header.len() > LONGEST_HEADER {
            return None;
        }
        let value: Value = serde_json::from_slice(header).ok()?;
        let name = |name: &str| {
            let name = value.get(name).and_then(Value::as_str).unwrap_or_default();
            (name.chars().count() <= LONGEST_NAME).then(|| name.to_owned())
        };
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
        value.as_object()?;
        Some(Self {
            sensor: name("sensor")?,
            network: name("network")?,
            waiting: number("waiting"),
            lag_ms: number("lag_ms"),
            given_up: number("given_up"),
            set_aside: number("set_aside"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let note = SenderNote {
            sensor: "tap \"1\"\r\n\u{7f}".to_owned(),
            network: "Zürich 🌍".to_owned(),
            waiting: 1,
            lag_ms: 2,
            given_up: 3,
            set_aside: 4,
        };
        for note in [note, SenderNote::default()] {
            let header = note.header();
            assert!(header.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{header}");
            assert_eq!(SenderNote::read(header.as_bytes()), Some(note));
        }
    }

    #[test]
    fn what_is_no_note_is_none() {
        let long = format!("{{\"sensor\":\"{}\"}}", "x".repeat(LONGEST_NAME + 1));
        let endless = format!("{{\"x\":\"{}\"}}", "x".repeat(LONGEST_HEADER));
        for header in ["", "7", "[]", "{", long.as_str(), endless.as_str()] {
            assert_eq!(SenderNote::read(header.as_bytes()), None, "{header}");
        }
        assert_eq!(SenderNote::read(b"{\"waiting\":-1}"), Some(SenderNote::default()));
    }
}
