//! A file as feature rows with what is known about each.

use netsage_capture::MeterConfig;
use netsage_schema::csv::CsvRow;
use netsage_schema::{FlowBatch, Identity, Rows, Schema};
use netsage_sources::{Content, Input, Metered, Packets, Records, Source, SourceError, Table, read_all_with};
use serde::{Deserialize, Serialize};

/// Most rows that are held: with 68 columns of 8 bytes each, 272 MB.
pub const MOST_ROWS: usize = 500_000;

/// No label.
pub const UNKNOWN: u8 = 255;

/// Why a file gives no data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read at all.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rows of a CSV are of another schema than the detector.
    #[error(
        "the rows are of schema {found}, and the detector scores rows of {wanted}; choose a detector of {found}, or a capture"
    )]
    Schema {
        /// The schema of the rows.
        found: &'static str,
        /// The schema of the detector.
        wanted: &'static str,
    },
    /// No schema has this name.
    #[error("there is no schema `{0}` here; the detector was made for another release of NetSage")]
    UnknownSchema(String),
    /// There is no row to score.
    #[error("the file holds no flow that could be scored{}", first(.0))]
    NoRows(Option<String>),
    /// More rows than the browser may hold.
    #[error("the file holds more than {MOST_ROWS} flows; use `netsage score` for files of this size")]
    TooLarge,
    /// A detector asks for a column that the schema does not have.
    #[error("the detector wants the column `{column}`, which schema {schema} does not have")]
    UnknownColumn {
        /// The column.
        column: String,
        /// Name of the schema.
        schema: &'static str,
    },
}

fn first(note: &Option<String>) -> String {
    note.as_ref()
        .map_or_else(String::new, |note| format!(" ({note})"))
}

/// What a file held, for the page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `capture`, `csv`, `records` or `sample`.
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
    pub(crate) fn empty(kind: &'static str, schema: &'static Schema) -> Self {
        Self {
            kind,
            rows: Rows::new(schema),
            labels: Vec::new(),
            categories: Vec::new(),
            category_names: Vec::new(),
            identities: Vec::new(),
            packets: 0,
            skipped: 0,
            notes: Vec::new(),
        }
    }

    /// Reads a capture, a CSV or flow records, plain or compressed, as rows of a schema. `name` says in messages which
    /// file it is.
    ///
    /// Rows that do not fit are counted and left out; the flows of a cut-off capture are kept.
    ///
    /// # Errors
    /// When nothing in the file can be scored.
    pub fn read(name: &str, bytes: &[u8], schema: &'static Schema) -> Result<Self, DataError> {
        let data = match Input::open(name, bytes)? {
            Input::Capture(capture) => {
                let config = MeterConfig {
                    schema,
                    ..MeterConfig::default()
                };
                let (mut data, source) = Self::meter("capture", capture.metered(&config))?;
                data.notes.extend(source.unused());
                data
            }
            Input::Table(table) => Self::table(table, schema)?,
            Input::Records(records) => Self::records(records, schema)?,
        };
        if data.rows.is_empty() {
            return Err(DataError::NoRows(data.notes.into_iter().next()));
        }
        Ok(data)
    }

    fn table(mut table: Table<Content<'_>>, schema: &'static Schema) -> Result<Self, DataError> {
        if table.schema() != schema {
            return Err(DataError::Schema {
                found: table.schema().id,
                wanted: schema.id,
            });
        }
        let has_label = table.has_label();
        let mut data = Self::empty("csv", schema);
        let mut row = CsvRow::default();
        while let Some(outcome) = table.read(&mut row) {
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
            data.rows.push(&row.values);
            if has_label {
                data.labels.push(row.label.map_or(UNKNOWN, u8::from));
            }
            let category = data.category(&row.attack_cat);
            data.categories.push(category);
            data.identities.extend(row.identity);
        }
        data.notes.extend(table.notes());
        data.notes.extend(table.doubts());
        Ok(data)
    }

    /// Meters packets, and gives the source back, which has ended.
    pub(crate) fn meter<P: Packets>(
        kind: &'static str,
        source: Metered<P>,
    ) -> Result<(Self, Metered<P>), DataError> {
        let (mut data, source) = Self::flows(kind, source, |data, _, batch| data.take(batch))?;
        data.packets = source.counters().records;
        Ok((data, source))
    }

    /// Reads records, with the labels that they may have.
    fn records(records: Records<Content<'_>>, schema: &'static Schema) -> Result<Self, DataError> {
        let source = records.with_labels().into_source(schema)?;
        let (mut data, source) = Self::flows("records", source, |data, source, batch| {
            data.take(batch)?;
            if !source.has_labels() {
                return Ok(());
            }
            for id in &batch.ids {
                let label = id.as_ref().and_then(|id| source.label(id));
                let attack = label.and_then(|label| label.attack);
                data.labels.push(attack.map_or(UNKNOWN, u8::from));
                let category = data.category(label.map_or("", |label| &label.kind));
                data.categories.push(category);
            }
            Ok(())
        })?;
        data.notes.extend(source.unused());
        Ok(data)
    }

    /// Reads a source to its end, and gives it back.
    fn flows<S: Source>(
        kind: &'static str,
        mut source: S,
        mut take: impl FnMut(&mut Self, &S, &FlowBatch) -> Result<(), DataError>,
    ) -> Result<(Self, S), DataError> {
        let mut data = Self::empty(kind, source.schema());
        let damage = read_all_with(&mut source, |source, batch| take(&mut data, source, batch))?;
        if let Some(error) = damage {
            data.notes.push(format!("{error}; what came before is shown"));
        }
        data.skipped = source.counters().rejected;
        Ok((data, source))
    }

    fn take(&mut self, batch: &FlowBatch) -> Result<(), DataError> {
        if self.rows.len() + batch.len() > MOST_ROWS {
            return Err(DataError::TooLarge);
        }
        for row in batch.rows.iter() {
            self.rows.push(row);
        }
        self.identities.extend_from_slice(&batch.identities);
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use netsage_schema::{RECORD_V1, UNSW_NB15};
    use std::io::Write;

    pub(crate) fn read(bytes: &[u8]) -> Result<Dataset, DataError> {
        Dataset::read("file", bytes, &UNSW_NB15)
    }

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
            let data = read(&bytes).unwrap();
            assert_eq!(data.rows.len(), 2);
            assert_eq!(data.labels, [0, 1]);
            assert_eq!(data.skipped, 1);
            assert_eq!(data.category_names, ["Normal", "DoS"]);
            assert!(data.notes[0].contains("line 3"), "{:?}", data.notes);
        }
    }

    #[test]
    fn records_bring_their_labels() {
        let header = "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\tconn_state";
        let row = "1767603602.5\t192.0.2.7\t51515\t198.51.100.9\t443\ttcp\t0.25\tSF";
        let log = [
            format!("{header}\tlabel\tdetailedlabel"),
            format!("{row}\tMalicious\tCC"),
            format!("{}\tBenign\t-", row.replace("602.5", "601.5")),
            format!("{}\t-\t-", row.replace("602.5", "603.5")),
        ];
        let read = |text: &str| Dataset::read("log", text.as_bytes(), &RECORD_V1).unwrap();
        let data = read(&log.join("\n"));
        assert_eq!(data.labels, [0, 1, UNKNOWN], "by their ends");
        assert_eq!(data.summary().labelled, 2);
        let kinds = data
            .categories
            .iter()
            .map(|kind| &data.category_names[usize::from(*kind)]);
        assert_eq!(kinds.collect::<Vec<_>>(), ["", "CC", ""]);
        let plain = read(&format!("{header}\n{row}"));
        assert!(plain.labels.is_empty() && plain.categories.is_empty());
    }

    fn check(bytes: &[u8], expected: &str) {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        check(b"", "empty");
        check(b"\x89PNG\0\0", "a picture");
        check(b"\x01\x02\x03", "neither a capture");
        check(b"\x1f\x8b\x08garbage", "cannot open");
        check(b"a,b,c\n1,2,3\n", "line 1");
        check(&csv(&[]), "no flow");
        check(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0], "");
    }
}
