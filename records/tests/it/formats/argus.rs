//! What `ra` prints.

use jiff::tz::TimeZone;
use netsage_records::formats::{Format, Options};
use netsage_records::{BytesOf, Record, Sides, State};

use super::{counted, read, read_with, record};

const HEADER: &str =
    "StartTime,LastTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,SrcPkts,DstPkts,SrcBytes,DstBytes";
const ROW: &str = "2014/01/08 17:04:01.819644,2014/01/08 17:04:05.119060,3.299416,tcp,10.0.2.15,55079,   ->,192.150.187.43,80,FSPA_FSPA,44,86,4328,88149";

fn expected() -> Record {
    Record {
        start_us: 1_389_200_641_819_644,
        end_us: 1_389_200_645_119_060,
        source: "10.0.2.15".parse().unwrap(),
        destination: "192.150.187.43".parse().unwrap(),
        source_port: 55_079,
        destination_port: 80,
        protocol: 6,
        service: None,
        state: Some(State::Closed),
        packets: Some(Sides {
            source: 44,
            destination: 86,
        }),
        bytes: Some(Sides {
            source: 4_328,
            destination: 88_149,
        }),
        bytes_of: BytesOf::Link,
        payload: None,
        sampling: 1,
        own_id: None,
        sensor: None,
        network: None,
        foreign: None,
    }
}

#[test]
fn any_choice_of_columns_that_suffices_is_read() {
    let check = |header: &str, row: &str, expected: &Record| {
        assert_eq!(
            record(Format::Argus, format!("{header}\n{row}\n")),
            *expected,
            "{header}"
        );
    };
    check(HEADER, ROW, &expected());
    check(&HEADER.replace(',', "\t"), &ROW.replace(',', "\t"), &expected());
    // By the names of the option `-s` as well.
    check(
        "stime,ltime,dur,proto,saddr,sport,dir,daddr,dport,state,spkts,dpkts,sbytes,dbytes",
        ROW,
        &expected(),
    );
    // Without the last time it is the first and the duration; totals stand for one direction.
    check(
        "Dport,DstAddr,Sport,SrcAddr,Proto,Dur,StartTime,State,TotPkts,SrcPkts,TotBytes,DstBytes",
        "80,192.150.187.43,55079,10.0.2.15,tcp,3.299416,2014/01/08 17:04:01.819644,FSPA_FSPA,130,44,92477,88149",
        &expected(),
    );
    // As `ra -u` prints times, and with names of ports.
    check(
        HEADER,
        "1389200641.819644,1389200645.119060,3.299416,tcp,10.0.2.15,0xd727,   ->,192.150.187.43,http,FSPA_FSPA,44,86,4328,88149",
        &expected(),
    );
    // Of packets or bytes one is enough; payload is read where it is printed.
    let bytes = "StartTime,Dur,Proto,SrcAddr,Sport,DstAddr,Dport,TotBytes,SrcBytes,SAppBytes,DAppBytes,Label";
    let read = record(
        Format::Argus,
        format!(
            "{bytes}\n2014/01/08 17:04:01.819644,3.299416,udp,10.0.2.15,55079,192.150.187.43,80,92477,4328,7,8,x\n"
        ),
    );
    assert_eq!(
        (read.packets, read.bytes, read.payload, read.state),
        (
            None,
            expected().bytes,
            Some(Sides {
                source: 7,
                destination: 8
            }),
            Some(State::TwoWay)
        )
    );
}

#[test]
fn a_header_rules_the_rows_behind_it() {
    let other = "StartTime,Dur,Proto,SrcAddr,Sport,DstAddr,Dport,SrcPkts,DstPkts";
    let text = format!("{HEADER}\n{ROW}\n{HEADER}\n{ROW}\n{other}\n1.5,1,udp,10.0.0.1,1,10.0.0.2,2,3,4\n");
    let (items, reader) = read(Format::Argus, text);
    assert_eq!(
        reader.counts().to_string(),
        "3 records; passed over: 3 header lines"
    );
    assert_eq!(
        (items.records[2].start_us, items.records[2].end_us),
        (1_500_000, 2_500_000)
    );
}

/// A long connection is reported again and again while it lasts.
#[test]
fn each_record_of_a_connection_is_a_flow_with_its_own_end() {
    let row = |start: u32, state: &str| {
        format!(
            "{start},{},60,tcp,10.0.0.1,1,->,10.0.0.2,2,{state},9,9,600,600\n",
            start + 60
        )
    };
    let text = [
        format!("{HEADER}\n"),
        row(100, "SPA_SPA"),
        row(160, "PA_PA"),
        row(220, "FPA_FA"),
    ];
    let (items, _) = read(Format::Argus, text.concat());
    let ends: Vec<_> = items
        .records
        .iter()
        .map(|record| (record.end_us / 1_000_000, record.state))
        .collect();
    let expected = [
        (160, Some(State::Established)),
        (220, Some(State::Established)),
        (280, Some(State::Closed)),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn what_does_not_suffice_is_refused_by_the_names_of_columns() {
    let command = "print the records with `ra -n -u -Z b -c , -s stime ltime proto saddr sport daddr dport state spkts dpkts sbytes dbytes`";
    // The default columns of `ra`.
    let (items, _) = read(
        Format::Argus,
        "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,State\n17:04:01.819644, e,tcp,10.0.2.15,55079,->,192.150.187.43,80,130,92477,CON\n",
    );
    let refused: Vec<_> = items.refused.iter().map(ToString::to_string).collect();
    let lacking = format!(
        "the header lacks LastTime or Dur, SrcPkts and DstPkts (or SrcBytes and DstBytes); {command}"
    );
    assert_eq!(
        refused,
        [format!("line 1: {lacking}"), format!("line 2: {lacking}")]
    );
    let check = |text: &str, expected: &str| {
        let (items, _) = read(Format::Argus, text);
        let last = items.refused.last().map(ToString::to_string);
        assert_eq!(last.as_deref(), Some(expected), "{text}");
    };
    check(
        ROW,
        &format!(
            "line 1: no header names the columns; {command}, which begins with the names of the columns"
        ),
    );
    let but = |from: &str, to: &str| {
        assert!(ROW.contains(from));
        format!("{HEADER}\n{}\n", ROW.replacen(from, to, 1))
    };
    check(
        &but("2014/01/08 17:04:01.819644", "17:04:01.819644"),
        "line 2: `StartTime` is no time with a date; print times with `ra -u`",
    );
    check(
        &but("05.119060", "00.119060"),
        "line 2: the flow ends before it starts",
    );
    check(&but("10.0.2.15", "host"), "line 2: `SrcAddr` is no address");
    check(&but("55079", ""), "line 2: `Sport` is missing");
    check(
        &but("55079", "my-service"),
        "line 2: `Sport` is no port, nor the name of one that is known; print numbers with `ra -n`",
    );
    check(&but("tcp", "xyz"), "line 2: `Proto` is no IP protocol");
    check(
        &but(",44,", ",4.4K,"),
        "line 2: `SrcPkts` is no whole number of 0 or more",
    );
    check(
        &but(",88149", ""),
        "line 2: fewer fields than the header has columns",
    );
    check(
        &format!(
            "{}\n{ROW}\n",
            HEADER.replace("DstBytes", "TotBytes").replace("88149", "1")
        )
        .replace(",88149", ",1"),
        "line 2: `SrcBytes` is more than the total",
    );
}

#[test]
fn rows_without_ip_are_passed_over() {
    let row = |proto: &str, address: &str| {
        format!(
            "2014/01/08 17:04:01.5,2014/01/08 17:04:01.4,0,{proto},{address},0,->,{address},0,INT,1,0,60,0\n"
        )
    };
    let text = [
        format!("{HEADER}\n"),
        row("man", ""),
        row("llc", "00:00:00:00:00:00"),
        row("arp", "10.0.2.15"),
        row("loop", "00:00:00:00:00:00"),
        row("0x88cc", "00:00:00:00:00:01"),
    ];
    assert_eq!(
        counted(Format::Argus, text.concat()),
        "0 records; passed over: 1 header lines, 1 man rows, 1 llc rows, 1 arp rows, 1 loop rows, 1 other rows"
    );
}

#[test]
fn protocols_have_ports_or_a_type() {
    let check = |proto: &str, address: &str, ports: (&str, &str), expected: (u8, u16, u16)| {
        let (source, destination) = ports;
        let row = format!("1.5,2.5,1,{proto},{address},{source},->,{address},{destination},INT,1,0,60,0");
        let read = record(Format::Argus, format!("{HEADER}\n{row}\n"));
        assert_eq!(
            (read.protocol, read.source_port, read.destination_port),
            expected,
            "{proto}"
        );
    };
    check("icmp", "10.0.0.1", ("0x0008", "0x405a"), (1, 8, 0));
    check("icmp", "10.0.0.1", ("0x0303", "0x7b00"), (1, 3, 3));
    check("icmp", "10.0.0.1", ("0x0403", "0x0000"), (1, 3, 4));
    check("ipv6-icmp", "fe80::1", ("135", "0"), (58, 135, 0));
    check("igmp", "10.0.0.1", ("", ""), (2, 0, 0));
    check("sctp", "10.0.0.1", ("", ""), (132, 0, 0));
    check("esp", "10.0.0.1", ("0xfedcba98", ""), (50, 0, 0));
    check("rtp", "10.0.0.1", ("8000", "9000"), (17, 8_000, 9_000));
    check("udp", "10.0.0.1", ("bootpc", "bootps"), (17, 68, 67));
}

#[test]
fn states_come_from_flags_or_names() {
    let check = |proto: &str, state: &str, packets: (u64, u64), expected: Option<State>| {
        let (source, destination) = packets;
        let row = format!("1.5,2.5,1,{proto},10.0.0.1,1,->,10.0.0.2,2,{state},{source},{destination},60,0");
        let read = record(Format::Argus, format!("{HEADER}\n{row}\n"));
        assert_eq!(read.state, expected, "{proto} {state}");
    };
    for (state, expected) in [
        ("S_", State::Attempt),
        ("S_RA", State::Refused),
        ("SR_SA", State::Reset),
        ("S_SA", State::Established),
        ("SPAEC_SPA", State::Established),
        ("FSPA_FSPA", State::Closed),
        ("FSRPA_FSPA", State::Closed),
        ("FSPA_FSRPA", State::Closed),
        ("SRPA_FSPA", State::Reset),
        // Later records of a long connection.
        ("PA_PA", State::Established),
        ("FPA_FA", State::Closed),
        ("RPA_PA", State::Reset),
        ("A_", State::Midstream),
        ("_SA", State::Midstream),
    ] {
        check("tcp", state, (2, 2), Some(expected));
    }
    for (state, packets, expected) in [
        ("REQ", (1, 0), Some(State::Attempt)),
        ("ACC", (1, 1), Some(State::Established)),
        ("EST", (2, 1), Some(State::Established)),
        ("CON", (2, 2), Some(State::Established)),
        ("FIN", (4, 4), Some(State::Closed)),
        ("CLO", (4, 4), Some(State::Closed)),
        ("RST", (1, 1), Some(State::Refused)),
        ("RST", (3, 2), Some(State::Reset)),
        ("TIM", (3, 0), Some(State::Attempt)),
        ("TIM", (3, 2), Some(State::Established)),
        ("_", (1, 1), None),
        ("XYZ", (1, 1), None),
    ] {
        check("tcp", state, packets, expected);
    }
    check("udp", "CON", (1, 1), Some(State::TwoWay));
    check("udp", "INT", (1, 0), Some(State::OneWay));
    check("icmp", "ECO", (2, 1), Some(State::TwoWay));
}

#[test]
fn times_are_of_the_zone_that_is_set() {
    let text = format!("{HEADER}\n{ROW}\n");
    let start = |zone: TimeZone| {
        let (items, _) = read_with(Format::Argus, &Options { input_zone: zone }, &text);
        items.records[0].start_us
    };
    assert_eq!(start(TimeZone::UTC), expected().start_us);
    assert_eq!(
        start(TimeZone::fixed(jiff::tz::offset(-5))),
        expected().start_us + 5 * 3_600 * 1_000_000
    );
    for (zone, hours) in [("UTC", 0), ("Z", 0), ("+02:00", 2), ("+0200", 2), ("-05", -5)] {
        let zone = Options::zone(zone).unwrap();
        assert_eq!(start(zone), expected().start_us - hours * 3_600 * 1_000_000);
    }
    for wrong in ["", "+99:00", "Nowhere/Here", "12"] {
        assert_eq!(Options::zone(wrong), None, "{wrong}");
    }
    // A zone with changes of clocks, in winter and in summer.
    let prague = || Options::zone("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    assert_eq!(start(prague()), expected().start_us - 3_600 * 1_000_000);
    let summer = text.replace("/01/08", "/07/08");
    let (items, _) = read_with(Format::Argus, &Options { input_zone: prague() }, &summer);
    let (in_utc, _) = read(Format::Argus, &summer);
    assert_eq!(
        items.records[0].start_us,
        in_utc.records[0].start_us - 2 * 3_600 * 1_000_000
    );
}
