//! The oracle: `argus` writes records, `ra` prints them.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::ParityError;
use crate::record::{COLUMNS, Cell, Kind, Record};

/// Where Debian puts `argus`; users other than root have no `sbin` in their path.
const SERVERS: [&str; 2] = ["argus", "/usr/sbin/argus"];

/// Whether both programs are installed.
pub fn is_installed() -> bool {
    let runs = |program: &str| {
        Command::new(program)
            .arg("-h")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    SERVERS.into_iter().any(runs) && runs("ra")
}

/// The records of a capture, in the order of Argus.
///
/// Status interval 60 s, all timing, no management records; what `ra` prints has six digits behind the point. The
/// records go through a file: into a pipe Argus now and then loses the last one.
///
/// # Errors
/// When a program is missing or fails, or what it prints is not understood.
pub fn records(path: &Path) -> Result<Vec<Record>, ParityError> {
    let failed = |program| move |source| ParityError::Run { program, source };
    let folder = tempfile::tempdir().map_err(failed("argus"))?;
    let file = folder.path().join("records.argus");
    let server = run_server(path, &file)?;
    let complaint = String::from_utf8_lossy(&server.stderr);
    if let Some(reason) = complaint.lines().find(|line| line.contains("ArgusError")) {
        let reason = reason.rsplit(')').next().unwrap_or(reason).trim().to_owned();
        return Err(ParityError::Unreadable {
            path: path.to_owned(),
            reason,
        });
    }
    let mut client = Command::new("ra");
    client.args(["-F", "/dev/null", "-nn", "-u", "-c", ",", "-p", "6", "-r"]);
    client
        .arg(&file)
        .arg("-s")
        .args(COLUMNS.map(|column| column.argus));
    client.args(["-", "not", "man"]);
    let printed = client
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ParityError::NoArgus,
            _ => failed("ra")(source),
        })?;
    String::from_utf8_lossy(&printed.stdout)
        .lines()
        .filter(|line| !line.starts_with("SrcAddr"))
        .enumerate()
        .map(|(index, line)| {
            parse(line).map_err(|reason| ParityError::Line {
                path: path.to_owned(),
                line: index + 1,
                reason,
            })
        })
        .collect()
}

fn run_server(capture: &Path, records: &Path) -> Result<Output, ParityError> {
    for program in SERVERS {
        let mut server = Command::new(program);
        server.args(["-F", "/dev/null", "-J", "-S", "60", "-w"]);
        server.arg(records).arg("-r").arg(capture);
        match server.stdin(Stdio::null()).output() {
            Ok(output) => return Ok(output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(ParityError::Run {
                    program: "argus",
                    source,
                });
            }
        }
    }
    Err(ParityError::NoArgus)
}

/// Reads a line of `ra`; the error says what is wrong.
fn parse(line: &str) -> Result<Record, String> {
    let fields: Vec<&str> = line.split(',').collect();
    if fields.len() != COLUMNS.len() {
        return Err(format!("{} fields instead of {}", fields.len(), COLUMNS.len()));
    }
    let cells = COLUMNS
        .iter()
        .zip(fields)
        .map(|(column, field)| match column.kind {
            Kind::Text => Ok(Cell::Text(field.to_owned())),
            Kind::Count | Kind::Float => number(column.name, field).map(Cell::Number),
        });
    let mut record = Record {
        cells: cells.collect::<Result<_, _>>()?,
    };
    record.forget_ports_of_icmp();
    Ok(record)
}

/// A number as the dataset carries it: nothing is 0, windows end at 255, mean sizes are whole.
fn number(name: &str, field: &str) -> Result<f64, String> {
    let value = match field.trim() {
        "" => 0.0,
        text => text
            .parse::<f64>()
            .map_err(|_| format!("`{text}` in {name} is no number"))?,
    };
    Ok(match name {
        "swin" | "dwin" => value.min(255.0),
        "smean" | "dmean" => (value + 0.5).floor(),
        _ => value,
    })
}
