//! Rows of `record-v1` that three meters make of one capture: where they agree, and how far they do not.
//!
//! `docs/agreement.md` has the table; the test fails when a column that agrees there does not here.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use netsage_capture::MeterConfig;
use netsage_schema::{FlowBatch, Identity, RECORD_V1};
use netsage_sources::{Input, Source, read_all};
use tempfile::TempDir;

use crate::netflow::exporters::{capture, run, softflowd};

/// Bytes of an Ethernet header, which Argus counts.
const LINK_HEADER: f64 = 14.0;

type Ends = (SocketAddr, SocketAddr, u8);

/// Rows by their ends, those of ends with one record alone: how a long connection is cut differs.
fn rows(batch: &FlowBatch) -> BTreeMap<Ends, (Identity, Vec<f64>)> {
    let mut found: BTreeMap<Ends, Vec<(Identity, Vec<f64>)>> = BTreeMap::new();
    for (row, identity) in batch.rows.iter().zip(&batch.identities) {
        let source = SocketAddr::new(identity.source, identity.source_port);
        let destination = SocketAddr::new(identity.destination, identity.destination_port);
        let ends = (
            source.min(destination),
            source.max(destination),
            identity.protocol,
        );
        found.entry(ends).or_default().push((*identity, row.to_vec()));
    }
    let single = |(ends, mut rows): (Ends, Vec<_>)| (rows.len() == 1).then(|| (ends, rows.remove(0)));
    found.into_iter().filter_map(single).collect()
}

/// All flows of a file.
fn flows_of(name: &str, bytes: &Path) -> FlowBatch {
    let config = MeterConfig {
        schema: &RECORD_V1,
        hash_key: Some([1, 2]),
        ..MeterConfig::default()
    };
    let mut source: Box<dyn Source> = match Input::open(name, File::open(bytes).unwrap()).unwrap() {
        Input::Capture(capture) => Box::new(capture.metered(&config)),
        Input::Table(_) => panic!("{name}: a table"),
        Input::Records(records) => Box::new(records.into_source(&RECORD_V1).unwrap()),
    };
    let mut all = FlowBatch::new(&RECORD_V1);
    let damage = read_all(&mut *source, |batch| {
        all.append(batch);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)), "{name}: {damage:?}");
    all
}

fn argus(folder: &Path, capture: &Path) -> Option<FlowBatch> {
    let (records, text) = (folder.join("argus.out"), folder.join("argus.csv"));
    let (records_text, capture) = (records.to_str()?, capture.to_str()?);
    run(
        &["argus", "/usr/sbin/argus"],
        &["-F", "/dev/null", "-S", "60", "-r", capture, "-w", records_text],
    )?;
    let columns = "stime ltime proto saddr sport daddr dport state spkts dpkts sbytes dbytes";
    let mut arguments = vec![
        "-F",
        "/dev/null",
        "-r",
        records_text,
        "-n",
        "-u",
        "-p",
        "6",
        "-Z",
        "b",
        "-c",
        ",",
        "-s",
    ];
    arguments.extend(columns.split(' '));
    let printed = run(&["ra"], &arguments)?;
    std::fs::write(&text, printed.stdout).unwrap();
    Some(flows_of("argus", &text))
}

/// How many of the flows of both have equal values, by column.
fn agreement(
    ours: &BTreeMap<Ends, (Identity, Vec<f64>)>,
    theirs: &BTreeMap<Ends, (Identity, Vec<f64>)>,
    is_equal: impl Fn(&str, f64, f64) -> bool,
) -> (usize, usize, BTreeMap<&'static str, usize>) {
    let (mut common, mut turned) = (0, 0);
    let mut equal: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (ends, (identity, row)) in ours {
        let Some((their_identity, their_row)) = theirs.get(ends) else {
            continue;
        };
        if identity.source != their_identity.source || identity.source_port != their_identity.source_port {
            turned += 1;
            println!("turned {identity:?} {their_identity:?}");
            continue;
        }
        common += 1;
        for ((column, &our_value), &their_value) in RECORD_V1.columns.iter().zip(row).zip(their_row) {
            *equal.entry(column.name).or_default() +=
                usize::from(is_equal(column.name, our_value, their_value));
        }
    }
    (common, turned, equal)
}

/// Columns that agree in every flow that both meters made one record of.
const AGREE: [&str; 9] = [
    "proto",
    "duration",
    "src_packets",
    "dst_packets",
    "src_bytes",
    "dst_bytes",
    "src_packet_share",
    "src_size_mean",
    "dst_size_mean",
];

#[test]
fn meters_agree_where_they_can() {
    let folder = TempDir::new().unwrap();
    let capture = capture(folder.path(), 1_000);
    let ours = rows(&flows_of("capture", &capture));
    let exported = softflowd(
        folder.path(),
        &capture,
        &["-v", "10", "-A", "milli", "-6"],
        "tcp or udp",
    );
    let of_argus = argus(folder.path(), &capture);
    for (name, theirs, link_header) in [
        ("softflowd", exported.map(|(flows, _)| flows), 0.0),
        ("argus", of_argus, LINK_HEADER),
    ] {
        // Where it is not installed, `run` has said so.
        let Some(theirs) = theirs else { continue };
        let theirs = rows(&theirs);
        let per_packet = |column: &str| column.ends_with("_size_mean");
        let is_equal = |column: &str, ours: f64, theirs: f64| match column {
            // Milliseconds at each end.
            "duration" => (ours - theirs).abs() <= 0.0021,
            column if per_packet(column) && ours > 0.0 => (ours + link_header - theirs).abs() <= 1e-6,
            _ => (ours - theirs).abs() <= 1e-6 * ours.abs().max(1.0),
        };
        let mut theirs = theirs;
        let column = |name| RECORD_V1.index_of(name).unwrap();
        for (_, row) in theirs.values_mut() {
            for (bytes, packets) in [("src_bytes", "src_packets"), ("dst_bytes", "dst_packets")] {
                row[column(bytes)] -= link_header * row[column(packets)];
            }
        }
        let (common, turned, equal) = agreement(&ours, &theirs, is_equal);
        println!("{name}: {common} flows, {turned} turned round");
        for column in RECORD_V1.columns {
            println!(
                "{name}: {} {:.4}",
                column.name,
                equal[column.name] as f64 / common as f64
            );
        }
        assert!(common > 900, "{name}: {common} flows in common");
        assert!(
            turned * 100 < common,
            "{name}: {turned} of {common} are turned round"
        );
        for column in AGREE {
            assert_eq!(equal[column], common, "{name}: {column}");
        }
    }
}
