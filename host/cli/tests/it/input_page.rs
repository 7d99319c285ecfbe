//! `docs/inputs.md`: what the program makes of files as others have them, in the words that it says.
//!
//! `NETSAGE_BLESS=1 cargo test --release -p netsage input_page` writes the page anew, after `cargo xtask build`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_schema::UNSW_NB15;

use super::support::{Home, lz4, packages_built, stderr, stdout, zstd};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/inputs.md");

const ROW: &str = "0.121501,tcp,-,FIN,6,4,258,172,74.08749,252,254,14158.94238,8495.365234,0,0,24.2956,8.375,\
                   30.177547,11.830604,255,621772692,2202533631,255,0,0,0,43,43,0,0,1,0,1,1,1,1,0,0,0,1,1,0";

/// A file: what it is, its name, and its bytes.
type File = (&'static str, &'static str, Vec<u8>);

fn header() -> String {
    let names: Vec<&str> = UNSW_NB15.columns.iter().map(|column| column.name).collect();
    names.join(",")
}

/// Tables of three rows.
fn tables() -> Vec<File> {
    let header = header();
    let plain = format!("{header}\n{ROW}\n{ROW}\n{ROW}\n");
    let with = |names: &str, cells: [&str; 3]| {
        let rows = cells.map(|cells| format!("{ROW},{cells}\n"));
        format!("{header},{names}\n{}", rows.concat())
    };
    let numbered = format!("{header}\n1,{ROW}\n2,{ROW}\n3,{ROW}\n");
    let utf_16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts: Vec<(&'static str, &'static str, String)> = vec![
        ("as it should be", "plain.csv", plain.clone()),
        (
            "a byte-order mark, lines that end in CR LF",
            "windows.csv",
            format!("\u{feff}{}", plain.replace('\n', "\r\n")),
        ),
        ("lines that end in CR alone", "mac.csv", plain.replace('\n', "\r")),
        ("semicolons", "semicolons.csv", plain.replace(',', ";")),
        (
            "semicolons, and commas before the decimals",
            "decimals.csv",
            plain.replace(',', ";").replace('.', ","),
        ),
        ("tabs", "tabs.tsv", plain.replace(',', "\t")),
        (
            "an index column",
            "index.csv",
            format!(",{}", plain.replace("\n0.", "\n7,0.")),
        ),
        ("row numbers without a name, as R writes them", "r.csv", numbered),
        (
            "a column of no schema",
            "more.csv",
            with("colour", ["red", "red", "blue"]),
        ),
        (
            "a title before the header",
            "title.csv",
            format!("Export of May\n{plain}"),
        ),
        (
            "the header behind the rows",
            "late.csv",
            format!("{ROW}\n{ROW}\n{header}\n"),
        ),
        ("no header", "bare.csv", format!("{ROW}\n{ROW}\n{ROW}\n")),
        (
            "a comma and a line break in quotes",
            "quotes.csv",
            with("attack_cat", ["\"DoS, slow\"", "\"Exp\nloits\"", "Worms"]),
        ),
        (
            "labels and flags as words",
            "words.csv",
            with("label", ["True", "1.0", "no"]),
        ),
        (
            "labels that say nothing",
            "labels.csv",
            with("label", ["", "2", "1"]),
        ),
        ("no service", "service.csv", plain.replace(",tcp,-,", ",tcp,,")),
        (
            "a number beyond the range of `f32`, and one that is not finite",
            "range.csv",
            plain
                .replacen("14158.94238", "1e300", 1)
                .replacen("14158.94238", "1e400", 1),
        ),
        (
            "one fault in every row",
            "fault.csv",
            plain.replace("0.121501", "fast"),
        ),
        ("only a header", "empty.csv", format!("{header}\n")),
        (
            "a table of CIC-IDS",
            "cic.csv",
            "Dst Port,Protocol,Timestamp,Flow Duration,Tot Fwd Pkts\n80,6,1,2,3\n".to_owned(),
        ),
        (
            "a table of NetFlow records",
            "nf.csv",
            "IPV4_SRC_ADDR,L4_SRC_PORT,IPV4_DST_ADDR\n".to_owned(),
        ),
        (
            "NSL-KDD",
            "kdd.txt",
            format!("0,tcp,http,SF,1,2,{},normal,20\n", ["0"; 35].join(",")),
        ),
        (
            "a Git LFS pointer",
            "pointer.csv",
            "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n".to_owned(),
        ),
        (
            "a web page",
            "page.csv",
            "<!DOCTYPE html><html></html>".to_owned(),
        ),
    ];
    let texts = texts
        .into_iter()
        .map(|(what, name, text)| (what, name, text.into_bytes()));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(plain.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let cut = |packed: Vec<u8>| packed[..packed.len() - 30].to_vec();
    let bytes = [
        ("gzip", "plain.csv.gz", packed),
        ("zstd", "plain.csv.zst", zstd(plain.as_bytes())),
        ("lz4", "plain.csv.lz4", lz4(plain.as_bytes())),
        ("zstd, cut off", "cut.csv.zst", cut(zstd(plain.as_bytes()))),
        ("lz4, cut off", "cut.csv.lz4", cut(lz4(plain.as_bytes()))),
        ("UTF-16 without a mark", "utf-16.csv", utf_16),
        ("bzip2", "plain.csv.bz2", b"BZh91AY&SY".to_vec()),
        ("xz", "plain.csv.xz", b"\xfd7zXZ\0\0\x04".to_vec()),
        ("a zip archive", "plain.zip", b"PK\x03\x04\x14\0\0\0".to_vec()),
        ("Parquet", "plain.parquet", b"PAR1\x15\x04\x15\0".to_vec()),
    ];
    texts.chain(bytes).collect()
}

/// Three records, or what stands in place of them.
fn records() -> Vec<File> {
    const ZEEK: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\n";
    let zeek = [1, 2, 3].map(|second| format!("{second}.5\t192.0.2.1\t1\t192.0.2.2\t53\tudp\t0.1\n"));
    let zeek = format!("{ZEEK}{}", zeek.concat());
    let event = r#"{"event_type":"flow","src_ip":"192.0.2.1","src_port":1,"dest_ip":"192.0.2.2","dest_port":53,"proto":"UDP","flow":{"start":"2026-01-05T09:00:00Z","end":"2026-01-05T09:00:0NZ"}}"#;
    let events = ["1", "2", "3"]
        .map(|second| event.replace('N', second) + "\n")
        .concat();
    let flow = |end: u8| {
        format!(
            r#"{{"start_us":1,"end_us":{end},"source":"192.0.2.1","destination":"192.0.2.2","protocol":"udp"}}"#
        )
    };
    let flows = [2, 3, 4].map(flow);
    let argus = "StartTime,Dur,Proto,SrcAddr,Sport,DstAddr,Dport,SrcPkts,DstPkts\n";
    let row = "1.5,1,udp,192.0.2.1,1,192.0.2.2,53,3,4\n";
    let texts = [
        ("a log of Zeek", "conn.log", zeek.clone()),
        (
            "a log of Zeek, cut off",
            "cut.log",
            zeek[..zeek.len() - 9].to_owned(),
        ),
        ("a log of Zeek without a record", "empty.log", ZEEK.to_owned()),
        (
            "a log of Zeek without its header",
            "bare.log",
            zeek[ZEEK.len()..].to_owned(),
        ),
        (
            "events of Suricata",
            "eve.json",
            format!("{{\"event_type\":\"alert\"}}\n{events}"),
        ),
        (
            "what `ra` prints, a record twice",
            "flows.csv",
            format!("{argus}{row}{}{row}", row.replace("1.5", "2.5")),
        ),
        (
            "what `ra` prints by itself",
            "ra.csv",
            "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,State\n\
             09:00:00,e,udp,192.0.2.1,1,->,192.0.2.2,53,7,700,CON\n"
                .to_owned(),
        ),
        ("flows as JSON", "flows.json", format!("[{}]", flows.join(",\n"))),
        ("other JSON", "other.json", "{\"name\": 1}\n".to_owned()),
        (
            "a table of nfdump",
            "nfdump.csv",
            "ts,te,td,sa,da,sp,dp,pr\n".to_owned(),
        ),
    ];
    texts
        .map(|(what, name, text)| (what, name, text.into_bytes()))
        .into()
}

/// Captures that hold one flow of two packets, or should.
fn captures() -> Vec<File> {
    // An Ethernet frame with an IPv4 packet that holds a UDP datagram without data.
    let frame = |sport: u8, dport: u8| {
        let mut frame = vec![2; 12];
        frame.extend_from_slice(&[8, 0, 0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0]);
        frame.extend_from_slice(&[10, 0, 0, sport, 10, 0, 0, dport, 0, sport, 0, dport, 0, 8, 0, 0]);
        frame
    };
    let capture =
        |order: fn(u32) -> [u8; 4], magic: u32, link: u32, extra: usize, snap: usize, gap: usize| {
            let mut file = order(magic).to_vec();
            let version = if order(1)[0] == 1 {
                [2, 0, 4, 0]
            } else {
                [0, 2, 0, 4]
            };
            file.extend_from_slice(&version);
            for word in [0, 0, 65_535, link] {
                file.extend_from_slice(&order(word));
            }
            for (position, packet) in [frame(7, 9), frame(9, 7)].iter().enumerate() {
                let captured = packet.len().min(snap);
                for word in [
                    1_700_000_000 + position as u32,
                    5,
                    captured as u32,
                    packet.len() as u32,
                ] {
                    file.extend_from_slice(&order(word));
                }
                file.extend_from_slice(&vec![0; extra]);
                file.extend_from_slice(&packet[..captured]);
                if position == 0 {
                    file.extend_from_slice(&vec![0; gap]);
                }
            }
            file
        };
    let [little, big]: [fn(u32) -> [u8; 4]; 2] = [u32::to_le_bytes, u32::to_be_bytes];
    let plain = capture(little, 0xa1b2_c3d4, 1, 0, 99, 0);
    vec![
        ("as it should be", "plain.pcap", plain.clone()),
        (
            "big-endian, in nanoseconds",
            "big.pcap",
            capture(big, 0xa1b2_3c4d, 1, 0, 99, 0),
        ),
        (
            "the modified magic number",
            "modified.pcap",
            capture(little, 0xa1b2_cd34, 1, 8, 99, 0),
        ),
        (
            "64 KiB of zeros between its packets",
            "zeros.pcap",
            capture(little, 0xa1b2_c3d4, 1, 0, 99, 65_536),
        ),
        (
            "zeros at its end",
            "tail.pcap",
            [&plain[..], &[0; 4_097]].concat(),
        ),
        ("nothing but zeros", "full.pcap", vec![0; 4_096]),
        (
            "a link type that is not read",
            "bluetooth.pcap",
            capture(little, 0xa1b2_c3d4, 201, 0, 99, 0),
        ),
        (
            "packets cut off behind their ports",
            "snap38.pcap",
            capture(little, 0xa1b2_c3d4, 1, 0, 38, 0),
        ),
        (
            "packets cut off before their ports",
            "snap34.pcap",
            capture(little, 0xa1b2_c3d4, 1, 0, 34, 0),
        ),
        (
            "the last packet is not whole",
            "cut.pcap",
            plain[..plain.len() - 3].to_vec(),
        ),
        ("no packet", "none.pcap", plain[..24].to_vec()),
        (
            "a capture of snoop",
            "solaris.snoop",
            b"snoop\0\0\0\0\0\0\x02\0\0\0\x04".to_vec(),
        ),
    ]
}

/// Rows of the page: what the program says of each file.
fn answers(page: &mut String, home: &Home, command: &str, files: Vec<File>) {
    *page += "| the file | exit status | rows | on standard error |\n|---|---|---|---|\n";
    for (what, name, bytes) in files {
        home.file(name, &bytes);
        let output = home.run(&[command, name]);
        let said: Vec<String> = stderr(&output)
            .lines()
            .map(|line| line.trim_start_matches("netsage: ").replace('|', "\\|"))
            .collect();
        let rows = stdout(&output).lines().count().saturating_sub(1);
        let status = output.status.code().expect("an exit status");
        writeln!(page, "| {what} | {status} | {rows} | {} |", said.join("<br>")).unwrap();
    }
}

#[test]
fn the_page_says_what_the_program_says() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut page = "# Files as others have them\n\n\
        What commands make of a file is decided by its first bytes, never by its name, and alike in `flows`, `score`, `evaluate`, \
        `train`, `run`, `baseline` and the Lab. What of a file is not used is said on standard error; the exit status is 1 only if \
        nothing could be used. Identity, labels and row numbers never cost a score. A finite number beyond the range of `f32` is \
        taken for the largest one; a number that is not finite costs its row.\n\n\
        This page is what the program answered, written by `NETSAGE_BLESS=1 cargo test --release -p netsage input_page` after \
        `cargo xtask build`; the same test fails when it is not current.\n\n\
        ## Tables\n\nEach was given to `netsage score` with three rows of UNSW-NB15, or what stands in place of them.\n\n"
        .to_owned();
    answers(&mut page, &home, "score", tables());
    page += "\nThe raw files of UNSW-NB15 (49 columns, no header) are read as well; `rate`, which they lack, is computed.\n\n\
        ## Captures\n\nEach was given to `netsage flows` with two packets of one flow.\n\n";
    answers(&mut page, &home, "flows", captures());
    page += "\n## Records of other meters\n\nEach was given to `netsage score` with three records, or what stands in place of them.\n\n";
    answers(&mut page, &home, "score", records());
    if env::var_os("NETSAGE_BLESS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    assert!(
        fs::read_to_string(PAGE).is_ok_and(|written| written == page),
        "docs/inputs.md is not current: build, run with NETSAGE_BLESS=1 and look at the difference"
    );
}
