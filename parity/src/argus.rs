//! The oracle: `argus` writes records, `ra` prints them.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

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
/// Status interval 60 s, all timing, no management records; what `ra` prints has six digits behind the point.
///
/// # Errors
/// When a program is missing or fails, or what it prints is not understood.
pub fn records(path: &Path) -> Result<Vec<Record>, ParityError> {
    let mut server = start_server(path)?;
    let mut complaints = server.stderr.take();
    let records = server.stdout.take().map_or_else(Stdio::null, Stdio::from);
    // Both ends of a pipe have to be served at once.
    let listener = thread::spawn(move || {
        let mut text = String::new();
        if let Some(stream) = &mut complaints {
            let _ = stream.read_to_string(&mut text);
        }
        text
    });
    let mut client = Command::new("ra");
    client.args([
        "-F",
        "/dev/null",
        "-n",
        "-u",
        "-r",
        "-",
        "-c",
        ",",
        "-p",
        "6",
        "-s",
    ]);
    client.args(COLUMNS.map(|column| column.argus));
    client.args(["-", "not", "man"]);
    let printed = client
        .stdin(records)
        .output()
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ParityError::NoArgus,
            _ => ParityError::Run {
                program: "ra",
                source,
            },
        });
    let status = server.wait();
    let complaint = listener.join().unwrap_or_default();
    let printed = printed?;
    if let Some(reason) = complaint.lines().find(|line| line.contains("ArgusError")) {
        let reason = reason.rsplit(')').next().unwrap_or(reason).trim().to_owned();
        return Err(ParityError::Unreadable {
            path: path.to_owned(),
            reason,
        });
    }
    status.map_err(|source| ParityError::Run {
        program: "argus",
        source,
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

fn start_server(path: &Path) -> Result<std::process::Child, ParityError> {
    for program in SERVERS {
        let started = Command::new(program)
            .args(["-F", "/dev/null", "-J", "-S", "60", "-w", "-", "-r"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match started {
            Ok(child) => return Ok(child),
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
    Ok(Record {
        cells: cells.collect::<Result<_, _>>()?,
    })
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
