//! Every capture at hand gives rows or an error, and never a panic.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use netsage_capture::file::CaptureReader;
use netsage_capture::{Meter, MeterConfig, MeterStats};
use netsage_schema::FlowBatch;

use crate::invariants::check_batch;

pub(crate) fn captures(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/pcaps")
        .join(folder);
    let Ok(entries) = fs::read_dir(&path) else {
        println!("skipped: there is no folder {}", path.display());
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Meters a file; the error, if any, comes after the records of what could be read.
fn meter(path: &Path) -> (FlowBatch, Option<String>) {
    let (batch, _, error) = meter_with(MeterConfig::default(), path);
    (batch, error)
}

pub(crate) fn meter_with(config: MeterConfig, path: &Path) -> (FlowBatch, MeterStats, Option<String>) {
    let mut meter = Meter::new(config);
    let mut batch = FlowBatch::new(meter.config().schema);
    let read = |meter: &mut Meter| {
        let mut reader = CaptureReader::new(File::open(path).unwrap())?;
        while let Some(packet) = reader.next_packet()? {
            meter.packet(&packet);
        }
        Ok::<_, netsage_capture::file::FileError>(())
    };
    let error = read(&mut meter).err();
    meter.finish();
    meter.drain(&mut batch);
    // Packets from the source and from the destination stand in the same places in both schemas.
    let metered = batch.rows.iter().map(|row| (row[4] + row[5]) as u64).sum::<u64>();
    assert_eq!(
        metered + meter.stats().not_metered(),
        meter.stats().packets,
        "every packet counts once"
    );
    assert_eq!(batch.len() as u64, meter.stats().flows);
    (batch, meter.stats().clone(), error.map(|error| error.to_string()))
}

#[test]
fn sound_captures_give_rows() {
    for path in captures("good") {
        let (batch, error) = meter(&path);
        assert_eq!(error, None, "{}", path.display());
        check_batch(&batch);
        let again = meter(&path).0;
        assert_eq!(
            batch.rows.values(),
            again.rows.values(),
            "the same packets give the same rows"
        );
    }
}

#[test]
fn damaged_captures_give_rows_or_an_error() {
    for path in captures("malformed") {
        let (batch, error) = meter(&path);
        check_batch(&batch);
        println!("{}: {} records, {error:?}", path.display(), batch.len());
    }
}

/// Packets of a sound capture that are metered, and those that are metered by what a tunnel holds when asked to.
#[track_caller]
fn check_encapsulated(name: &str, metered: u64, decapsulated: u64) {
    let paths = captures("good");
    let Some(path) = paths
        .iter()
        .find(|path| path.file_name().is_some_and(|found| found == name))
    else {
        println!("skipped: there is no capture {name}");
        return;
    };
    let (_, stats, _) = meter_with(MeterConfig::default(), path);
    assert_eq!(stats.packets - stats.not_metered(), metered, "{name}");
    assert_eq!((stats.decapsulated, stats.closed_tunnels), (0, 0), "{name}");
    let open = MeterConfig {
        decapsulate: true,
        ..MeterConfig::default()
    };
    let (batch, stats, _) = meter_with(open, path);
    check_batch(&batch);
    assert_eq!(stats.packets - stats.not_metered(), metered, "{name}");
    assert_eq!(
        stats.decapsulated, decapsulated,
        "{name}: {} closed",
        stats.closed_tunnels
    );
}

#[test]
fn encapsulated_packets_are_metered() {
    for (name, metered, decapsulated) in [
        ("zeek_radiotap.pcap", 3, 0),
        ("zeek_nflog-http.pcap", 13, 0),
        ("suri_decode-chdlc-01__hdlc-http_1tx.pcap", 17, 0),
        ("suri_decode-sll2-01__input.pcap", 5, 0),
        ("zeek_mpls-in-vlan.pcap", 3, 0),
        ("zeek_pppoe-over-qinq.pcap", 86, 0),
        ("zeek_vlan-qinqinq.pcap", 14, 0),
        ("zeek_tunnels__gre-within-gre.pcap", 628, 628),
        ("ndpi_6in4tunnel.pcap", 127, 127),
        ("zeek_tunnels__vxlan-encapsulated-http.pcap", 12, 12),
        ("ndpi_vxlan.pcap", 127, 127),
        ("zeek_tunnels__Teredo.pcap", 78, 29),
        // The others are pieces of packets.
        (
            "zeek_tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap",
            108,
            32,
        ),
        // Spanning tree and the like outside of the tunnel and Cisco's own protocols inside.
        ("tcpd_various_gre.pcap", 30, 0),
    ] {
        check_encapsulated(name, metered, decapsulated);
    }
}
