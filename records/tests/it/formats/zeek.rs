//! Zeek: what goes wrong in the field, and what is read of it.

use netsage_records::formats::{Format, Items, Label, Options, Reader};
use netsage_records::{BytesOf, OwnId, Record, Sides, State};
use netsage_schema::unsw_nb15::SERVICE;

use super::{counted, read, record};

const FIELDS: &str = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes \
                      conn_state missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents";
const ROW: &str = "1655071198.444458 CAAAAF2OBB4onCC0Dd 192.0.2.167 62771 198.51.100.123 443 tcp ssl 1.135424 \
                   900 1100 SF 5138 ShADdaFf 14 1016 16 1226 (empty)";

/// A log of one row, with spaces for separators.
fn log(fields: &str, row: &str) -> String {
    format!("#separator \\x09\n#set_separator\t,\n#unset_field\t-\n#path\tconn\n#fields {fields}\n{row}\n")
        .replace("#separator \\x09", "#separator!")
        .replace(' ', "\t")
        .replace("#separator!", "#separator \\x09")
}

fn expected() -> Record {
    Record {
        start_us: 1_655_071_198_444_458,
        end_us: 1_655_071_199_579_882,
        source: "192.0.2.167".parse().unwrap(),
        destination: "198.51.100.123".parse().unwrap(),
        source_port: 62_771,
        destination_port: 443,
        protocol: 6,
        service: SERVICE.code_of("ssl"),
        state: Some(State::Closed),
        packets: Some(Sides {
            source: 14,
            destination: 16,
        }),
        bytes: Some(Sides {
            source: 1_016,
            destination: 1_226,
        }),
        bytes_of: BytesOf::Network,
        payload: Some(Sides {
            source: 900,
            destination: 1_100,
        }),
        sampling: 1,
        own_id: Some(OwnId::of(b"CAAAAF2OBB4onCC0Dd")),
        sensor: None,
        network: None,
        foreign: None,
    }
}

#[test]
fn each_form_of_a_log_gives_the_same_record() {
    let check = |text: &[u8]| assert_eq!(record(Format::Zeek, text), expected(), "{}", text.escape_ascii());
    let tabs = log(FIELDS, ROW);
    check(tabs.as_bytes());
    check(tabs.replace('\n', "\r\n").as_bytes());
    // A header that begins with a tab, or with the mark of UTF-8.
    check(format!("\t{tabs}").as_bytes());
    check(format!("\u{feff}{tabs}").as_bytes());
    // Other separators: one character, an escaped one, several.
    check(tabs.replace("\\x09", ",").replace('\t', ",").as_bytes());
    check(tabs.replace("\\x09", "\\x7c").replace('\t', "|").as_bytes());
    check(tabs.replace("\\x09", "\\x3a\\x3a").replace('\t', "::").as_bytes());
    // Another separator of scopes.
    check(tabs.replace("id.", "id_").as_bytes());
    // Only what is needed of the header.
    check(tabs.split_inclusive('\n').skip(4).collect::<String>().as_bytes());
    // Columns in any order, unknown ones, doubled tabs: columns without a name keep their place.
    let reversed = |text: &str| text.split_whitespace().rev().collect::<Vec<_>>().join(" ");
    check(log(&reversed(FIELDS), &reversed(ROW)).as_bytes());
    let doubled = log(FIELDS, ROW)
        .replace("uid\t", "uid\t\t")
        .replace("CAAAAF2OBB4onCC0Dd\t", "CAAAAF2OBB4onCC0Dd\twhatever\t");
    check(doubled.as_bytes());
    // Escapes, and bytes that are no UTF-8, in columns that are not read and in ones that are.
    let mut foreign = log(&format!("{FIELDS} label"), &format!("{ROW} \\xc3\\x28")).into_bytes();
    foreign.pop();
    foreign.extend(b"\xff\xfe\n");
    check(&foreign);
    check(tabs.replace("CAAAAF2OBB4on", "CAAAAF\\x32OBB4on").as_bytes());
    // More fields than columns, as labelled logs have them.
    check(log(FIELDS, &format!("{ROW} Benign Microsoft")).as_bytes());

    let json = r#"{"ts":1655071198.444458,"uid":"CAAAAF2OBB4onCC0Dd","id.orig_h":"192.0.2.167","id.orig_p":62771,"id.resp_h":"198.51.100.123","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.135424,"orig_bytes":900,"resp_bytes":1100,"conn_state":"SF","missed_bytes":5138,"history":"ShADdaFf","orig_pkts":14,"orig_ip_bytes":1016,"resp_pkts":16,"resp_ip_bytes":1226}"#;
    check(json.as_bytes());
    check(json.replace("id.", "id_").as_bytes());
    for time in [
        "\"2022-06-12T21:59:58.444458Z\"",
        "\"1655071198.444458\"",
        "1.655071198444458e9",
    ] {
        check(json.replace("1655071198.444458", time).as_bytes());
    }
    check(format!("{{\"conn\": {json}}}").as_bytes());
    check(format!("{{\"_path\":\"conn\",{}", &json[1..]).as_bytes());
    check(format!("[{json}]").as_bytes());
    check(
        json.replace(",\"", ",\n  \"")
            .replace('{', "{\n")
            .replace('}', "\n}")
            .as_bytes(),
    );
    check(json.replace("CAAAAF", "\\u0043AAAAF").as_bytes());
    let mut foreign = json.replace("ShADdaFf", "!").into_bytes();
    let place = foreign.iter().position(|byte| *byte == b'!').unwrap();
    foreign[place] = 0xff;
    // `history` is asked for, to know the log; what cannot be text there is no reason to refuse the line.
    check(&foreign);
}

#[test]
fn milliseconds_are_times() {
    let json = r#"{"ts":1655071198444,"id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":2,"proto":"udp","conn_state":"S0"}"#;
    assert_eq!(record(Format::Zeek, json).start_us, 1_655_071_198_444_000);
}

#[test]
fn each_header_rules_the_lines_behind_it() {
    let short = "ts proto id.orig_h id.orig_p id.resp_h id.resp_p duration";
    let text = log(FIELDS, ROW)
        + &format!("#close 2022\n#fields {short}\n2.5 udp 10.0.0.1 53 10.0.0.2 54 0.5\n").replace(' ', "\t")
        + &log(FIELDS, ROW);
    let (items, reader) = read(Format::Zeek, &text);
    assert_eq!(
        reader.counts().to_string(),
        "3 records; passed over: 12 header lines"
    );
    assert_eq!(items.records[0], expected());
    let middle = &items.records[1];
    assert_eq!((middle.start_us, middle.end_us), (2_500_000, 3_000_000));
    assert_eq!((middle.packets, middle.bytes, middle.payload), (None, None, None));
    assert_eq!((middle.service, middle.state, middle.own_id), (None, None, None));
    assert_eq!(middle.bytes_of, BytesOf::Payload);
    assert_eq!(items.records[2], expected());
}

#[test]
fn rows_say_what_they_say() {
    let fields = "ts id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state \
                  orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes";
    let row = |row: &str| record(Format::Zeek, log(fields, row));
    let sides = |source, destination| Some(Sides { source, destination });

    // No duration is one packet; no service is one that Zeek looked for.
    let one = row("19.981745 fe80::1 5353 ff02::fb 5353 udp - - - - S0 1 87 0 0");
    assert_eq!((one.start_us, one.end_us), (19_981_745, 19_981_745));
    assert_eq!((one.service, one.payload), (SERVICE.code_of("-"), None));
    assert_eq!((one.packets, one.bytes), (sides(1, 0), sides(87, 0)));
    assert_eq!(one.state, Some(State::OneWay));

    // One odd SYN-ACK makes gigabytes of payload in few packets: bytes are those of the packets.
    let odd = row("1.0 10.0.0.1 1 10.0.0.2 2 tcp - 1.0 100 1600000000 SF 5 500 56 4000");
    assert_eq!(
        (odd.bytes, odd.bytes_of, odd.payload),
        (sides(500, 4_000), BytesOf::Network, None)
    );

    // ICMP of both versions: type and code, and 0 where Zeek gives the type of the answer.
    let check = |addresses: &str, ports: (u16, u16), expected: (u8, u16, u16)| {
        let [source, destination] = addresses.split(' ').collect::<Vec<_>>()[..] else {
            panic!("two addresses")
        };
        let (first, second) = ports;
        let read = row(&format!(
            "1.0 {source} {first} {destination} {second} icmp - - - - OTH 1 84 1 84"
        ));
        assert_eq!(
            (read.protocol, read.source_port, read.destination_port),
            expected,
            "{addresses}"
        );
    };
    check("10.0.0.1 10.0.0.2", (8, 0), (1, 8, 0));
    check("10.0.0.1 10.0.0.2", (13, 14), (1, 13, 0));
    check("10.0.0.1 10.0.0.2", (3, 3), (1, 3, 3));
    check("fe80::1 fe80::2", (128, 129), (58, 128, 0));
    check("fe80::1 fe80::2", (135, 136), (58, 135, 0));
    check("fe80::1 fe80::2", (1, 4), (58, 1, 4));
}

#[test]
fn newer_versions_give_the_number_of_the_protocol() {
    let fields = "ts id.orig_h id.orig_p id.resp_h id.resp_p proto duration ip_proto orig_pkts resp_pkts";
    let row = |proto: &str, number: &str| {
        log(
            fields,
            &format!("1.0 10.0.0.1 7 10.0.0.2 9 {proto} - {number} 1 0"),
        )
    };
    let gre = record(Format::Zeek, row("unknown_transport", "47"));
    assert_eq!((gre.protocol, gre.source_port, gre.destination_port), (47, 0, 0));
    assert_eq!(gre.state, Some(State::OneWay));
    assert_eq!(
        counted(Format::Zeek, row("unknown_transport", "-")),
        "0 records; passed over: 5 header lines, 1 flows of a protocol that Zeek does not name"
    );
}

#[test]
fn states_are_those_of_all_meters() {
    let check = |proto: &str, name: &str, packets: (u64, u64), expected: Option<State>| {
        let fields =
            "ts id.orig_h id.orig_p id.resp_h id.resp_p proto duration conn_state orig_pkts resp_pkts";
        let (source, destination) = packets;
        let row = format!("1.0 10.0.0.1 7 10.0.0.2 9 {proto} - {name} {source} {destination}");
        assert_eq!(
            record(Format::Zeek, log(fields, &row)).state,
            expected,
            "{proto} {name}"
        );
    };
    for (name, expected) in [
        ("S0", State::Attempt),
        ("S1", State::Established),
        ("SF", State::Closed),
        ("REJ", State::Refused),
        ("S2", State::Established),
        ("S3", State::Established),
        ("RSTO", State::Reset),
        ("RSTR", State::Reset),
        ("RSTOS0", State::Attempt),
        ("RSTRH", State::Midstream),
        ("SH", State::Attempt),
        ("SHR", State::Midstream),
        ("OTH", State::Midstream),
    ] {
        check("tcp", name, (1, 1), Some(expected));
    }
    check("tcp", "-", (1, 1), None);
    check("tcp", "NEW", (1, 1), None);
    check("udp", "SF", (1, 1), Some(State::TwoWay));
    check("udp", "S0", (2, 0), Some(State::OneWay));
    check("icmp", "OTH", (3, 3), Some(State::TwoWay));
}

#[test]
fn other_logs_of_a_stream_are_passed_over() {
    let conn = r#"{"ts":1.5,"id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":2,"proto":"udp","conn_state":"S0"}"#;
    let stream = [
        conn,
        r#"{"_path":"dns","ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"a"}"#,
        r#"{"ts":1.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"a"}"#,
        r#"{"dns": {"ts":1.5,"uid":"C1"}}"#,
        r#"{"my_own": {"ts":1.5,"uid":"C1"}}"#,
        r#"{"_path":"conn_long","ts":1.5,"conn_state":"S1"}"#,
        r#"{"ts":1.5,"peer":"zeek","mem":7}"#,
    ];
    assert_eq!(
        counted(Format::Zeek, stream.join("\n")),
        "1 records; passed over: 2 records of dns logs, 3 records of other logs, 1 records of conn_long logs"
    );
    let tabs = log(FIELDS, ROW);
    assert_eq!(
        counted(Format::Zeek, tabs.replace("\tconn\n", "\tdns\n")),
        "0 records; passed over: 5 header lines, 1 records of dns logs"
    );
    // A log of another kind may lack columns; behind it comes the one that is read.
    let both = format!("#path\tdns\n#fields\tts\tquery\n1.5\ta\n{tabs}");
    assert_eq!(
        counted(Format::Zeek, both),
        "1 records; passed over: 7 header lines, 1 records of dns logs"
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_reason() {
    let check = |text: &str, expected: &[&str]| {
        let (items, _) = read(Format::Zeek, text);
        let refused: Vec<_> = items.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused, expected, "{text}");
    };
    let needed = "ts id.orig_h id.orig_p id.resp_h id.resp_p proto duration";
    let row = |row: &str| log(needed, row);
    check(
        "1.0\tx\n",
        &["line 1: no header names the columns; give the log from its line `#fields` on"],
    );
    check(
        &log(
            "ts src_h id.orig_p id.resp_h proto",
            "1.0 10.0.0.1 1 10.0.0.2 tcp",
        ),
        &[
            "line 5: the header lacks id.orig_h, id.resp_p, duration; a conn.log of Zeek has these columns unless its filter leaves them out",
            "line 6: the header lacks id.orig_h, id.resp_p, duration; a conn.log of Zeek has these columns unless its filter leaves them out",
        ],
    );
    // What is cut off costs one line, also where it ends within a number.
    check(
        &row("1.0 10.0.0.1 1 10.0.0.2 2 udp"),
        &["line 6: fewer fields than the header has columns"],
    );
    check(
        &row("- 10.0.0.1 1 10.0.0.2 2 udp -"),
        &["line 6: `ts` is missing"],
    );
    check(
        &row("x 10.0.0.1 1 10.0.0.2 2 udp -"),
        &["line 6: `ts` is no time since 1970"],
    );
    check(
        &row("1.0 10.0.0 1 10.0.0.2 2 udp -"),
        &["line 6: `id.orig_h` is no address"],
    );
    check(
        &row("1.0 10.0.0.1 1 10.0.0.2 65536 udp -"),
        &["line 6: `id.resp_p` is no port (0 to 65535)"],
    );
    check(
        &row("1.0 10.0.0.1 1 10.0.0.2 2 xyz -"),
        &["line 6: `proto` is no IP protocol"],
    );
    check(
        &row("1.0 10.0.0.1 1 10.0.0.2 2 udp -1.0"),
        &["line 6: `duration` is no duration of 0 s or more"],
    );
    check(
        &row("1.0 10.0.0.1 1 fe80::1 2 udp -"),
        &["line 6: one address is of IPv4, the other of IPv6"],
    );
    check(
        &log(
            &format!("{needed} orig_pkts resp_pkts"),
            "1.0 10.0.0.1 1 10.0.0.2 2 udp - 7 -",
        ),
        &["line 6: `orig_pkts` is there without the same of the other direction"],
    );
    check(
        "{\"ts\":1.5,\n{}\n{\"ts\":1.5,\"conn_state\":\"SF\"}\n{\"foo\":{\"bar\":1}}\n[]\n",
        &[
            "line 1: no JSON object",
            "line 2: `ts` is missing",
            "line 3: `id.orig_h` is missing",
            "line 4: `ts` is missing",
            "line 5: no header names the columns; give the log from its line `#fields` on",
        ],
    );
    check(
        r#"{"ts":1.5,"id.orig_h":["10.0.0.1"],"conn_state":"SF"}"#,
        &["line 1: `id.orig_h` is no address"],
    );
}

#[test]
fn labels_stand_beside_the_record_and_not_in_it() {
    let labels = |text: &str| {
        let mut items = Items::default();
        Reader::new(Format::Zeek, &Options::default())
            .with_labels()
            .read(text.as_bytes(), true, &mut items);
        assert_eq!(items.records, [expected()], "{text}");
        items.labels
    };
    let check = |columns: &str, values: &str, expected: Option<(Option<bool>, &str)>| {
        let expected = expected.map(|(attack, kind)| Label {
            attack,
            kind: kind.to_owned(),
        });
        let text = log(FIELDS, ROW)
            .replace("tunnel_parents", &format!("tunnel_parents{columns}"))
            .replace("(empty)", &format!("(empty){values}"));
        assert_eq!(labels(&text), [expected], "{text}");
    };
    let both = "\tlabel\tdetailedlabel";
    check("", "", None);
    check(both, "\tBenign\tMicrosoft", Some((Some(false), "Microsoft")));
    check(both, "\tBackground\t(empty)", Some((Some(false), "")));
    check(both, "\tMalicious\tCC", Some((Some(true), "CC")));
    check(both, "\t-\t-", None);
    check(both, "\tunknown\tCC", Some((None, "CC")));
    check("\tlabel", "\tmalicious", Some((Some(true), "")));
    check("\tdetailed_label", "\tCC", None);
    // IoT-23 separates its labels by spaces.
    let spaces = "   label   detailed-label";
    check(spaces, "   Malicious   DDoS", Some((Some(true), "DDoS")));
    check(spaces, "   benign   -", Some((Some(false), "")));

    let json = r#"{"ts":1655071198.444458,"uid":"CAAAAF2OBB4onCC0Dd","id.orig_h":"192.0.2.167","id.orig_p":62771,"id.resp_h":"198.51.100.123","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.135424,"orig_bytes":900,"resp_bytes":1100,"conn_state":"SF","orig_pkts":14,"orig_ip_bytes":1016,"resp_pkts":16,"resp_ip_bytes":1226}"#;
    let labelled = json.replace('}', r#","label":"Malicious","detailedlabel":"CC"}"#);
    let label = Label {
        attack: Some(true),
        kind: "CC".to_owned(),
    };
    assert_eq!(labels(&labelled), [Some(label)]);
    assert_eq!(labels(json), [None]);
    // Nobody asked.
    assert_eq!(read(Format::Zeek, &labelled).0.labels, []);
}
