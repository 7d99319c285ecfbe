//! Which format bytes are in, by their first line or message.

use memchr::memmem;

use super::Format;

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// A format that is read.
    Format(Format),
    /// Records that are known and not read.
    Other {
        /// What they are, with an article.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Nothing that is known here.
    Unknown,
}

/// Members by which an object in JSON is known, most telling first. A quote within a string is escaped, so no value looks
/// like the name of a member.
#[rustfmt::skip]
const MEMBERS: [(&[u8], Format); 10] = [
    (b"\"start_us\"", Format::FlowJson),
    (b"\"event_type\"", Format::Suricata),
    (b"\"id.orig_h\"", Format::Zeek),
    (b"\"id_orig_h\"", Format::Zeek),
    (b"\"_path\"", Format::Zeek),
    (b"\"conn_state\"", Format::Zeek),
    (b"\"conn\"", Format::Zeek),
    (b"\"ts\"", Format::Zeek),
    (b"\"pcap_cnt\"", Format::Suricata),
    (b"\"end_us\"", Format::FlowJson),
];

const AS_FLOW_JSON: &str = "write its flows as JSON, whose members `docs/sources/flow-json.md` lists";

struct Known {
    /// What the first line has, in small letters.
    words: &'static [&'static str],
    what: &'static str,
    advice: &'static str,
}

const fn known(words: &'static [&'static str], what: &'static str, advice: &'static str) -> Known {
    Known { words, what, advice }
}

/// Other records of flows, by words of their first line.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(&["starttime", "srcaddr", "dstaddr"], "output of `ra` in columns of fixed width", super::argus::ADVICE),
    known(&["ts", "id.orig_h", "id.resp_h"], "a Zeek log without its line `#fields`", "give the log as Zeek writes it"),
    known(&["ts,te,td,sa,da"], "a table of nfdump", AS_FLOW_JSON),
    known(&["firstseen", "lastseen", "src4addr"], "a table of nfdump", AS_FLOW_JSON),
    known(&["date first seen", "duration"], "output of nfdump", AS_FLOW_JSON),
    known(&["version", "account-id", "interface-id", "srcaddr"], "a flow log of a cloud (VPC)", AS_FLOW_JSON),
    known(&["flow id", "src ip", "dst ip"], "a table of CICFlowMeter", AS_FLOW_JSON),
    known(&["src_ip", "src_port", "dst_ip", "start_time", "tag"], "a table of pmacct", AS_FLOW_JSON),
];

/// Members of JSON by which other records of flows are known.
#[rustfmt::skip]
const OTHER_MEMBERS: &[(&[u8], &str, &str)] = &[
    (b"\"flowStartMilliseconds\"", "flows of yaf in JSON", AS_FLOW_JSON),
    (b"\"first_switched\"", "flows of NetFlow in JSON", AS_FLOW_JSON),
    (b"\"time_flow_start_ns\"", "flows of goflow2 in JSON", AS_FLOW_JSON),
    (b"\"TimeFlowStart\"", "flows of goflow2 in JSON", AS_FLOW_JSON),
    (b"\"ip_src\"", "flows of pmacct in JSON", AS_FLOW_JSON),
    (b"\"src4_addr\"", "flows of nfdump in JSON", AS_FLOW_JSON),
    (b"\"network.transport\"", "flows in the Elastic Common Schema", AS_FLOW_JSON),
];

/// What `head` is: the first line or message, or as much of it as there is; 4 KiB tell nearly everything.
pub fn recognise(head: &[u8]) -> Recognised {
    let start = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if start.starts_with(b"{") || start.starts_with(b"[") {
        return of_json(start);
    }
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if ["#separator", "#fields", "#set_separator", "#path"]
        .iter()
        .any(|name| line.starts_with(name.as_bytes()))
    {
        return Recognised::Format(Format::Zeek);
    }
    if super::argus::is_header(line) {
        return Recognised::Format(Format::Argus);
    }
    // Names of columns are short; the rest of a long line tells nothing more.
    let names = String::from_utf8_lossy(line.get(..4_096).unwrap_or(line)).to_ascii_lowercase();
    let found = KNOWN
        .iter()
        .find(|known| known.words.iter().all(|word| names.contains(word)));
    found.map_or(Recognised::Unknown, |known| Recognised::Other {
        what: known.what,
        advice: known.advice,
    })
}

fn of_json(json: &[u8]) -> Recognised {
    let has = |member: &[u8]| memmem::find(json, member).is_some();
    if let Some((_, what, advice)) = OTHER_MEMBERS.iter().find(|(member, ..)| has(member)) {
        return Recognised::Other { what, advice };
    }
    let format = MEMBERS.iter().find(|(member, _)| has(member));
    format.map_or(Recognised::Unknown, |(_, format)| Recognised::Format(*format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_line() {
        let check = |head: &str, expected: Option<Format>| {
            let found = match recognise(head.as_bytes()) {
                Recognised::Format(format) => Some(format),
                _ => None,
            };
            assert_eq!(found, expected, "{head}");
        };
        check("id,dur,proto,service,state,spkts,dpkts,sbytes,dbytes", None);
        check("{\"start_us\": 1, \"end_us\": 2", Some(Format::FlowJson));
        check(
            "\u{feff}[\n {\n \"source\": \"192.0.2.1\", \"start_us\": 1",
            Some(Format::FlowJson),
        );
        check("#separator \\x09\n#fields\tts", Some(Format::Zeek));
        check("\t#separator \\x09\n", Some(Format::Zeek));
        check("#fields\tts\tuid", Some(Format::Zeek));
        check(
            "{\"ts\":1.5,\"uid\":\"C1\",\"id.orig_h\":\"192.0.2.1\"",
            Some(Format::Zeek),
        );
        check("{\"conn\": {\"ts\":1.5,", Some(Format::Zeek));
        check("{\"_path\":\"conn\"", Some(Format::Zeek));
        check(
            "{\"timestamp\":\"2021-06-06T15:59:46.457984+0200\",\"event_type\":\"alert\"",
            Some(Format::Suricata),
        );
        check(
            "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State\n",
            Some(Format::Argus),
        );
        check(
            "StartTime\tDur\tProto\tSrcAddr\tSport\tDir\tDstAddr\tDport\tState\n",
            Some(Format::Argus),
        );
        for other in [
            "",
            "{}",
            "[]",
            "hello",
            "srcip,sport,dstip,dsport",
            "{\"payload\":\"\\\"event_type\\\"\"}",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn other_records_are_named() {
        let check = |head: &str, expected: &str| match recognise(head.as_bytes()) {
            Recognised::Other { what, advice } => {
                assert_eq!(what, expected);
                assert!(!advice.is_empty());
            }
            found => panic!("{head} is taken for {found:?}"),
        };
        check(
            "         StartTime      Flgs  Proto            SrcAddr  Sport   Dir            DstAddr  Dport  TotPkts",
            "output of `ra` in columns of fixed width",
        );
        check(
            "ts,uid,id.orig_h,id.orig_p,id.resp_h",
            "a Zeek log without its line `#fields`",
        );
        check("ts,te,td,sa,da,sp,dp,pr,flg", "a table of nfdump");
        check(
            "{\"event_type\":\"purge\",\"ip_src\":\"192.0.2.1\"}",
            "flows of pmacct in JSON",
        );
    }
}
