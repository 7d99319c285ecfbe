//! Tables that are not of a schema here, known by their first line: what they are, and what to do.

/// What is known of a table by its first line.
struct Known {
    /// Names that stand in its header, in lower case and without blanks.
    names: &'static [&'static str],
    what: &'static str,
}

const CAPTURES: &str = "score the captures that the table was made from instead: `netsage score FILE.pcap`";

#[rustfmt::skip]
const KNOWN: [Known; 12] = [
    Known { names: &["flowduration", "totalfwdpackets"], what: "a table of CIC-IDS (CICFlowMeter)" },
    Known { names: &["flowduration", "totfwdpkts"], what: "a table of CIC-IDS (CICFlowMeter)" },
    Known { names: &["flowduration", "totalfwdpacket"], what: "a table of CIC-IDS (CICFlowMeter)" },
    Known { names: &["ipv4_src_addr", "l4_src_port"], what: "a table of the NetFlow datasets (NF-UNSW-NB15 and its relatives)" },
    Known { names: &["src_bytes", "dst_bytes", "flag", "land"], what: "a table of NSL-KDD or KDD Cup 1999" },
    Known { names: &["starttime", "srcaddr", "dstaddr", "totpkts"], what: "a table of Argus flows (CTU-13)" },
    Known { names: &["pkseqid", "saddr", "daddr"], what: "a table of BoT-IoT" },
    Known { names: &["src_ip", "dst_ip", "conn_state"], what: "a table of ToN-IoT, or a Zeek log as CSV" },
    Known { names: &["id.orig_h", "id.resp_h"], what: "a Zeek log as CSV" },
    Known { names: &["no.", "time", "source", "destination"], what: "a packet list that Wireshark exported" },
    Known { names: &["name", "type", "description"], what: "the list of the features of UNSW-NB15, not its rows" },
    Known { names: &["attackcategory", "attacksubcategory"], what: "the list of the attacks of UNSW-NB15, not its rows" },
];

/// What the table of this first line is, and what to do with it; `None` when that is not known.
pub(super) fn recognise(first: &str, separator: char) -> Option<(&'static str, &'static str)> {
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
        .split(separator)
        .map(|name| {
            let name = name.trim().trim_matches('"').to_ascii_lowercase();
            name.chars().filter(|letter| *letter != ' ').collect()
        })
        .collect();
    let has = |wanted: &&str| names.iter().any(|name| name == wanted);
    if let Some(known) = KNOWN
        .iter()
        .find(|known| known.names.iter().all(|name| has(&name)))
    {
        return Some((known.what, CAPTURES));
    }
    is_kdd(&names).then_some((
        "a table of NSL-KDD or KDD Cup 1999 without a header",
        "its columns are not those of a schema here, and its captures were not kept with it; score captures, or a CSV with the columns of a schema",
    ))
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
