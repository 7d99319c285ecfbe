//! What a reader promises to every transport.

use netsage_records::formats::{Format, Items, LONGEST_ITEM, Options, Reader};

use super::read;

const ZEEK: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\n\
                    1.0\t10.0.0.1\t1\t10.0.0.2\t2\tudp\t-\n2.0\t10.0.0.1\t1\t10.0.0.2\t2\tudp\t-\n";
const ARGUS: &str = "StartTime,Dur,Proto,SrcAddr,Sport,DstAddr,Dport,SrcPkts,DstPkts\n\
                     1.5,1,udp,10.0.0.1,1,10.0.0.2,2,3,4\n2.5,1,udp,10.0.0.1,1,10.0.0.2,2,3,4\n";
const FLOW: &str =
    r#"{"start_us":1,"end_us":2,"source":"10.0.0.1","destination":"10.0.0.2","protocol":"udp"}"#;

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(Format::by_name(format.name()), Some(format));
    }
    assert_eq!(Format::by_name("pcap"), None);
}

#[test]
fn reading_goes_on_behind_any_line() {
    let list = format!("[{FLOW},\n{FLOW}\n,{FLOW}]\n");
    let lists = format!("\n[{FLOW}]\n[{FLOW}] \n\n [{FLOW},7]\n{FLOW}\n[{FLOW}]\n");
    for (format, text) in [
        (Format::FlowJson, lists.as_str()),
        (Format::Zeek, ZEEK),
        (Format::Argus, ARGUS),
        (Format::FlowJson, list.as_str()),
    ] {
        let (whole, all) = read(format, text);
        assert!(whole.records.len() >= 2);
        for cut in 0..=text.len() {
            let mut first = Reader::new(format, &Options::default());
            let mut items = Items::default();
            let used = first.read(&text.as_bytes()[..cut], false, &mut items);
            let mut second = Reader::new(format, &Options::default());
            second.resume(&first.header(), first.items());
            let rest = &text.as_bytes()[used..];
            assert_eq!(second.read(rest, true, &mut items), rest.len());
            assert_eq!(items.records, whole.records, "{format} cut at {cut}");
            let mut counts = first.counts().clone();
            counts.add(second.counts());
            assert_eq!(counts, *all.counts(), "{format} cut at {cut}");
        }
    }
}

#[test]
fn places_go_on_behind_a_resumption() {
    let mut reader = Reader::new(Format::Argus, &Options::default());
    reader.resume(ARGUS.lines().next().unwrap().as_bytes(), 41);
    let mut items = Items::default();
    reader.read(b"1.5,1,udp,10.0.0.1,1,10.0.0.2,2,3,4\nbroken\n", true, &mut items);
    assert_eq!(items.records.len(), 1);
    assert_eq!(items.refused[0].place.to_string(), "line 43");
}

#[test]
fn messages_are_whole_and_apart() {
    let mut reader = Reader::new(Format::FlowJson, &Options::default());
    let mut items = Items::default();
    let mut check = |message: &str, counted: &str, refused: &[&str]| {
        items.clear();
        reader.message(message.as_bytes(), &mut items);
        assert_eq!(reader.counts().to_string(), counted, "{message}");
        let found: Vec<_> = items.refused.iter().map(ToString::to_string).collect();
        assert_eq!(found, refused, "{message}");
    };
    check(FLOW, "1 records", &[]);
    check(&format!("{FLOW}\n{FLOW}"), "3 records", &[]);
    check(&format!("[{FLOW},{FLOW}]"), "5 records", &[]);
    // A list that does not end is no matter of the next message.
    check(
        &format!("[{FLOW},{{"),
        "6 records; refused: 1 (the JSON is cut off)",
        &["element 2: the JSON is cut off"],
    );
    check(
        &format!("{FLOW}\n{{\"a\""),
        "7 records; refused: 1 (the JSON is cut off), 1 (no JSON object)",
        &["line 2: no JSON object"],
    );
    check(
        "",
        "7 records; passed over: 1 empty messages; refused: 1 (the JSON is cut off), 1 (no JSON object)",
        &[],
    );
}

#[test]
fn long_items_are_refused_once_and_bounded() {
    for format in Format::ALL {
        let mut reader = Reader::new(format, &Options::default());
        let mut items = Items::default();
        let long = vec![b'x'; LONGEST_ITEM];
        assert_eq!(reader.read(&long, false, &mut items), 0);
        let mut longer = long.clone();
        longer.push(b'x');
        // Whatever is left never grows beyond the longest item.
        assert_eq!(reader.read(&longer, false, &mut items), longer.len());
        assert_eq!(reader.read(&long, false, &mut items), long.len());
        assert_eq!(reader.read(b"xx\n", false, &mut items), 3);
        assert_eq!(
            reader.counts().to_string(),
            "0 records; refused: 1 (longer than 1 MiB, which no record is)"
        );
        assert_eq!(items.refused[0].place.to_string(), "line 1");
    }
}

/// What is hostile costs no more than its length: a line of one brace begins an object, and each could be looked at to
/// the end of all.
#[test]
fn hostile_bytes_are_looked_at_once() {
    let check = |text: String, counted: &str| {
        for format in [Format::FlowJson, Format::Zeek, Format::Suricata] {
            let (_, reader) = read(format, &text);
            assert_eq!(reader.counts().refused.total(), reader.items(), "{format}");
            assert!(
                reader.counts().to_string().contains(counted),
                "{format}: {}",
                reader.counts()
            );
        }
    };
    check("{\n\"a\":\n".repeat(500_000), "longer than 1 MiB");
    check(format!("[{}", "{\"a\":".repeat(500_000)), "longer than 1 MiB");
    check("[".to_owned() + &"[".repeat(3_000_000), "longer than 1 MiB");
    check(format!("[{}]", "7,".repeat(500_000)), "500000 (no JSON object)");
    let many = format!("#fields{}{}\n", "\t".repeat(300_000), "ts\t".repeat(100_000));
    assert_eq!(read(Format::Zeek, many).1.counts().refused.total(), 1);
}

#[test]
fn an_item_of_the_greatest_length_is_read() {
    let padded = |length: usize| {
        let rest = FLOW.strip_suffix('}').unwrap();
        let padding = length - FLOW.len() - ",\"x\":\"\"".len();
        format!("{rest},\"x\":\"{}\"}}", "x".repeat(padding))
    };
    for (length, records) in [(LONGEST_ITEM, 2), (LONGEST_ITEM + 1, 1)] {
        let long = padded(length);
        assert_eq!(long.len(), length);
        for text in [
            format!("{long}\n{FLOW}\n"),
            format!("[{long},\n{FLOW}]"),
            format!("{{\n{}\n{FLOW}\n", padded(length - 1).strip_prefix('{').unwrap()),
        ] {
            let (items, reader) = read(Format::FlowJson, &text);
            assert_eq!(items.records.len(), records, "{length}: {}", reader.counts());
            assert_eq!(reader.items(), 2);
        }
    }
}
