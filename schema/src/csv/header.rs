//! What the columns of a table are: by its header, or, of the official files that have none, by its first row.

use super::records::Fields;
use super::{CsvError, IDENTITY_COLUMNS};
use crate::nearest::nearest;
use crate::{FLOW_V1, RECORD_V1, Schema, UNSW_NB15};

/// What a position of the header holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Feature(usize),
    /// A feature of which an empty cell is 0: no such command, no known service.
    OptionalFeature(usize),
    Label,
    AttackCategory,
    /// Position in [`IDENTITY_COLUMNS`].
    Identity(usize),
    Ignored,
}

/// The columns of the four raw files of UNSW-NB15, which have no header, by the names of the schema where it has them.
#[rustfmt::skip]
const RAW: [&str; 49] = [
    "srcip", "sport", "dstip", "dsport", "proto", "state", "dur", "sbytes", "dbytes", "sttl", "dttl", "sloss", "dloss",
    "service", "sload", "dload", "spkts", "dpkts", "swin", "dwin", "stcpb", "dtcpb", "smeansz", "dmeansz",
    "trans_depth", "res_bdy_len", "sjit", "djit", "stime", "ltime", "sintpkt", "dintpkt", "tcprtt", "synack", "ackdat",
    "is_sm_ips_ports", "ct_state_ttl", "ct_flw_http_mthd", "is_ftp_login", "ct_ftp_cmd", "ct_srv_src", "ct_srv_dst",
    "ct_dst_ltm", "ct_src_ltm", "ct_src_dport_ltm", "ct_dst_sport_ltm", "ct_dst_src_ltm", "attack_cat", "label",
];

/// Columns that the raw files call otherwise than the partitions.
const RENAMED: [(&str, &str); 5] = [
    ("smeansz", "smean"),
    ("dmeansz", "dmean"),
    ("res_bdy_len", "response_body_len"),
    ("sintpkt", "sinpkt"),
    ("dintpkt", "dinpkt"),
];

/// Columns that files leave empty where they do not apply: the raw files of UNSW-NB15 the first three, and the service
/// (whose term `-` has the code 0) those that a library of tables has written again.
const OPTIONAL_CELLS: [&str; 4] = ["is_ftp_login", "ct_ftp_cmd", "ct_flw_http_mthd", "service"];

/// What separates fields, the usual one first; ASCII, so that a byte of a text in UTF-8 is one.
pub(super) const SEPARATORS: [u8; 4] = *b",;\t|";

/// Names that writers of tables give a column of row numbers, besides none at all.
const INDEX_NAMES: [&str; 4] = ["index", "level_0", "unnamed: 0", "unnamed: 0.1"];

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) schema: &'static Schema,
    pub(super) separator: u8,
    pub(super) slots: Vec<Slot>,
    /// Whether the column `rate`, which the raw files lack, is computed from `dur`, `spkts` and `dpkts`.
    pub(super) computes_rate: bool,
    /// What is to be said about the columns.
    pub(super) notes: Vec<String>,
}

/// The names of a header line.
pub(super) struct Names {
    names: Vec<String>,
    separator: u8,
    /// Columns of the schema that fits best among them.
    known: usize,
    schema: &'static Schema,
}

impl Names {
    /// The names in a line, by the separator and the schema that make most sense of it; `schema` when that is given.
    pub(super) fn of(line: &str, schema: Option<&'static Schema>) -> Self {
        let mut best: Option<Self> = None;
        for separator in SEPARATORS {
            // Some writers make the header a comment.
            let names: Vec<String> = Fields::of(line.trim_start_matches(['#', ' ']), separator)
                .map(|name| name.to_ascii_lowercase())
                .map(|name| {
                    if name == "ct_src_ ltm" {
                        "ct_src_ltm".to_owned()
                    } else {
                        name
                    }
                })
                .collect();
            for choice in Schema::ALL {
                if schema.is_some_and(|wanted| wanted != choice) {
                    continue;
                }
                let known = names
                    .iter()
                    .filter(|name| choice.index_of(renamed(name)).is_some())
                    .count();
                if best.as_ref().is_none_or(|best| known > best.known) {
                    best = Some(Self {
                        names: names.clone(),
                        separator,
                        known,
                        schema: choice,
                    });
                }
            }
        }
        best.unwrap_or_else(|| Self {
            names: Vec::new(),
            separator: b',',
            known: 0,
            schema: &UNSW_NB15,
        })
    }

    pub(super) fn separator(&self) -> u8 {
        self.separator
    }

    /// Whether the line is the header of the schema, with mistakes or without.
    pub(super) fn is_header(&self) -> bool {
        self.known * 2 >= self.schema.width()
    }

    /// What the positions hold.
    ///
    /// # Errors
    /// When the names lack or repeat a column.
    pub(super) fn header(self) -> Result<Header, CsvError> {
        let Self {
            names,
            separator,
            known: _,
            schema,
        } = self;
        let is_raw = schema == &UNSW_NB15 && names.iter().any(|name| renamed(name) != name);
        let missing: Vec<&'static str> = (schema.columns.iter().map(|column| column.name))
            .filter(|&column| !names.iter().any(|name| renamed(name) == column))
            .filter(|&column| !(is_raw && column == "rate"))
            .collect();
        // A file of another kind altogether: what it lacks says more than its first strange column.
        if missing.len() * 2 > schema.width() {
            return Err(CsvError::MissingColumns {
                schema: schema.id,
                names: missing,
            });
        }
        let mut notes = Vec::new();
        let mut left_out = Vec::new();
        let mut slots = Vec::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            let slot = slot(schema, renamed(name));
            if slot.is_some()
                && names[..position]
                    .iter()
                    .any(|other| renamed(other) == renamed(name))
            {
                return Err(CsvError::DuplicateColumn { column: name.clone() });
            }
            slots.push(match slot {
                Some(slot) => slot,
                None if name.is_empty() || INDEX_NAMES.contains(&name.as_str()) => {
                    notes.push(format!(
                        "column {} {} and is left out as a column of row numbers",
                        position + 1,
                        if name.is_empty() {
                            "has no name".to_owned()
                        } else {
                            format!("is called `{name}`")
                        }
                    ));
                    Slot::Ignored
                }
                None => {
                    if let Some(nearest) = nearest(name, missing.iter().copied()) {
                        return Err(CsvError::UnexpectedColumn {
                            column: name.clone(),
                            schema: schema.id,
                            nearest: Some(nearest),
                        });
                    }
                    left_out.push(format!("`{name}`"));
                    Slot::Ignored
                }
            });
        }
        if !missing.is_empty() {
            return Err(CsvError::MissingColumns {
                schema: schema.id,
                names: missing,
            });
        }
        if !left_out.is_empty() {
            notes.push(format!(
                "left out what is not in schema {}: {}",
                schema.id,
                left_out.join(", ")
            ));
        }
        if separator != b',' {
            notes.push(format!("fields are separated by {:?}", char::from(separator)));
        }
        let computes_rate = is_raw && !names.iter().any(|name| name == "rate");
        if computes_rate {
            notes.push("`rate` is computed as (spkts + dpkts - 1) / dur".to_owned());
        }
        Ok(Header {
            schema,
            separator,
            slots,
            computes_rate,
            notes,
        })
    }
}

/// The columns that a row has in a file without header, by their number; most likely first.
pub(super) fn without_header(first: &str, schema: Option<&'static Schema>) -> Vec<Header> {
    let partition = |identity: &[&str], of: &Schema, behind: &[&str]| -> Vec<String> {
        let columns = of.columns.iter().map(|column| column.name);
        (identity.iter().copied())
            .chain(columns)
            .chain(behind.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    let labels = ["attack_cat", "label"];
    let forms = [
        (
            "of the raw files of UNSW-NB15",
            &UNSW_NB15,
            RAW.map(str::to_owned).to_vec(),
        ),
        (
            "of a partition of UNSW-NB15",
            &UNSW_NB15,
            partition(&["id"], &UNSW_NB15, &labels),
        ),
        (
            "of a partition of UNSW-NB15",
            &UNSW_NB15,
            partition(&[], &UNSW_NB15, &labels),
        ),
        (
            "of `netsage flows`",
            &UNSW_NB15,
            partition(&IDENTITY_COLUMNS, &UNSW_NB15, &[]),
        ),
        (
            "of `netsage flows`",
            &FLOW_V1,
            partition(&IDENTITY_COLUMNS, &FLOW_V1, &[]),
        ),
        (
            "of `netsage flows`",
            &RECORD_V1,
            partition(&IDENTITY_COLUMNS, &RECORD_V1, &[]),
        ),
        ("of the schema", &UNSW_NB15, partition(&[], &UNSW_NB15, &[])),
        ("of the schema", &FLOW_V1, partition(&[], &FLOW_V1, &[])),
        ("of the schema", &RECORD_V1, partition(&[], &RECORD_V1, &[])),
    ];
    let mut headers = Vec::new();
    for (form, of, names) in forms {
        if schema.is_some_and(|wanted| wanted != of) {
            continue;
        }
        for separator in SEPARATORS {
            let index = match Fields::of(first, separator).count().checked_sub(names.len()) {
                Some(0) => None,
                // A row number in front.
                Some(1) => Some(String::new()),
                _ => continue,
            };
            let names = Names {
                names: index.into_iter().chain(names.iter().cloned()).collect(),
                separator,
                known: of.width(),
                schema: of,
            };
            if let Ok(mut header) = names.header() {
                let note = format!(
                    "the file has no header; its {} columns are taken for those {form}",
                    header.slots.len()
                );
                header.notes.insert(0, note);
                headers.push(header);
            }
        }
    }
    headers
}

/// Whether a cell holds nothing, in the words that programs have for it.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "nan" | "NaN" | "NA" | "null" | "None")
}

/// The number of fields of a line by the separator that gives the most.
pub(super) fn widest(line: &str) -> usize {
    let counts = SEPARATORS.map(|separator| Fields::of(line, separator).count());
    counts.into_iter().max().unwrap_or_default()
}

/// The schema's name of a column that the raw files call otherwise.
fn renamed(name: &str) -> &str {
    let known = RENAMED.iter().find(|(raw, _)| *raw == name);
    known.map_or(name, |&(_, of_schema)| of_schema)
}

fn slot(schema: &Schema, name: &str) -> Option<Slot> {
    if let Some(index) = schema.index_of(name) {
        let is_optional = OPTIONAL_CELLS.contains(&name);
        return Some(if is_optional {
            Slot::OptionalFeature(index)
        } else {
            Slot::Feature(index)
        });
    }
    match name {
        "label" => Some(Slot::Label),
        "attack_cat" => Some(Slot::AttackCategory),
        "id" | "row" => Some(Slot::Ignored),
        _ => IDENTITY_COLUMNS
            .iter()
            .position(|&known| known == name)
            .map(Slot::Identity),
    }
}
