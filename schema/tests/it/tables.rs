//! Tables as others make them: each is read, or named with what to do.

use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{FLOW_V1, UNSW_NB15, narrow};

const ROW: &str = "0.121501,tcp,-,FIN,6,4,258,172,74.08749,252,254,14158.94238,8495.365234,0,0,24.2956,8.375,\
                   30.177547,11.830604,255,621772692,2202533631,255,0,0,0,43,43,0,0,1,0,1,1,1,1,0,0,0,1,1,0";

fn header() -> String {
    let names: Vec<&str> = UNSW_NB15.columns.iter().map(|column| column.name).collect();
    names.join(",")
}

/// What became of a table.
#[derive(Debug)]
struct Read {
    rows: Vec<CsvRow>,
    errors: Vec<String>,
    notes: Vec<String>,
    doubts: Vec<String>,
}

fn read(text: &str) -> Result<Read, String> {
    let mut reader = Reader::guess(text.as_bytes()).map_err(|error| error.to_string())?;
    let (mut rows, mut errors, mut row) = (Vec::new(), Vec::new(), CsvRow::default());
    while let Some(outcome) = reader.read_row(&mut row) {
        match outcome {
            Ok(()) => rows.push(row.clone()),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok(Read {
        rows,
        errors,
        notes: reader.notes(),
        doubts: reader.doubts(),
    })
}

/// The table gives as many rows, each with the values of [`ROW`], and says so much about it.
fn check(name: &str, text: &str, rows: usize, note: &str) {
    let expected = &read(&format!("{}\n{ROW}\n", header())).unwrap().rows[0].values;
    let read = read(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(read.errors, Vec::<String>::new(), "{name}");
    assert_eq!(read.rows.len(), rows, "{name}");
    for row in &read.rows {
        assert_eq!(&row.values, expected, "{name}");
    }
    let said = read.notes.join("; ");
    assert!(
        said.contains(note) && said.is_empty() == note.is_empty(),
        "{name}: {said}"
    );
}

#[test]
fn what_is_not_needed_costs_nothing() {
    let header = header();
    let with = |before: &str, behind: &str, rows: &[(&str, &str)]| {
        let mut text = format!("{before}{header}{behind}\n");
        for (before, behind) in rows {
            text += &format!("{before}{ROW}{behind}\n");
        }
        text
    };
    let plain = format!("{header}\n{ROW}\n{ROW}\n");
    check("as it should be", &plain, 2, "");
    check(
        "CRLF and a mark",
        &format!("\u{feff}{}", plain.replace('\n', "\r\n")),
        2,
        "",
    );
    check(
        "unnamed index",
        &with(",", "", &[("0,", ""), ("1,", "")]),
        2,
        "column 1 has no name",
    );
    check(
        "pandas' index",
        &with("Unnamed: 0,", "", &[("0,", "")]),
        1,
        "`unnamed: 0`",
    );
    check(
        "a column more",
        &with("", ",colour", &[("", ",red")]),
        1,
        "`colour`",
    );
    check("header twice", &format!("{plain}{header}\n{ROW}\n"), 3, "");
    check("semicolons", &plain.replace(',', ";"), 2, "';'");
    check("tabs", &plain.replace(',', "\t"), 2, "'\\t'");
    check("bars", &plain.replace(',', "|"), 2, "'|'");
    check("sep=", &format!("sep=;\n{}", plain.replace(',', ";")), 2, "';'");
    check(
        "comments first",
        &format!("# made by hand\n#\n{plain}"),
        2,
        "the header is line 3",
    );
    check(
        "a title first",
        &format!("Export of May\nmade by hand, checked\n{plain}"),
        2,
        "the header is line 3",
    );
    check("header as a comment", &format!("# {plain}"), 2, "");
    check("files put together", &format!("{plain}\u{feff}{plain}"), 4, "");
    check(
        "row numbers of R",
        &format!("{header}\n1,{ROW}\n2,{ROW}\n"),
        2,
        "one field more than the header",
    );
    check(
        "a separator behind every row",
        &format!("{header}\n{ROW},\n{ROW},\n"),
        2,
        "one field more than the header",
    );
    check("capitals", &plain.replace(",tcp,-,FIN,", ",TCP,-,fin,"), 2, "");
    check("no service", &plain.replace(",tcp,-,", ",tcp,,"), 2, "");
    check("missing service", &plain.replace(",tcp,-,", ",tcp,nan,"), 2, "");
    check(
        "flags as words",
        &with("", ",label", &[("", ",yes"), ("", ",False")]),
        2,
        "",
    );
    check("no header", &format!("{ROW}\n{ROW}\n"), 2, "has no header");
    check(
        "no header, row numbers",
        &format!("0,{ROW}\n1,{ROW}\n"),
        2,
        "column 1 has no name",
    );
    check(
        "partition without header",
        &format!("7,{ROW},Normal,0\n"),
        1,
        "has no header",
    );
    let quoted = "\"Exploits, \"\"many\"\" of them\"";
    check(
        "quoted comma",
        &with("", ",attack_cat", &[("", &format!(",{quoted}"))]),
        1,
        "",
    );
    check(
        "line break",
        &with("", ",attack_cat", &[("", ",\"Exp\nloits\""), ("", ",DoS")]),
        2,
        "",
    );
    check(
        "all quoted",
        &plain
            .replace(',', "\",\"")
            .replace('\n', "\"\n\"")
            .trim_end_matches('"')
            .replacen("dur", "\"dur", 1),
        2,
        "",
    );
}

#[test]
fn text_in_another_encoding_costs_no_score() {
    let mut text = format!("{},attack_cat\n{ROW},Caf\u{e9}\n", header());
    text += ROW;
    let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    let mut reader = Reader::guess(latin.as_slice()).unwrap();
    let mut row = CsvRow::default();
    assert!(matches!(reader.read_row(&mut row), Some(Ok(()))));
    assert_eq!(row.attack_cat, "Caf\u{fffd}");
    assert!(matches!(reader.read_row(&mut row), Some(Err(_))));
    assert_eq!(reader.notes(), ["1 row holds text that is not UTF-8"]);
}

#[test]
fn quotes_are_those_of_rfc_4180() {
    let text = format!(
        "{},attack_cat,label\n{ROW},\"a, \"\"b\"\"\",1\n{ROW},\"c\nd\",0\n{ROW},\"open,0\n{ROW},e,1\n",
        header()
    );
    let read = read(&text).unwrap();
    let found: Vec<_> = read
        .rows
        .iter()
        .map(|row| (row.line, row.attack_cat.as_str()))
        .collect();
    assert_eq!(found, [(2, "a, \"b\""), (3, "c\nd"), (5, "\"open"), (6, "e")]);
    assert_eq!(read.errors, Vec::<String>::new());
}

#[test]
fn the_raw_files_are_read() {
    const RAW: &str = "59.166.0.0,0x000b,149.171.126.6,-,tcp,FIN,0.121501,258,172,252,254,0,0,-,14158.94238,8495.365234,6,4,\
        255,255,621772692,2202533631,43,43,0,0,30.177547,11.830604,1421927414,1421927415,24.2956,8.375,0,0,0,0,0,,, ,1,1,1,1,1,1,1,";
    let names = "srcip,sport,dstip,dsport,proto,state,dur,sbytes,dbytes,sttl,dttl,sloss,dloss,service,Sload,Dload,Spkts,Dpkts,\
        swin,dwin,stcpb,dtcpb,smeansz,dmeansz,trans_depth,res_bdy_len,Sjit,Djit,Stime,Ltime,Sintpkt,Dintpkt,tcprtt,synack,\
        ackdat,is_sm_ips_ports,ct_state_ttl,ct_flw_http_mthd,is_ftp_login,ct_ftp_cmd,ct_srv_src,ct_srv_dst,ct_dst_ltm,\
        ct_src_ ltm,ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,attack_cat,Label";
    let partition = &read(&format!("{}\n{ROW}\n", header())).unwrap().rows[0];
    for text in [
        format!("\u{feff}{RAW},0\r\n{RAW} Fuzzers ,1\r\n"),
        format!("{names}\r\n{RAW},0\r\n{RAW}Fuzzers,1\r\n"),
    ] {
        let read = read(&text).unwrap();
        assert_eq!(read.errors, Vec::<String>::new());
        let [normal, attack] = &read.rows[..] else {
            panic!("{read:?}")
        };
        for (column, (found, expected)) in UNSW_NB15
            .columns
            .iter()
            .zip(normal.values.iter().zip(&partition.values))
        {
            // The partition's rate is that of a duration with more digits.
            let expected = if column.name == "rate" {
                9.0 / 0.121501
            } else {
                *expected
            };
            assert!(
                (found - expected).abs() <= 1e-9 * expected,
                "{}: {found}",
                column.name
            );
        }
        assert_eq!((normal.label, normal.attack_cat.as_str()), (Some(false), ""));
        assert_eq!((attack.label, attack.attack_cat.trim()), (Some(true), "Fuzzers"));
        let identity = normal.identity.unwrap();
        assert_eq!((identity.source_port, identity.destination_port), (11, 0));
        assert_eq!(identity.start_ns, 1_421_927_414_000_000_000);
        assert!(
            read.notes.iter().any(|note| note.contains("rate")),
            "{:?}",
            read.notes
        );
    }
}

#[test]
fn tables_of_others_are_named() {
    let kdd = format!("0,tcp,ftp_data,SF,491,0,{},normal,20", ["0"; 35].join(","));
    let late = format!("{ROW}\n{ROW}\nx,{}\n", header());
    for (text, expected) in [
        (
            " Destination Port, Flow Duration, Total Fwd Packets, Label\n",
            "CIC-IDS",
        ),
        (
            "Dst Port,Protocol,Timestamp,Flow Duration,Tot Fwd Pkts\n",
            "CIC-IDS",
        ),
        (
            "IPV4_SRC_ADDR,L4_SRC_PORT,IPV4_DST_ADDR,L4_DST_PORT\n",
            "NetFlow datasets",
        ),
        ("#separator \\x09\n#set_separator\t,\n", "a Zeek log"),
        (
            "duration,protocol_type,service,flag,src_bytes,dst_bytes,land\n",
            "NSL-KDD",
        ),
        (&kdd, "NSL-KDD"),
        ("@relation 'KDDTrain'\n", "ARFF"),
        (
            "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts\n",
            "CTU-13",
        ),
        (
            "\"No.\",\"Time\",\"Source\",\"Destination\",\"Protocol\"\n",
            "Wireshark",
        ),
        (
            "No.,Name,Type ,Description\n",
            "features of UNSW-NB15, not its rows; give its rows",
        ),
        ("ts,te,td,sa,da,sp,dp,pr\n", "nfdump"),
        ("frame.time,ip.src_host,ip.dst_host\n", "Edge-IIoTset"),
        (&format!("{}\r{ROW}\r", header()), "lines end in CR alone"),
        (
            &format!("{}\r{}", header(), format!("{ROW}\r").repeat(999)),
            "lines end in CR alone",
        ),
        ("a,b\n1,2\n", "42 columns of schema unsw-nb15 missing"),
        (
            &late.replacen("0.121501", "zero", 1).replace("x,", ""),
            "line 3 is the header",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn doubts_about_labels_are_said() {
    let rows: Vec<String> = [
        ("Fuzzers", "1"),
        ("FUZZERS", "1"),
        (" fuzzers ", "1"),
        ("Backdoor", "1"),
        ("Backdoors", "1"),
        ("BENIGN", "1"),
        ("DoS", "0"),
        ("nan", "1"),
        ("normal", "0"),
        ("Normal", "maybe"),
    ]
    .iter()
    .map(|(category, label)| format!("{ROW},{category},{label}\n"))
    .collect();
    let read = read(&format!("{},attack_cat,label\n{}", header(), rows.concat())).unwrap();
    assert_eq!(read.rows.len(), 10);
    let kinds: Vec<&str> = read.rows.iter().map(|row| row.attack_cat.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "Fuzzers", "Fuzzers", "Fuzzers", "Backdoor", "Backdoor", "Normal", "DoS", "", "Normal", "Normal"
        ]
    );
    let said = read.doubts.join("; ");
    for expected in [
        "1 row has no label",
        "first in line 11: `maybe`",
        "2 rows contradict themselves, first in line 7: `Normal` with label 1",
        "kind is not named",
        "`Backdoors` taken for the kind `Backdoor`",
        "`FUZZERS`, `fuzzers` taken for the kind `Fuzzers`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn one_rule_narrows_numbers() {
    for (value, expected) in [
        (0.1, Some(0.1)),
        (1e300, Some(f32::MAX)),
        (-1e300, Some(f32::MIN)),
        (f64::from(f32::MAX) * 1.000_000_01, Some(f32::MAX)),
        (f64::INFINITY, None),
        (f64::NEG_INFINITY, None),
        (f64::NAN, None),
    ] {
        assert_eq!(narrow(value), expected, "{value}");
    }
    assert_eq!(FLOW_V1.nearest("durration"), Some("duration"));
}
