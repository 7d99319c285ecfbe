//! Tables that are not of a schema here, known by their first line: what they are, and what to do.

/// What is known of a table by its first line.
struct Known {
    /// Names that stand in its header, in lower case and without blanks.
    names: &'static [&'static str],
    what: &'static str,
    advice: &'static str,
}

const fn known(names: &'static [&'static str], what: &'static str) -> Known {
    let advice = CAPTURES;
    Known { names, what, advice }
}

const CAPTURES: &str = "score the captures that the table was made from instead: `netsage score FILE.pcap`";
const NO_CAPTURES: &str = "its columns are not those of a schema here, and its captures were not kept with it; \
                           score captures, or a CSV with the columns of a schema";
const ROWS: &str =
    "give its rows: the files UNSW-NB15_1.csv to UNSW-NB15_4.csv, or a partition of the dataset";

#[rustfmt::skip]
const KNOWN: [Known; 21] = [
    known(&["flowduration", "totalfwdpackets"], "a table of CIC-IDS (CICFlowMeter)"),
    known(&["flowduration", "totfwdpkts"], "a table of CIC-IDS (CICFlowMeter)"),
    known(&["flowduration", "totalfwdpacket"], "a table of CIC-IDS (CICFlowMeter)"),
    known(&["flow_duration", "tot_fwd_pkts"], "a table of CIC-IDS (CICFlowMeter)"),
    known(&["src_ip", "dst_ip", "fwd_packets_count"], "a table of the BCCC datasets (NTLFlowLyzer)"),
    known(&["flow_duration", "header_length", "protocoltype"], "a table of CICIoT2023"),
    known(&["ipv4_src_addr", "l4_src_port"], "a table of the NetFlow datasets (NF-UNSW-NB15 and its relatives)"),
    known(&["datefirstseen", "srcpt", "dstpt"], "a table of CIDDS"),
    known(&["ts", "te", "td", "sa", "da"], "NetFlow records that nfdump exported"),
    known(&["starttime", "srcaddr", "dstaddr", "totpkts"], "a table of Argus flows (CTU-13)"),
    known(&["pkseqid", "saddr", "daddr"], "a table of BoT-IoT"),
    known(&["src_ip", "dst_ip", "conn_state"], "a table of ToN-IoT, or a Zeek log as CSV"),
    known(&["id.orig_h", "id.resp_h"], "a Zeek log as CSV"),
    known(&["mi_dir_l5_weight"], "a table of N-BaIoT"),
    known(&["frame.time", "ip.src_host"], "a table of Edge-IIoTset"),
    known(&["ip.src", "ip.dst"], "fields of packets that tshark exported"),
    known(&["frame.number"], "fields of packets that tshark exported"),
    known(&["no.", "time", "source", "destination"], "a packet list that Wireshark exported"),
    Known { names: &["src_bytes", "dst_bytes", "flag", "land"], what: "a table of NSL-KDD or KDD Cup 1999", advice: NO_CAPTURES },
    Known { names: &["name", "type", "description"], what: "the list of the features of UNSW-NB15, not its rows", advice: ROWS },
    Known { names: &["attackcategory", "attacksubcategory"], what: "the list of the attacks of UNSW-NB15, not its rows", advice: ROWS },
];

/// What the table of this first line is, and what to do with it; `None` when that is not known.
pub(super) fn recognise(first: &str, separator: u8) -> Option<(&'static str, &'static str)> {
    if first.starts_with("#separator") || first.starts_with("#fields") {
        return Some(("a Zeek log", CAPTURES));
    }
    if first.to_ascii_lowercase().starts_with("@relation") {
        return Some((
            "an ARFF file (NSL-KDD and other sets come as such)",
            "there is no reader for it; score captures, or a CSV with the columns of a schema",
        ));
    }
    let names: Vec<String> = first
        .split(char::from(separator))
        .map(|name| {
            let name = name.trim().trim_matches('"').to_ascii_lowercase();
            name.chars().filter(|letter| *letter != ' ').collect()
        })
        .collect();
    let has = |wanted: &&str| names.iter().any(|name| name == wanted);
    if let Some(known) = KNOWN.iter().find(|known| known.names.iter().all(&has)) {
        return Some((known.what, known.advice));
    }
    is_kdd(&names).then_some(("a table of NSL-KDD or KDD Cup 1999 without a header", NO_CAPTURES))
}

/// Rows of KDD have 41 columns, then a label and maybe a difficulty; the second to fourth are protocol, service and flag.
fn is_kdd(fields: &[String]) -> bool {
    (41..=43).contains(&fields.len())
        && matches!(&*fields[1], "tcp" | "udp" | "icmp")
        && matches!(
            &*fields[3],
            "sf" | "s0" | "s1" | "s2" | "s3" | "rej" | "rsto" | "rstr" | "rstos0" | "sh" | "oth"
        )
}
