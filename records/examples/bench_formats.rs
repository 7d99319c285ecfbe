//! Time of reading records, for each format, from memory. Prints one JSON object.
//!
//! The records are of one shape with numbers that differ. The best of several rounds counts: what else the machine does
//! only makes one slower.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fmt::Write as _;
use std::time::Instant;

use netsage_records::formats::{Format, Items, Options, Reader, flow_json};

const RECORDS: usize = 20_000;
const ROUNDS: usize = 12;
/// What a transport reads at once, bytes.
const PIECE: usize = 256 << 10;

fn main() {
    let zeek_json = lines("", |line| {
        let (seconds, port) = (1_655_071_198 + line / 10, 1_024 + line % 60_000);
        format!(
            r#"{{"ts":{seconds}.{line:06},"uid":"CAAAAF2OBB4o{line}","id.orig_h":"192.0.2.167","id.orig_p":{port},"id.resp_h":"198.51.100.123","id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.1354{line},"orig_bytes":1596,"resp_bytes":4039,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADdaFf","orig_pkts":14,"orig_ip_bytes":2016,"resp_pkts":16,"resp_ip_bytes":5226}}"#
        )
    });
    let zeek_tsv = lines(
        "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n",
        |line| {
            let (seconds, port) = (1_655_071_198 + line / 10, 1_024 + line % 60_000);
            format!(
                "{seconds}.{line:06}\tCAAAAF2OBB4o{line}\t192.0.2.167\t{port}\t198.51.100.123\t443\ttcp\tssl\t1.135424\t1596\t4039\tSF\tT\tF\t0\tShADdaFf\t14\t2016\t16\t5226\t(empty)"
            )
        },
    );
    let suricata = lines("", |line| {
        let port = 1_024 + line % 60_000;
        format!(
            r#"{{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":2232403389{line},"event_type":"flow","src_ip":"192.0.2.56","src_port":{port},"dest_ip":"198.51.100.129","dest_port":445,"proto":"TCP","flow":{{"pkts_toserver":2,"pkts_toclient":2,"bytes_toserver":120,"bytes_toclient":120,"start":"2021-06-06T17:34:31.{line:06}+0200","end":"2021-06-06T17:34:32.141012+0200","age":0,"state":"closed","reason":"timeout","alerted":false}},"tcp":{{"tcp_flags":"16","tcp_flags_ts":"02","tcp_flags_tc":"14","syn":true,"rst":true,"ack":true,"state":"closed"}},"host":"sensor"}}"#
        )
    });
    let argus = lines(
        "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n",
        |line| {
            let port = 1_024 + line % 60_000;
            format!(
                "2019/04/04 16:23:00.{line:06},129.927856,tcp,192.0.2.69,{port},   ->,198.51.100.2,443,SPA_SRPA,0,164,26,5723,1621,13,"
            )
        },
    );
    let own = own_json(&zeek_tsv);
    let figures = [
        ("flow_json", Format::FlowJson, &own),
        ("zeek_json", Format::Zeek, &zeek_json),
        ("zeek_tsv", Format::Zeek, &zeek_tsv),
        ("suricata", Format::Suricata, &suricata),
        ("argus", Format::Argus, &argus),
    ]
    .map(|(name, format, text)| format!("\"{name}_records_per_s\":{:.0}", best(format, text)));
    println!(
        "{{\"bench\":\"formats\",\"records\":{RECORDS},{}}}",
        figures.join(",")
    );
}

fn lines(header: &str, line: impl Fn(usize) -> String) -> String {
    (0..RECORDS).fold(header.to_owned(), |mut text, number| {
        let _ = writeln!(text, "{}", line(number));
        text
    })
}

/// The records of a log in the project's own JSON.
fn own_json(log: &str) -> String {
    let mut items = Items::default();
    Reader::new(Format::Zeek, &Options::default()).read(log.as_bytes(), true, &mut items);
    let mut json = Vec::new();
    for record in &items.records {
        flow_json::write(record, &mut json).expect("memory takes what is written");
        json.push(b'\n');
    }
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Records a second in the best round.
fn best(format: Format, text: &str) -> f64 {
    let bytes = text.as_bytes();
    let mut items = Items::default();
    let round = |_| {
        let mut reader = Reader::new(format, &Options::default());
        let started = Instant::now();
        let mut used = 0;
        while used < bytes.len() {
            let end = (used + PIECE).min(bytes.len());
            used += reader.read(&bytes[used..end], end == bytes.len(), &mut items);
            items.clear();
        }
        let took = started.elapsed().as_secs_f64();
        assert_eq!(
            reader.counts().records,
            RECORDS as u64,
            "{format}: {}",
            reader.counts()
        );
        RECORDS as f64 / took
    };
    (0..ROUNDS).map(round).fold(0.0, f64::max)
}
