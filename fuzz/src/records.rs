//! Formats of records: what holds of any bytes, and the inputs to start from.
//!
//! The first byte of an input says in what pieces the others arrive.

use netsage_records::formats::flow_json::write;
use netsage_records::formats::{Format, Items, Options, Reader, recognise};

/// Checks the reader of the project's own JSON.
pub fn flow_json(data: &[u8]) {
    check(Format::FlowJson, data);
}

/// Checks the reader of Zeek's logs.
pub fn zeek(data: &[u8]) {
    check(Format::Zeek, data);
}

/// Checks the reader of Suricata's events.
pub fn suricata(data: &[u8]) {
    check(Format::Suricata, data);
}

/// Checks the reader of what `ra` prints.
pub fn argus(data: &[u8]) {
    check(Format::Argus, data);
}

/// Reads bytes at once, in pieces, and by a reader that goes on in their middle: the same records, and each item counted
/// once. A record that is written is read as the same.
fn check(format: Format, data: &[u8]) {
    let Some((&pieces, bytes)) = data.split_first() else {
        return;
    };
    let _ = recognise(bytes);
    let (whole, reader) = read(format, bytes, bytes.len().max(1));
    let counts = reader.counts();
    assert_eq!(counts.items(), reader.items());
    assert_eq!(counts.records, whole.records.len() as u64);
    assert_eq!(counts.refused.total(), whole.refused.len() as u64);

    let (in_pieces, reader_of_pieces) = read(format, bytes, usize::from(pieces) + 1);
    assert_eq!(in_pieces.records, whole.records);
    assert_eq!(in_pieces.refused, whole.refused);
    assert_eq!(reader_of_pieces.counts(), counts);

    let middle = bytes.len() / 2;
    let mut first = new(format);
    let mut resumed = Items::default();
    let used = first.read(&bytes[..middle], false, &mut resumed);
    let mut second = new(format);
    second.resume(&first.header(), first.items());
    second.read(&bytes[used..], true, &mut resumed);
    assert_eq!(resumed.records, whole.records);

    let mut json = Vec::new();
    for record in &whole.records {
        assert!(0 <= record.start_us && record.start_us <= record.end_us);
        write(record, &mut json).expect("memory takes what is written");
        json.push(b'\n');
    }
    let (again, _) = read(Format::FlowJson, &json, json.len().max(1));
    assert_eq!(again.records, whole.records);
}

fn new(format: Format) -> Reader {
    Reader::new(format, &Options::default())
}

fn read(format: Format, bytes: &[u8], piece: usize) -> (Items, Reader) {
    let mut reader = new(format);
    let mut items = Items::default();
    let (mut used, mut given) = (0, 0);
    while used < bytes.len() {
        given = (given + piece).min(bytes.len());
        let is_last = given == bytes.len();
        used += reader.read(&bytes[used..given], is_last, &mut items);
        assert!(used <= given && (!is_last || used == given));
    }
    (items, reader)
}

/// Inputs to start from, by target: every form in which a format comes, with what is read, passed over and refused.
pub fn inputs() -> [(&'static str, Vec<Vec<u8>>); 5] {
    let in_pieces = |texts: &[String]| {
        let input = |(number, text): (u8, &String)| [&[number * 37], text.as_bytes()].concat();
        (0..).zip(texts).map(input).collect()
    };
    [
        ("flow-json", in_pieces(&own_flows())),
        ("zeek", in_pieces(&zeek_logs())),
        ("suricata", in_pieces(&suricata_events())),
        ("argus", in_pieces(&argus_rows())),
        ("netflow", crate::netflow::inputs()),
    ]
}

fn own_flows() -> Vec<String> {
    let least = r#"{"start_us":1,"end_us":2,"source":"::1","destination":"::2","protocol":58}"#;
    let full = r#"{"start_us":1767603600000125,"end_us":1767603600200000,"source":"192.0.2.7","source_port":51514,"destination":"198.51.100.9","destination_port":443,"protocol":"tcp","service":"ssl","state":"closed","source_packets":12,"destination_packets":15,"source_bytes":1822,"destination_bytes":9133,"bytes_of":"link","source_payload":1100,"destination_payload":8200,"sampling":64,"sensor":"hq-1","network":"\u0061 \"x\"","uid":"CHLX"}"#;
    let own = r#"{"start_us":1,"end_us":2.0,"source":"10.0.0.1","destination":"10.0.0.2","protocol":17,"own_id":"00112233445566778899aabbccddeeff","more":[{"a":"}"}]}"#;
    vec![
        format!("{full}\n"),
        format!("{least}\r\n\n{own}\n{{}}\n"),
        format!("[{least}, {own},\n7,\"x\",{{\n  \"start_us\": 1\n}}]\n[{full}]"),
        format!(
            "\u{feff}{}",
            least
                .replace(',', ",\n  ")
                .replace('{', "{\n")
                .replace('}', "\n}\n")
        ),
    ]
}

fn zeek_logs() -> Vec<String> {
    let header = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t2022-06-17-00-00-07\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\tip_proto\n#types\ttime\n";
    let rows = "1655071198.444458\tCHLX\t192.0.2.1\t62771\t192.0.2.2\t443\ttcp\tssl\t1.135424\t900\t1100\tSF\t14\t1016\t16\t1226\t6\n19.9\tC\\x2d\tfe80::1\t128\tff02::fb\t129\ticmp\t-\t-\t-\t-\tOTH\t1\t87\t0\t0\t-\n1\tC\t192.0.2.1\t0\t192.0.2.2\t0\tunknown_transport\t-\t-\t-\t-\tOTH\t1\t1\t0\t0\t-\n#close\t2022\n";
    let json = r#"{"ts":1700828217.314165,"uid":"CfykLO","id.orig_h":"192.0.2.9","id.orig_p":50820,"id.resp_h":"192.0.2.5","id.resp_p":443,"proto":"tcp","service":"-http,ssl","duration":2.0696377754211426e-1,"conn_state":"REJ","orig_pkts":1,"orig_ip_bytes":60,"resp_pkts":1,"resp_ip_bytes":40}"#;
    let others = r#"{"_path":"dns","ts":1.5}
{"dns":{"ts":1.5}}
{"ts":"2022-06-12T21:59:58.444458Z","id_orig_h":"::1"}
"#;
    vec![
        format!("{header}{rows}"),
        format!(
            "\t{}",
            format!("{header}{rows}")
                .replace("\\x09", "\\x3a:")
                .replace('\t', "::")
        ),
        format!(
            "#path\tdns\n#fields\tts\tquery\n1.0\ta\n#path\tconn\n#fields\tts\t\tid_orig_h\n1.0\n{header}{rows}"
        ),
        format!("{json}\n{others}"),
        format!("[{json},{{\"conn\":{json}}}]\n"),
    ]
}

fn suricata_events() -> Vec<String> {
    let tcp = r#"{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":2232403389523415,"event_type":"flow","src_ip":"192.0.2.56","src_port":48938,"dest_ip":"192.0.2.129","dest_port":445,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":2,"pkts_toclient":2,"bytes_toserver":120,"bytes_toclient":120,"start":"2021-06-06T17:34:31.140759+0200","end":"2021-06-06T17:34:31.141012-03:30","state":"closed"},"tcp":{"tcp_flags_ts":"02","tcp_flags_tc":"14"}}"#;
    let icmp = r#"{"event_type":"flow","src_ip":"2001:db8::1","dest_ip":"2001:db8::2","proto":"IPv6-ICMP","icmp_type":128,"icmp_code":0,"flow":{"start":"2021-06-06T17:34:31Z","end":"2021-06-06T17:34:31Z","state":"new"}}"#;
    let others = "{\"event_type\":\"alert\",\"flow\":{}}\n{\"event_type\":\"flow\"}\n{\"event_type\"\n";
    vec![
        format!("{tcp}\n{icmp}\n{others}"),
        format!("[{tcp},{icmp}]"),
        tcp.replace("\"02\"", "\"00\"").replace("\"14\"", "\"00\""),
    ]
}

fn argus_rows() -> Vec<String> {
    let header = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n";
    let rows = "2019/04/04 16:23:00.325010,0.027947,udp,192.0.2.69,48427,  <->,192.0.2.8,53,CON,0,0,2,142,63,1,\n2019/04/04 16:23:00.355768,129.927856,tcp,192.0.2.69,48009,   ->,192.0.2.2,https,SPA_SRPA,0,164,26,5723,1621,13,\n1.5,1,icmp,192.0.2.1,0x0303,->,192.0.2.2,0x7b00,URP,0,,1,60,60,1,\n1,1,arp,,,,,,,,,,,,,\n16:23:00,1,udp,192.0.2.1,1,->,192.0.2.2,1,INT,0,,1,60,60,1,\n";
    let asked = "stime,ltime,proto,saddr,sport,daddr,dport,state,spkts,dpkts,sbytes,dbytes\n1389719041.819644,1389719045.119060,tcp,::1,55079,::2,80,S_RA,1,1,74,54\n";
    vec![
        format!("{header}{rows}"),
        format!("{header}{rows}{header}").replace(',', "\t"),
        format!("{asked}{header}{rows}"),
        "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,State\n17:04:01,e,tcp,::1,1,->,::1,2,3,4,CON\n".to_owned(),
    ]
}
