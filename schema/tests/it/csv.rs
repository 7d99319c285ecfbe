//! Feature rows as CSV: what is read, what is refused and with which words.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netsage_schema::csv::{CsvRow, Reader, Writer, header};
use netsage_schema::{FLOW_V1, Identity, Kind, Schema, UNSW_NB15, ValueError, json_lines};
use proptest::prelude::*;

const ROW: &str = "0.121501,tcp,-,FIN,6,4,258,172,74.08749,252,254,14158.94238,8495.365234,0,0,24.2956,8.375,\
                   30.177547,11.830604,255,621772692,2202533631,255,0,0,0,43,43,0,0,1,0,1,1,1,1,0,0,0,1,1,0";

fn feature_header() -> String {
    UNSW_NB15
        .columns
        .iter()
        .map(|column| column.name)
        .collect::<Vec<_>>()
        .join(",")
}

/// Every row of a CSV as what became of it: the number of the line, or the words of the error.
fn outcomes(text: impl AsRef<[u8]>) -> Vec<Result<u64, String>> {
    let mut reader = match Reader::new(text.as_ref(), &UNSW_NB15) {
        Ok(reader) => reader,
        Err(error) => return vec![Err(error.to_string())],
    };
    let mut parsed = CsvRow::default();
    let mut found = Vec::new();
    while let Some(result) = reader.read_row(&mut parsed) {
        found.push(result.map(|()| parsed.line).map_err(|error| error.to_string()));
    }
    found
}

fn check_header(header: &str, expected: &str) {
    let found = outcomes(format!("{header}\n{ROW}\n"));
    assert_eq!(found, [Err(expected.to_owned())], "for the header {header:?}");
}

/// One field of the row replaced: the words of the error.
fn check_field(column: &str, value: &str, expected: &str) {
    let index = UNSW_NB15.index_of(column).expect("a column of the schema");
    let mut fields: Vec<&str> = ROW.split(',').collect();
    fields[index] = value;
    let text = format!("{}\n{ROW}\n{}\n{ROW}\n", feature_header(), fields.join(","));
    assert_eq!(
        outcomes(text),
        [Ok(2), Err(expected.to_owned()), Ok(4)],
        "for {column} = {value:?}"
    );
}

#[test]
fn reads_columns_in_any_order_and_spelling() {
    let mut columns: Vec<(String, &str)> = feature_header()
        .split(',')
        .map(str::to_uppercase)
        .zip(ROW.split(','))
        .collect();
    columns.reverse();
    columns.push(("attack_cat".into(), " \"Normal\" "));
    columns.push(("Label".into(), "0"));
    columns.insert(0, ("\u{feff}id".into(), "7"));
    let join =
        |part: &dyn Fn(&(String, &str)) -> String| columns.iter().map(part).collect::<Vec<_>>().join(" ,");
    let text = format!("{}\r\n\r\n{}", join(&|c| c.0.clone()), join(&|c| c.1.to_owned()));
    let mut reader = Reader::new(text.as_bytes(), &UNSW_NB15).unwrap();
    let mut parsed = CsvRow::default();
    reader.read_row(&mut parsed).unwrap().unwrap();
    assert_eq!(parsed.line, 3);
    assert_eq!(parsed.values[..5], [0.121501, 0.0, 0.0, 0.0, 6.0]);
    assert_eq!(
        (parsed.label, parsed.attack_cat.as_str()),
        (Some(false), "Normal")
    );
    assert_eq!(parsed.identity, None);
    assert!(reader.read_row(&mut parsed).is_none());
}

#[test]
fn refuses_headers_that_do_not_fit() {
    let good = feature_header();
    check_header(
        &good.replace("sbytes,", ""),
        "line 1: 1 column of schema unsw-nb15 missing from the header: `sbytes`",
    );
    check_header(
        &good.replacen("dur,", "duration,", 1),
        "line 1: column `duration` is not in schema unsw-nb15; did you mean `dur`?",
    );
    check_header(
        &format!("{good},DUR"),
        "line 1: column `dur` stands twice in the header",
    );
    check_header(
        "this,and,that",
        "line 1: 42 columns of schema unsw-nb15 missing from the header: `dur`, `proto`, `service`, `state`, \
         `spkts` and 37 more",
    );
    let empty = "the file is empty; its first line must name the columns";
    assert_eq!(outcomes(""), [Err(empty.to_owned())]);
    assert_eq!(outcomes("\n \r\n"), [Err(empty.to_owned())]);
    let binary = "line 1: the text is not UTF-8; this is not a CSV, or one in another encoding";
    assert_eq!(outcomes([0xd4, 0xc3, 0xb2, 0xa1, 2, 0]), [Err(binary.to_owned())]);
    let long = "line 1: longer than 65536 bytes; this is not a CSV of feature rows";
    assert_eq!(outcomes("x".repeat(1 << 20)), [Err(long.to_owned())]);
}

#[test]
fn a_bad_field_costs_its_row_only() {
    check_field("dur", "abc", "line 3, column `dur`: `abc` is not a number");
    check_field("dur", "", "line 3, column `dur`: `` is not a number");
    check_field("sbytes", "-5", "line 3, column `sbytes`: -5 is negative");
    check_field(
        "rate",
        "NaN",
        "line 3, column `rate`: `NaN` is not a finite number",
    );
    check_field(
        "rate",
        "1e999",
        "line 3, column `rate`: `1e999` is not a finite number",
    );
    check_field("rate", "-1e300", "line 3, column `rate`: -1e300 is negative");
    check_field(
        "proto",
        "tpc",
        "line 3, column `proto`: `tpc` is not a term of unsw-nb15/proto@1; did you mean `tcp`?",
    );
    check_field(
        "service",
        "gopher",
        "line 3, column `service`: `gopher` is not a term of unsw-nb15/service@1",
    );
    check_field(
        "dur",
        "1,2",
        "line 3: 43 fields where the header names 42 columns",
    );
    check_field(
        "state",
        "\"FIN",
        "line 3, column `state`: `\"FIN` is not a term of unsw-nb15/state@1; did you mean `FIN`?",
    );
}

#[test]
fn bad_lines_cost_themselves_only() {
    let good = feature_header();
    let mut text = format!("{good}\n{ROW}\n").into_bytes();
    text.extend_from_slice(b"\xff\xfe\n");
    text.extend_from_slice("9".repeat(200_000).as_bytes());
    text.extend_from_slice(format!("\n{ROW}\n1,2").as_bytes());
    let expected = [
        Ok(2),
        Err("line 3: the text is not UTF-8; this is not a CSV, or one in another encoding".to_owned()),
        Err("line 4: longer than 65536 bytes; this is not a CSV of feature rows".to_owned()),
        Ok(5),
        Err("line 6: 2 fields where the header names 42 columns".to_owned()),
    ];
    assert_eq!(outcomes(text), expected);
}

#[test]
fn labels_and_identities_cost_no_row() {
    /// What is read of an identity and a label: times in seconds, ports, whether addresses and times are whole.
    fn check(identity: &str, label: &str, ports: (u16, u16), is_whole: bool, expected: Option<bool>) {
        let text = format!("{},label\n{identity},{ROW},{label}\n", header(&UNSW_NB15));
        let mut reader = Reader::new(text.as_bytes(), &UNSW_NB15).unwrap();
        let mut row = CsvRow::default();
        reader.read_row(&mut row).unwrap().unwrap();
        let found = row.identity.unwrap();
        assert_eq!((found.source_port, found.destination_port), ports, "{identity}");
        assert_eq!(row.has_whole_identity, is_whole, "{identity}");
        assert_eq!(row.label, expected, "{label}");
        assert_eq!(
            reader.notes().len(),
            usize::from(!is_whole),
            "{:?}",
            reader.notes()
        );
        assert_eq!(
            reader.doubts().len(),
            usize::from(expected.is_none()),
            "{:?}",
            reader.doubts()
        );
    }
    for (label, expected) in [
        ("1", Some(true)),
        ("1.0", Some(true)),
        ("True", Some(true)),
        ("0.0", Some(false)),
        ("FALSE", Some(false)),
        ("BENIGN", Some(false)),
        ("yes", Some(true)),
        ("maybe", None),
        ("", None),
        ("2", None),
    ] {
        check(
            "1.5,2.000001,10.0.0.1,1024,::1,0x0035",
            label,
            (1024, 53),
            true,
            expected,
        );
    }
    for (identity, ports, is_whole) in [
        ("1.421e9,2,10.0.0.1,80.0,10.0.0.2,53", (80, 53), true),
        ("1,2,10.0.0.1,-,10.0.0.2,0x20205321", (0, 0), true),
        ("1,2,::1,1,::1,65536", (1, 0), true),
        ("1,2,10.0.0.256,1,::1,53", (1, 53), false),
        ("1,,10.0.0.2,1,::1,53", (1, 53), false),
        (",,,,,", (0, 0), false),
    ] {
        check(identity, "1", ports, is_whole, Some(true));
    }
}

#[test]
fn a_failing_input_ends_reading() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut off",
            ))
        }
    }
    let text = format!("{}\n{ROW}\n", feature_header());
    let mut reader = Reader::new(text.as_bytes().chain(Broken), &UNSW_NB15).unwrap();
    let mut parsed = CsvRow::default();
    assert!(reader.read_row(&mut parsed).unwrap().is_ok());
    let error = reader.read_row(&mut parsed).unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: reading failed: the archive is cut off"
    );
    assert!(reader.read_row(&mut parsed).is_none());
}

#[test]
fn numbers_of_nominal_columns_are_codes() {
    let proto = &UNSW_NB15.columns[1];
    assert_eq!(proto.value_from_number(1.0), Ok(1.0));
    assert_eq!(proto.term(1.0), Some("udp"));
    assert_eq!(
        (proto.term(1.5), proto.term(-1.0), proto.term(1e9)),
        (None, None, None)
    );
    for wrong in [-1.0, 0.5, 100_000.0] {
        assert!(
            matches!(
                proto.value_from_number(wrong),
                Err(ValueError::UnknownCode { .. })
            ),
            "{wrong}"
        );
    }
    assert!(matches!(
        proto.value_from_number(f64::NAN),
        Err(ValueError::NotFinite { .. })
    ));
}

#[test]
fn json_lines_hold_terms_and_numbers() {
    let row: Vec<f64> = (0..UNSW_NB15.width())
        .map(|index| if index == 0 { f64::NAN } else { 1.0 })
        .collect();
    let mut out = Vec::new();
    json_lines::write_line(&mut out, &UNSW_NB15, &identity(0, 1_500_000), &row).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("{\"stime\":0.000000,\"ltime\":0.001500,\"srcip\":\"10.0.0.1\",\"sport\":1024,"),
        "{text}"
    );
    assert!(
        text.contains("\"dur\":null,\"proto\":\"udp\",\"service\":\"dns\",\"state\":\"CON\",\"spkts\":1,"),
        "{text}"
    );
    assert!(text.ends_with("\"is_sm_ips_ports\":1}\n"), "{text}");
}

fn identity(start_ns: i64, end_ns: i64) -> Identity {
    Identity {
        start_ns,
        end_ns,
        source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        source_port: 1024,
        destination: IpAddr::V6(Ipv6Addr::LOCALHOST),
        destination_port: 53,
        protocol: 6,
    }
}

#[test]
fn the_header_says_which_schema() {
    let check = |header: &str, expected: Result<&'static Schema, &str>| {
        let found = Reader::guess(header.as_bytes());
        match (found, expected) {
            (Ok(reader), Ok(schema)) => assert_eq!(reader.schema(), schema, "for {header:?}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{:?} for {header:?}", found.map(|reader| reader.schema().id)),
        }
    };
    for schema in Schema::ALL {
        check(&header(schema), Ok(schema));
    }
    check(&feature_header(), Ok(&UNSW_NB15));
    check("colour,shape", Err("42 columns of schema unsw-nb15 missing"));
    check(
        &header(&FLOW_V1).replace("gap_std", "gap_sdt"),
        Err("column `gap_sdt` is not in schema flow-v1"),
    );
}

fn any_schema_and_row() -> impl Strategy<Value = (&'static Schema, Vec<f64>)> {
    prop_oneof![Just(&UNSW_NB15), Just(&FLOW_V1)].prop_flat_map(|schema| (Just(schema), any_row(schema)))
}

fn any_row(schema: &Schema) -> impl Strategy<Value = Vec<f64>> + use<> {
    schema
        .columns
        .iter()
        .map(|column| match column.kind {
            Kind::Nominal(vocabulary) => (0..vocabulary.terms.len()).prop_map(|code| code as f64).boxed(),
            Kind::Flag => prop_oneof![Just(0.0), Just(1.0)].boxed(),
            Kind::Count => (0..=u64::from(u32::MAX)).prop_map(|count| count as f64).boxed(),
            Kind::Continuous => proptest::num::f64::POSITIVE
                .prop_filter("finite", |x| x.is_finite())
                .boxed(),
        })
        .collect::<Vec<_>>()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        (schema, row) in any_schema_and_row(),
        start in 0..4_000_000_000_000_000i64,
        length in 0..1_000_000_000i64,
    ) {
        // The format keeps microseconds.
        let written = identity(start * 1_000, (start + length) * 1_000);
        let mut writer = Writer::new(Vec::new(), schema).unwrap();
        writer.write(&written, &row).unwrap();
        let text = writer.into_inner().unwrap();
        let mut reader = Reader::guess(text.as_slice()).unwrap();
        prop_assert_eq!(reader.schema(), schema);
        let mut parsed = CsvRow::default();
        reader.read_row(&mut parsed).unwrap().unwrap();
        prop_assert_eq!(&parsed.values, &row);
        let read = parsed.identity.unwrap();
        prop_assert_eq!(read, Identity { protocol: read.protocol, ..written });
        prop_assert!(reader.read_row(&mut parsed).is_none());
    }

    #[test]
    fn no_input_panics(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let good = feature_header();
        outcomes(&text);
        outcomes(&bytes);
        outcomes(format!("{good}\n{text}\n"));
        outcomes([good.as_bytes(), b"\n", &bytes].concat());
    }
}
