//! Each kind of bad input: the sentence it gives and the exit status.

use super::support::{Home, packages_built, stderr, stdout};

const HEADER: &str = "dur,proto,service,state,spkts,dpkts,sbytes,dbytes,rate,sttl,dttl,sload,dload,sloss,dloss,sinpkt,dinpkt,sjit,djit,swin,stcpb,dtcpb,dwin,tcprtt,synack,ackdat,smean,dmean,trans_depth,response_body_len,ct_srv_src,ct_state_ttl,ct_dst_ltm,ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,is_ftp_login,ct_ftp_cmd,ct_flw_http_mthd,ct_src_ltm,ct_srv_dst,is_sm_ips_ports";

fn row(proto: &str, dur: &str) -> String {
    let zeros = ["0"; 38].join(",");
    format!("{dur},{proto},-,CON,{zeros}")
}

#[test]
fn a_file_that_does_not_fit_gives_one_sentence() {
    let home = Home::new();
    let csv = |first: &str, rows: &[String]| format!("{first}\n{}\n", rows.join("\n")).into_bytes();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "empty: the file is empty"),
        ("binary", vec![0, 1, 2, 3, 250, 251], "binary: neither a capture"),
        (
            "cut.pcap",
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0],
            "cut.pcap: the capture is truncated inside its file header",
        ),
        (
            "missing.csv",
            csv(&HEADER.replace(",rate", ""), &[]),
            "line 1: 1 column of schema unsw-nb15 missing from the header: `rate`",
        ),
        (
            "renamed.csv",
            csv(&HEADER.replace("swin", "swim"), &[]),
            "did you mean `swin`?",
        ),
        ("other.csv", b"a,b,c\n1,2,3\n".to_vec(), "missing from the header"),
    ];
    for (name, content, expected) in cases {
        home.file(name, &content);
        let output = home.run(&["score", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let message = stderr(&output);
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{name}: {message}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn wrong_usage_has_status_2() {
    let home = Home::new();
    home.file("bad.toml", b"worker = 3\n");
    let cases: [(&[&str], &str); 8] = [
        (&["score"], "<FILE>"),
        (&["flows", "x.pcap", "--schema", "kdd99"], "unsw-nb15"),
        (&["run", "--listen", "0.0.0.0:0"], "without a token"),
        (&["run", "--pcap", "a", "--interface", "b"], "not both"),
        (&["run", "--workers", "0"], "not between 1 and 256"),
        (&["--config", "bad.toml", "flows", "x"], "unknown field `worker`"),
        (
            &["--config", "absent.toml", "flows", "x"],
            "cannot read the settings file absent.toml",
        ),
        (&["--log", "=!", "flows", "x"], "log filter"),
    ];
    for (arguments, expected) in cases {
        let output = home.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(expected),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn what_is_not_there_has_status_1() {
    let home = Home::new();
    home.file("text.wasm", b"hello");
    let cases: [(&[&str], &str); 6] = [
        (&["score", "absent.pcap"], "absent.pcap: cannot open the file"),
        (&["flows", "absent.pcap"], "absent.pcap: cannot open the file"),
        (
            &["detector", "inspect", "absent.wasm"],
            "cannot read the detector package absent.wasm",
        ),
        (&["detector", "inspect", "text.wasm"], "not WebAssembly"),
        (
            &["detector", "list", "--url", "http://127.0.0.1:9"],
            "is `netsage run` running there?",
        ),
        (
            &["synth", "--out", "no/such/folder.pcap"],
            "cannot write no/such/folder.pcap",
        ),
    ];
    for (arguments, expected) in cases {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            stderr(&output).contains(expected),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn bad_rows_are_named_and_the_others_scored() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut rows = vec![
        row("tcp", "1"),
        row("tpc", "1"),
        row("tcp", "abc"),
        "1,2".to_owned(),
        row("udp", "2"),
    ];
    rows.extend((0..12).map(|_| row("tcp", "-1")));
    home.file("rows.csv", format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes());
    let output = home.run(&["score", "rows.csv"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{message}");
    for expected in [
        "rows.csv: line 3, column `proto`: `tpc` is not a term of unsw-nb15/proto@1; did you mean `tcp`?",
        "rows.csv: line 4, column `dur`: `abc` is not a number",
        "rows.csv: line 5: 2 fields where the header names 42 columns",
        "15 of 17 rows could not be read (11 more than shown",
    ] {
        assert!(message.contains(expected), "{message}");
    }
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].starts_with("1,") && lines[2].starts_with("5,"),
        "{lines:?}"
    );
}

#[test]
fn two_detectors_of_one_name_are_refused() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let output = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--detector",
        "iforest-unsw-nb15,iforest-generated",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("iforest-generated: a detector called `iforest` was named before it"),
        "{message}"
    );
}

#[test]
fn a_port_that_is_taken_names_the_flag() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = home.run(&["run", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`--listen`"), "{}", stderr(&output));
}
