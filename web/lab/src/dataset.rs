//! A file as feature rows with what is known about each.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use netsage_capture::file::{CaptureReader, FileError};
use netsage_capture::{Meter, MeterConfig, Mode};
use netsage_schema::csv::{CsvError, Reader, Record};
use netsage_schema::{FlowBatch, Identity, Rows, UNSW_NB15};
use serde::{Deserialize, Serialize};

/// Most rows that are held: with 42 columns of 8 bytes each, 168 MB.
pub const MOST_ROWS: usize = 500_000;

/// No label.
pub const UNKNOWN: u8 = 255;

/// Packets between two looks at the meter's finished flows.
pub(crate) const PACKETS_PER_DRAIN: u32 = 4096;

/// Why a file gives no data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing in it.
    #[error("the file is empty; choose a capture or a CSV in the UNSW-NB15 format")]
    Empty,
    /// It can not even be unpacked.
    #[error("the file starts like gzip but cannot be unpacked: {0}")]
    Unpack(std::io::Error),
    /// Neither a capture nor a text.
    #[error("the file is neither a pcap or pcapng capture nor a CSV in the UNSW-NB15 format")]
    Unknown,
    /// The capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] FileError),
    /// The CSV has no usable header.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// There is no row to score.
    #[error("the file holds no flow that could be scored{}", first(.0))]
    NoRows(Option<String>),
    /// More rows than the browser shall hold.
    #[error("the file holds more than {MOST_ROWS} flows; use `netsage score` for files of this size")]
    TooLarge,
    /// A detector wants what the schema does not have.
    #[error("the detector wants the column `{0}`, which schema unsw-nb15 does not have")]
    UnknownColumn(String),
    /// A detector wants to know where or when flows were, and the file does not say.
    #[error(
        "the detector wants `{0}`, which this file does not tell; choose a capture, or a CSV with addresses and times"
    )]
    NoContext(String),
}

fn first(note: &Option<String>) -> String {
    note.as_ref()
        .map_or_else(String::new, |note| format!(" ({note})"))
}

/// What a file held, for the page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `capture`, `csv` or `sample`.
    pub kind: String,
    /// Rows that can be scored.
    pub rows: usize,
    /// Rows with a label.
    pub labelled: usize,
    /// Packets read, for a capture.
    pub packets: u64,
    /// Rows or packets that could not be used.
    pub skipped: u64,
    /// What to know about the reading, e.g. the first error.
    pub notes: Vec<String>,
}

/// Feature rows with labels and identities where the file has them.
#[derive(Debug)]
pub struct Dataset {
    /// `capture`, `csv` or `sample`.
    pub kind: &'static str,
    /// The rows.
    pub rows: Rows,
    /// One for each row: 0 ordinary, 1 attack, [`UNKNOWN`]; empty when no row has a label.
    pub labels: Vec<u8>,
    /// One for each row: position in `category_names`; empty when the file does not say.
    pub categories: Vec<u16>,
    /// The categories that occur.
    pub category_names: Vec<String>,
    /// One for each row; empty when the file does not say.
    pub identities: Vec<Identity>,
    /// Packets read.
    pub packets: u64,
    /// Rows or packets that could not be used.
    pub skipped: u64,
    /// What to know about the reading.
    pub notes: Vec<String>,
}

impl Dataset {
    pub(crate) fn empty(kind: &'static str) -> Self {
        Self {
            kind,
            rows: Rows::new(&UNSW_NB15),
            labels: Vec::new(),
            categories: Vec::new(),
            category_names: Vec::new(),
            identities: Vec::new(),
            packets: 0,
            skipped: 0,
            notes: Vec::new(),
        }
    }

    /// Reads a capture or a CSV, plain or gzipped.
    ///
    /// Rows that do not fit are counted and left out; what a cut-off capture holds is kept.
    ///
    /// # Errors
    /// When nothing in the file can be scored.
    pub fn read(bytes: &[u8]) -> Result<Self, DataError> {
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut unpacked = MultiGzDecoder::new(bytes);
            let start = read_start(&mut unpacked).map_err(DataError::Unpack)?;
            let head = start.clone();
            Self::read_plain(&head, Cursor::new(start).chain(unpacked))
        } else {
            Self::read_plain(&bytes[..bytes.len().min(START)], bytes)
        }
    }

    fn read_plain(start: &[u8], input: impl Read) -> Result<Self, DataError> {
        if start.is_empty() {
            return Err(DataError::Empty);
        }
        let data = if is_capture(start) {
            Self::read_capture(input)?
        } else if start.contains(&0) {
            return Err(DataError::Unknown);
        } else {
            Self::read_csv(input)?
        };
        if data.rows.is_empty() {
            return Err(DataError::NoRows(data.notes.into_iter().next()));
        }
        Ok(data)
    }

    fn read_csv(input: impl Read) -> Result<Self, DataError> {
        let mut reader = Reader::new(input, &UNSW_NB15)?;
        let (has_label, has_identity) = (reader.has_label(), reader.has_identity());
        let mut data = Self::empty("csv");
        let mut record = Record::default();
        while let Some(outcome) = reader.read_record(&mut record) {
            if let Err(error) = outcome {
                if data.skipped == 0 {
                    data.notes.push(error.to_string());
                }
                data.skipped += 1;
                continue;
            }
            if data.rows.len() == MOST_ROWS {
                return Err(DataError::TooLarge);
            }
            data.rows.push(&record.values);
            if has_label {
                data.labels.push(record.label.map_or(UNKNOWN, u8::from));
            }
            let category = data.category(&record.attack_cat);
            data.categories.push(category);
            if has_identity && let Some(identity) = record.identity {
                data.identities.push(identity);
            }
        }
        // A list that does not cover every row could not be matched to rows.
        if data.identities.len() != data.rows.len() {
            data.identities.clear();
        }
        Ok(data)
    }

    fn read_capture(input: impl Read) -> Result<Self, DataError> {
        let mut reader = CaptureReader::new(input)?;
        let mut meter = Meter::new(MeterConfig {
            mode: Mode::Replay,
            ..MeterConfig::default()
        });
        let mut batch = FlowBatch::default();
        let mut data = Self::empty("capture");
        let mut until_drain = PACKETS_PER_DRAIN;
        loop {
            match reader.next_packet() {
                Ok(Some(packet)) => meter.packet(&packet),
                Ok(None) => break,
                Err(error) => {
                    data.notes.push(format!("{error}; what came before is shown"));
                    break;
                }
            }
            until_drain -= 1;
            if until_drain == 0 {
                until_drain = PACKETS_PER_DRAIN;
                data.take(&mut meter, &mut batch)?;
            }
        }
        meter.finish();
        data.take(&mut meter, &mut batch)?;
        data.packets = meter.stats().packets;
        data.skipped = meter
            .stats()
            .not_metered_reasons()
            .map(|(_, packets)| packets)
            .sum();
        Ok(data)
    }

    /// Takes the flows that a meter has finished.
    pub(crate) fn take(&mut self, meter: &mut Meter, batch: &mut FlowBatch) -> Result<(), DataError> {
        meter.drain(batch);
        if self.rows.len() + batch.len() > MOST_ROWS {
            return Err(DataError::TooLarge);
        }
        for row in batch.rows.iter() {
            self.rows.push(row);
        }
        self.identities.extend_from_slice(&batch.identities);
        batch.clear();
        Ok(())
    }

    /// The code of a category, which is new when it has not occurred yet.
    pub(crate) fn category(&mut self, name: &str) -> u16 {
        let position = self.category_names.iter().position(|known| known == name);
        let position = position.unwrap_or_else(|| {
            self.category_names.push(name.to_owned());
            self.category_names.len() - 1
        });
        // A file with more categories than that is not labelled in any useful sense.
        u16::try_from(position).unwrap_or(u16::MAX)
    }

    /// What was read.
    pub fn summary(&self) -> Summary {
        Summary {
            kind: self.kind.to_owned(),
            rows: self.rows.len(),
            labelled: self.labels.iter().filter(|&&label| label != UNKNOWN).count(),
            packets: self.packets,
            skipped: self.skipped,
            notes: self.notes.clone(),
        }
    }

    /// When each flow ended, ms since the epoch; empty when the file does not say.
    pub fn times(&self) -> Vec<f64> {
        // Whole milliseconds of this era are far below 2^53.
        self.identities
            .iter()
            .map(|identity| (identity.end_ns / 1_000_000) as f64)
            .collect()
    }
}

/// Bytes looked at to tell a text from something else.
const START: usize = 512;

fn read_start(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(START);
    input.by_ref().take(START as u64).read_to_end(&mut start)?;
    Ok(start)
}

fn is_capture(start: &[u8]) -> bool {
    const MAGIC: [[u8; 4]; 5] = [
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0x0a, 0x0d, 0x0d, 0x0a],
    ];
    MAGIC.iter().any(|magic| start.starts_with(magic))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    pub(crate) fn csv(rows: &[&str]) -> Vec<u8> {
        let names: Vec<_> = UNSW_NB15.columns.iter().map(|column| column.name).collect();
        let header = format!("id,{},attack_cat,label", names.join(","));
        [&[header.as_str()], rows].concat().join("\n").into_bytes()
    }

    pub(crate) fn row(id: &str, duration: &str, category: &str, label: &str) -> String {
        let values: Vec<_> = UNSW_NB15
            .columns
            .iter()
            .map(|column| match column.name {
                "dur" => duration,
                "proto" => "udp",
                "service" => "dns",
                "state" => "CON",
                _ => "3",
            })
            .collect();
        format!("{id},{},{category},{label}", values.join(","))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn reads_csv_plain_and_gzipped_and_counts_bad_rows() {
        let rows = [
            row("1", "0.1", "Normal", "0"),
            row("2", "fast", "Normal", "0"),
            row("3", "9.5", "DoS", "1"),
        ];
        let plain = csv(&rows.each_ref().map(String::as_str));
        for bytes in [plain.clone(), gzip(&plain)] {
            let data = Dataset::read(&bytes).unwrap();
            assert_eq!(data.rows.len(), 2);
            assert_eq!(data.labels, [0, 1]);
            assert_eq!(data.skipped, 1);
            assert_eq!(data.category_names, ["Normal", "DoS"]);
            assert!(data.notes[0].contains("line 3"), "{:?}", data.notes);
        }
    }

    fn check(bytes: &[u8], expected: &str) {
        let error = Dataset::read(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        check(b"", "empty");
        check(b"\x89PNG\0\0", "neither a pcap");
        check(b"\x1f\x8b\x08garbage", "cannot be unpacked");
        check(b"a,b,c\n1,2,3\n", "line 1");
        check(&csv(&[]), "no flow");
        check(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0], "");
    }
}
