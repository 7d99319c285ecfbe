//! Records that go on coming, through the program: nothing is lost or doubled when the program is killed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Home, Server, packages_built, stderr, wait_for};

const HEADER: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";

/// Rotations of a log in the ordinary suite; `NETSAGE_TEST_ROTATIONS` asks for others.
const ROTATIONS: u64 = 6;

fn line(number: u64) -> String {
    format!(
        "{}.5\tC{number}\t192.0.2.{}\t{}\t198.51.100.9\t443\ttcp\tssl\t0.25\t517\t4000\tSF\t9\t989\t11\t4580\n",
        1_767_603_600 + number,
        number % 200,
        1_024 + number % 50_000
    )
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

fn flow(number: u64) -> String {
    format!(
        "{{\"start_us\":{0},\"end_us\":{0},\"source\":\"192.0.2.1\",\"destination\":\"198.51.100.9\",\"protocol\":\"udp\"}}\n",
        1_767_603_600_000_000 + number * 1_000
    )
}

fn write(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_followed_log_survives_rotations_and_kills() {
    if !packages_built() {
        return;
    }
    let rotations = std::env::var("NETSAGE_TEST_ROTATIONS").map_or(ROTATIONS, |given| given.parse().unwrap());
    let home = Home::new();
    let log = home.path().join("conn.log");
    write(&log, HEADER);
    let start = || Server::start(&home, &["--records", "conn.log", "--follow", "--lateness", "5s"]);
    let mut server = start();
    let mut written = 0;
    for round in 0..rotations {
        let step = [40, 900, 3, 2_500][round as usize % 4];
        for _ in 0..3 {
            write(&log, &lines(written..written + step));
            written += step;
        }
        if round % 3 != 1 {
            // Some of it is read, and stored as far as its turn has come.
            server.wait("a flow", |server| server.counter("flows") > 0);
            server.kill();
            write(&log, &line(written));
            written += 1;
        } else {
            server.kill_now();
        }
        let rotated = home.path().join(format!("conn.{round}.log"));
        fs::rename(&log, &rotated).unwrap();
        write(&log, HEADER);
        if round % 2 == 0 {
            let packed = Command::new("gzip").arg(&rotated).status().unwrap();
            assert!(packed.success());
        }
        server = start();
    }
    server.kill();
    let last = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--records",
        "conn.log",
        "--follow",
        "--exit-when-done",
    ]);
    assert!(last.status.success(), "{}", stderr(&last));
    let server = Server::start(&home, &[]);
    let flows = server.all("/api/v1/flows");
    assert_eq!(flows.len() as u64, written);
    server.kill();
    let again = home.run(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--records",
        "conn.log",
        "--follow",
        "--exit-when-done",
    ]);
    assert!(
        stderr(&again).lines().any(|line| line.starts_with("0 flows")),
        "everything is stored: {}",
        stderr(&again)
    );
}

#[test]
fn posted_records_survive_a_kill_between_the_answer_and_the_store() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    // Nothing is stored before the lateness is over.
    let server = Server::start(&home, &["--inbox", "4MiB", "--lateness", "1h"]);
    let body: String = (0..500).map(flow).collect::<String>() + "{\"start_us\": 1}\n";
    let (status, answer) = server.post("/api/v1/flows", body.as_bytes(), &[]);
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        (&answer["records"], &answer["refused"]),
        (&500.into(), &1.into()),
        "{answer}"
    );
    assert_eq!(answer["refusals"][0]["place"], "line 501", "{answer}");
    server.wait("the records", |server| server.counter("flows") == 0);
    assert_eq!(server.all("/api/v1/flows").len(), 0);
    server.kill_now();

    let server = Server::start(&home, &["--inbox", "4MiB", "--lateness", "1ms"]);
    server.wait("the flows", |server| server.all("/api/v1/flows").len() == 500);
    let inbox = home.path().join("netsage/inbox");
    wait_for("an empty inbox", || fs::read_dir(&inbox).unwrap().count() == 0);
    // A sender that repeats adds nothing.
    assert_eq!(server.post("/api/v1/flows", body.as_bytes(), &[]).0, 202);
    wait_for("an empty inbox", || fs::read_dir(&inbox).unwrap().count() == 0);
    assert_eq!(server.all("/api/v1/flows").len(), 500);
    let list = format!("[{}]", (500..520).map(flow).collect::<Vec<_>>().join(","));
    assert_eq!(
        server.post("/api/v1/flows?sensor=tap", list.as_bytes(), &[]).1["records"],
        20
    );
    server.wait("the flows of the sensor", |server| {
        server.all("/api/v1/flows?sensor=tap").len() == 20
    });
    // What ended before that.
    let list = format!("[{}]", flow(0).replace("192.0.2.1", "192.0.2.2"));
    assert_eq!(
        server.post("/api/v1/flows?network=one", list.as_bytes(), &[]).0,
        202
    );
    server.wait("the late flow", |server| {
        let found = server.all("/api/v1/flows?network=one");
        found.len() == 1 && found[0]["late"] == true
    });
    for (path, body, status) in [
        ("/api/v1/flows", "", 422),
        ("/api/v1/flows", "hello\n", 422),
        ("/api/v1/flows", "{\"start_us\": 1}\n", 422),
        ("/api/v1/flows?format=netflow", "{}", 400),
        ("/api/v1/flows?network=", "{}", 400),
    ] {
        let (found, answer) = server.post(path, body.as_bytes(), &[]);
        assert_eq!(found, status, "{path} {body}: {answer}");
    }
    server.kill();

    let server = Server::start(&home, &["--inbox", "1MiB", "--lateness", "1h"]);
    let body: String = (1_000..4_000).map(flow).collect();
    let answers: Vec<u16> = (0..4)
        .map(|_| server.post("/api/v1/flows", body.as_bytes(), &[]).0)
        .collect();
    assert_eq!((answers[0], answers[3]), (202, 503), "{answers:?}");
    server.kill();
    let server = Server::start(&home, &[]);
    let (status, answer) = server.post("/api/v1/flows", body.as_bytes(), &[]);
    assert_eq!(
        (status, &answer["type"]),
        (409, &"urn:netsage:problem:no-inbox".into()),
        "{answer}"
    );
}

#[test]
fn records_come_by_standard_input_and_files_of_a_pattern() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut child = home
        .command(&[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--records",
            "-",
            "--exit-when-done",
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = HEADER.to_owned() + &lines(0..300);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(stderr(&output).contains("300 flows"), "{}", stderr(&output));
    home.file("conn.1.log", (HEADER.to_owned() + &lines(0..200)).as_bytes());
    home.file("conn.2.log", (HEADER.to_owned() + &lines(150..400)).as_bytes());
    let arguments = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--records",
        "conn.*.log",
        "--exit-when-done",
    ];
    let output = home.run(&arguments);
    let said = stderr(&output);
    assert!(
        said.contains("400 flows") && said.contains("repeated: 50"),
        "{said}"
    );
    let output = home.run(&[&arguments[..], &["--records", "-"]].concat());
    assert!(
        stderr(&output).contains("whole files together with streams"),
        "{}",
        stderr(&output)
    );
}
