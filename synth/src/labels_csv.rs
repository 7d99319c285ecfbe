//! Labels as CSV. Nothing but evaluation reads them.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::label::{Behaviour, FlowLabel};

const HEADER: &str =
    "source,source_port,destination,destination_port,protocol,start_ns,end_ns,behaviour,attack";

/// Why labels cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The first line names other columns.
    #[error("line 1: this is not a label file; its header must be `{HEADER}`")]
    Header,
    /// A line has more or fewer fields than the header.
    #[error("line {line}: 9 fields are needed")]
    FieldCount {
        /// Line, from 1.
        line: usize,
    },
    /// A field is not what its column holds.
    #[error("line {line}, column `{column}`: `{value}` cannot be read")]
    Field {
        /// Line, from 1.
        line: usize,
        /// Name of the column.
        column: &'static str,
        /// The text.
        value: String,
    },
    /// The input failed or is not UTF-8.
    #[error("reading labels failed: {0}")]
    Read(#[from] io::Error),
}

/// Writes labels with a header.
///
/// # Errors
/// When `out` fails.
pub fn write(labels: &[FlowLabel], mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    for label in labels {
        writeln!(
            out,
            "{},{},{},{},{},{},{},{},{}",
            label.source,
            label.source_port,
            label.destination,
            label.destination_port,
            label.protocol,
            label.start_ns,
            label.end_ns,
            label.behaviour,
            u8::from(label.attack)
        )?;
    }
    out.flush()
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the input fails or is not a label file; the message names the line and the column.
pub fn read(input: impl Read) -> Result<Vec<FlowLabel>, LabelError> {
    let mut lines = BufReader::new(input).lines();
    if lines.next().transpose()?.as_deref().map(str::trim) != Some(HEADER) {
        return Err(LabelError::Header);
    }
    let mut labels = Vec::new();
    for (index, text) in lines.enumerate() {
        let text = text?;
        if !text.trim().is_empty() {
            labels.push(parse(index + 2, text.trim())?);
        }
    }
    Ok(labels)
}

fn parse(line: usize, text: &str) -> Result<FlowLabel, LabelError> {
    let fields: Vec<&str> = text.split(',').collect();
    let [
        source,
        source_port,
        destination,
        destination_port,
        protocol,
        start,
        end,
        behaviour,
        attack,
    ] = fields[..]
    else {
        return Err(LabelError::FieldCount { line });
    };
    Ok(FlowLabel {
        source: field(line, "source", source)?,
        source_port: field(line, "source_port", source_port)?,
        destination: field(line, "destination", destination)?,
        destination_port: field(line, "destination_port", destination_port)?,
        protocol: field(line, "protocol", protocol)?,
        start_ns: field(line, "start_ns", start)?,
        end_ns: field(line, "end_ns", end)?,
        behaviour: Behaviour::by_name(behaviour)
            .map(Behaviour::name)
            .ok_or_else(|| unreadable(line, "behaviour", behaviour))?,
        attack: match attack {
            "0" => false,
            "1" => true,
            _ => return Err(unreadable(line, "attack", attack)),
        },
    })
}

fn field<T: std::str::FromStr>(line: usize, column: &'static str, text: &str) -> Result<T, LabelError> {
    text.parse().map_err(|_| unreadable(line, column, text))
}

fn unreadable(line: usize, column: &'static str, text: &str) -> LabelError {
    LabelError::Field {
        line,
        column,
        value: text.chars().take(40).collect(),
    }
}
