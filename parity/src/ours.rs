//! The other side: the meter of this project.

use std::fs::File;
use std::path::Path;

use netsage_capture::decode::protocol;
use netsage_capture::file::CaptureReader;
use netsage_capture::{FlowBatch, Meter, MeterConfig};
use netsage_schema::{Identity, UNSW_NB15};

use crate::ParityError;
use crate::record::{COLUMNS, Cell, Kind, Record};

/// The records of a capture, in the order of the meter. Link headers count, as Argus has it on Ethernet.
///
/// # Errors
/// When the capture cannot be read.
pub fn records(path: &Path) -> Result<Vec<Record>, ParityError> {
    let file = File::open(path).map_err(|source| ParityError::Open {
        path: path.to_owned(),
        source,
    })?;
    let damaged = |source| ParityError::Damaged {
        path: path.to_owned(),
        source,
    };
    let mut reader = CaptureReader::new(std::io::BufReader::new(file)).map_err(damaged)?;
    let mut meter = Meter::new(MeterConfig {
        count_link_bytes: true,
        ..MeterConfig::default()
    });
    while let Some(packet) = reader.next_packet().map_err(damaged)? {
        meter.packet(&packet);
    }
    meter.finish();
    let mut batch = FlowBatch::new(&UNSW_NB15);
    meter.drain(&mut batch);
    Ok(batch
        .rows
        .iter()
        .zip(&batch.identities)
        .map(|(row, identity)| record(row, identity))
        .collect())
}

fn record(row: &[f64], identity: &Identity) -> Record {
    let cells = COLUMNS.iter().map(|column| match column.name {
        "srcip" => Cell::Text(identity.source.to_string()),
        "dstip" => Cell::Text(identity.destination.to_string()),
        "sport" => Cell::Text(port(identity, identity.source_port)),
        "dsport" => Cell::Text(port(identity, identity.destination_port)),
        "stime" => Cell::Text(seconds(identity.start_ns)),
        "ltime" => Cell::Text(seconds(identity.end_ns)),
        name => {
            let index = UNSW_NB15.index_of(name).expect("a column of the schema");
            let value = row[index];
            match column.kind {
                Kind::Text => Cell::Text(UNSW_NB15.columns[index].term(value).unwrap_or("?").to_owned()),
                Kind::Count | Kind::Float => Cell::Number(value),
            }
        }
    });
    Record {
        cells: cells.collect(),
    }
}

/// A port as `ra` prints it: type and code of ICMP in hexadecimal, nothing where there are no ports.
fn port(identity: &Identity, port: u16) -> String {
    match identity.protocol {
        protocol::TCP | protocol::UDP => port.to_string(),
        protocol::ICMP => format!("0x{port:04x}"),
        protocol::ICMPV6 => port.to_string(),
        _ => String::new(),
    }
}

/// Seconds with six decimals, cut off as Argus cuts them off.
fn seconds(nanoseconds: i64) -> String {
    let microseconds = nanoseconds.div_euclid(1_000);
    format!(
        "{}.{:06}",
        microseconds.div_euclid(1_000_000),
        microseconds.rem_euclid(1_000_000)
    )
}
