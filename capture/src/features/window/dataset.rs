//! The counts recomputed from the dataset's own records.
//!
//! The first rows of a raw file of UNSW-NB15 have addresses, ports, services and times, and the counts that its
//! authors computed. They computed them over blocks of 100 records; in the file the edges of the blocks are not
//! marked, and rows were taken out and put in since. What was put in can be told: an attack that several entries of
//! the authors' list of attacks describe stands there once for each, in equal rows one after the other. Such a
//! repetition is taken out again; the edges may then move by 3 rows, which is what other changes leave.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use flate2::read::GzDecoder;
use netsage_schema::Identity;
use netsage_schema::unsw_nb15::SERVICE;

use super::{BLOCK, Block};

/// How far an edge of a block may lie from where it would be.
const MOVES: usize = 3;
/// Share of the cells that have to agree.
const REQUIRED: f64 = 0.99;
/// Names of the counts that the file has; `ct_dst_src_ltm` is not among its columns.
const COUNTED: [&str; 6] = [
    "ct_srv_src",
    "ct_srv_dst",
    "ct_dst_ltm",
    "ct_src_ltm",
    "ct_src_dport_ltm",
    "ct_dst_sport_ltm",
];
/// The hosts from which the authors attacked.
const ATTACKERS: &str = "175.45.176.";

/// A record of the file.
struct Row {
    line: String,
    service: u16,
    identity: Identity,
    counts: [u8; COUNTED.len()],
}

fn parse(line: &str, place: impl Fn(&str) -> usize) -> Row {
    let fields: Vec<&str> = line.split(',').collect();
    let field = |name: &str| fields[place(name)];
    let address = |name: &str| field(name).parse::<IpAddr>().expect("an address");
    // Some ports of the file are hexadecimal, and some are missing.
    let port = |name: &str| {
        let text = field(name);
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.unwrap_or(0)
    };
    let last_second: i64 = field("Ltime").parse().expect("a time");
    Row {
        line: line.to_owned(),
        service: SERVICE.code_of(field("service")).expect("a service"),
        identity: Identity {
            start_ns: 0,
            end_ns: last_second * 1_000_000_000,
            source: address("srcip"),
            source_port: port("sport"),
            destination: address("dstip"),
            destination_port: port("dsport"),
            protocol: 0,
        },
        counts: COUNTED.map(|name| field(name).parse().expect("a count")),
    }
}

fn rows(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let place = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .expect("a column")
    };
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        let repeats = line.starts_with(ATTACKERS) && rows.last().is_some_and(|row| row.line == line);
        if !repeats {
            rows.push(parse(line, place));
        }
    }
    rows
}

/// Cells of a block that agree, for each count.
fn agreeing(rows: &[Row]) -> [usize; COUNTED.len()] {
    let mut block = Block::<{ BLOCK + MOVES }>::default();
    for row in rows {
        block.push(row.service, &row.identity);
    }
    let mut agreeing = [0; COUNTED.len()];
    for (index, row) in rows.iter().enumerate() {
        let computed = block.counts(index);
        let ours = [
            computed.srv_src,
            computed.srv_dst,
            computed.dst_ltm,
            computed.src_ltm,
            computed.src_dport_ltm,
            computed.dst_sport_ltm,
        ];
        for (agreeing, (ours, theirs)) in agreeing.iter_mut().zip(ours.iter().zip(&row.counts)) {
            *agreeing += usize::from(ours == theirs);
        }
    }
    agreeing
}

/// The edges of the blocks under which most cells agree.
fn edges(rows: &[Row]) -> Vec<usize> {
    // For every place that can be an edge: cells that agree up to it, and the edge before it.
    let mut best: Vec<Option<(usize, usize)>> = vec![None; rows.len() + 1];
    best[0] = Some((0, 0));
    for start in 0..rows.len() {
        let Some((before, _)) = best[start] else {
            continue;
        };
        for end in start + BLOCK - MOVES..=(start + BLOCK + MOVES).min(rows.len()) {
            let cells = before + agreeing(&rows[start..end]).iter().sum::<usize>();
            if best[end].is_none_or(|(known, _)| cells > known) {
                best[end] = Some((cells, start));
            }
        }
    }
    // The last block reaches beyond the file, so that the last edge is somewhere before the file's end.
    let share = |edge: usize| best[edge].map_or(0.0, |(cells, _)| cells as f64 / edge as f64);
    let last = (rows.len() - BLOCK..=rows.len()).max_by(|one, other| share(*one).total_cmp(&share(*other)));
    let mut edges = vec![last.expect("there are edges")];
    while let Some((_, before)) = best[edges[edges.len() - 1]]
        && edges[edges.len() - 1] > 0
    {
        edges.push(before);
    }
    edges.reverse();
    edges
}

#[test]
fn counts_are_those_of_the_dataset() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/unsw/raw-head.csv.gz");
    let Ok(file) = File::open(&path) else {
        println!("skipped: there is no file {}", path.display());
        return;
    };
    let mut text = String::new();
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("a gzipped text");
    let rows = rows(&text);
    let edges = edges(&rows);
    let compared = edges[edges.len() - 1];
    let mut agree = [0; COUNTED.len()];
    for block in edges.windows(2) {
        for (total, cells) in agree.iter_mut().zip(agreeing(&rows[block[0]..block[1]])) {
            *total += cells;
        }
    }
    for (name, cells) in COUNTED.iter().zip(agree) {
        println!("{name}: {cells} of {compared} agree");
    }
    let share = agree.iter().sum::<usize>() as f64 / (compared * COUNTED.len()) as f64;
    println!("all: {:.2} % in {} blocks", 100.0 * share, edges.len() - 1);
    assert!(share >= REQUIRED, "{share}");
}
