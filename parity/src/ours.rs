//! The other side: the meter of this project.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use netsage_capture::decode::{DecodeOptions, decode, protocol};
use netsage_capture::file::CaptureReader;
use netsage_capture::{LinkType, Meter, MeterConfig};
use netsage_schema::{FlowBatch, Identity, UNSW_NB15};

use crate::ParityError;
use crate::record::{COLUMNS, Cell, Key, Kind, Record};

/// What `ra -nn` prints for ARP, which has no number among the IP protocols.
const ETHER_TYPE_ARP: &str = "2054";

/// A capture, metered.
#[derive(Debug)]
pub struct Metered {
    /// The records.
    pub records: Vec<Record>,
    /// Ends that exchange IPv6 fragments.
    fragmented: BTreeSet<[IpAddr; 2]>,
}

impl Metered {
    pub(crate) fn has_fragments(&self, key: &Key) -> bool {
        self.fragmented.contains(&key.addresses())
    }
}

/// The records of a capture, in the order of the meter. On Ethernet link headers count, as for Argus;
/// `decapsulate` meters what tunnels carry, as Argus does with GRE.
///
/// # Errors
/// When the capture cannot be read.
pub fn records(path: &Path, decapsulate: bool) -> Result<Metered, ParityError> {
    let file = File::open(path).map_err(|source| ParityError::Open {
        path: path.to_owned(),
        source,
    })?;
    let damaged = |source| ParityError::Damaged {
        path: path.to_owned(),
        source,
    };
    let mut reader = CaptureReader::new(std::io::BufReader::new(file)).map_err(damaged)?;
    let mut batch = FlowBatch::new(&UNSW_NB15);
    let mut fragmented = BTreeSet::new();
    let mut running: Option<Meter> = None;
    while let Some(packet) = reader.next_packet().map_err(damaged)? {
        let meter = running.get_or_insert_with(|| {
            Meter::new(MeterConfig {
                count_link_bytes: packet.link == LinkType::Ethernet,
                decapsulate,
                ..MeterConfig::default()
            })
        });
        meter.packet(&packet);
        if let Ok(decoded) = decode(&packet, &DecodeOptions { decapsulate })
            && decoded.fragment.is_some()
            && decoded.source.is_ipv6()
        {
            fragmented.insert(in_order([decoded.source, decoded.destination]));
        }
    }
    if let Some(meter) = &mut running {
        meter.finish();
        meter.drain(&mut batch);
    }
    let rows = batch.rows.iter().zip(&batch.identities);
    Ok(Metered {
        records: rows.map(|(row, identity)| record(row, identity)).collect(),
        fragmented,
    })
}

fn in_order(mut addresses: [IpAddr; 2]) -> [IpAddr; 2] {
    addresses.sort();
    addresses
}

fn record(row: &[f64], identity: &Identity) -> Record {
    let cells = COLUMNS.iter().map(|column| match column.name {
        "srcip" => Cell::Text(identity.source.to_string()),
        "dstip" => Cell::Text(identity.destination.to_string()),
        "sport" => Cell::Text(port(identity, identity.source_port)),
        "dsport" => Cell::Text(port(identity, identity.destination_port)),
        "stime" => Cell::Text(seconds(identity.start_ns)),
        "ltime" => Cell::Text(seconds(identity.end_ns)),
        "proto" => Cell::Text(match identity.protocol {
            protocol::ARP => ETHER_TYPE_ARP.to_owned(),
            number => number.to_string(),
        }),
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

/// A port; nothing for protocols without. What `ra` prints there for ICMP is no port either, see
/// [`crate::argus`].
fn port(identity: &Identity, port: u16) -> String {
    match identity.protocol {
        protocol::TCP | protocol::UDP => port.to_string(),
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
