//! Captures written by others: each is scored, or ends with one clear sentence.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use netsage_capture::file::CaptureReader;

use super::support::{Home, Server, packages_built, stderr, stdout, wait_for};

fn captures(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/pcaps")
        .join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        eprintln!("skipped: {} is not there", root.display());
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
        })
        .map(|path| path.canonicalize().unwrap())
        .collect()
}

#[test]
fn every_capture_is_scored_or_refused_in_one_sentence() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    for path in captures("good").into_iter().chain(captures("malformed")) {
        let output = home.run(&["score", path.to_str().unwrap()]);
        let message = stderr(&output);
        match output.status.code() {
            Some(0) => assert!(stdout(&output).starts_with("stime,ltime,srcip,sport,dstip,dsport,iforest\n")),
            Some(1) => {
                assert_eq!(
                    message.trim_end().lines().count(),
                    1,
                    "{}: {message}",
                    path.display()
                );
                assert!(
                    message.contains("packet") || message.contains("capture"),
                    "{message}"
                );
            }
            other => panic!("{} ends with {other:?}: {message}", path.display()),
        }
        assert!(!message.contains("panicked"), "{}: {message}", path.display());
    }
}

#[test]
fn every_good_capture_gives_flows() {
    let home = Home::new();
    for path in captures("good") {
        let output = home.run(&["flows", path.to_str().unwrap()]);
        let (flows, message) = (stdout(&output), stderr(&output));
        assert!(flows.starts_with("stime,ltime,srcip,sport,dstip,dsport,"));
        // Some hold nothing but packets that are neither IP nor ARP.
        let expected = match flows.lines().count() {
            1 if message.contains("nothing could be used") => 1,
            _ => 0,
        };
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{}: {message}",
            path.display()
        );
    }
}

#[test]
fn flows_and_score_agree() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let flows = home.run(&["flows", capture.to_str().unwrap()]);
    assert!(flows.status.success(), "{}", stderr(&flows));
    home.file("flows.csv", &flows.stdout);
    let scores = |file: &str| {
        let output = home.run(&["score", file, "--detector", "iforest-generated"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let scores: Vec<String> = stdout(&output)
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().to_owned())
            .collect();
        scores
    };
    let direct = scores(capture.to_str().unwrap());
    assert!(direct.len() > 1_000);
    assert_eq!(
        direct,
        scores("flows.csv"),
        "features survive the way through text to the last bit"
    );
}

#[test]
fn what_was_counted_is_told_on_request() {
    let home = Home::new();
    let capture = home.capture(200);
    let file = capture.to_str().unwrap();
    let quiet = home.run(&["flows", file]);
    assert_eq!(stderr(&quiet), "");
    let told = home.run(&["flows", file, "--stats"]);
    assert_eq!(stdout(&told), stdout(&quiet));
    assert!(
        stderr(&told).contains("\npackets not metered "),
        "{}",
        stderr(&told)
    );
    let told = home.run(&["flows", file, "--stats", "--format", "jsonl"]);
    let counted: serde_json::Value = serde_json::from_str(&stderr(&told)).unwrap();
    let rows = stdout(&told).lines().count();
    assert_eq!(counted["records"].as_u64(), u64::try_from(rows).ok());
    assert_eq!(counted["packets"], counted["packets_metered"]);
}

#[cfg(unix)]
#[test]
fn a_capture_by_a_socket_is_metered_though_its_sender_falls_silent() {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::process::Stdio;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    if !packages_built() {
        return;
    }
    let home = Home::new();
    let bytes = std::fs::read(home.capture(2_000)).unwrap();
    // It ends in the middle of a packet.
    let half = &bytes[..bytes.len() / 2];
    let mut reader = CaptureReader::new(half).unwrap();
    while let Ok(Some(_)) = reader.next_packet() {}
    let file = home.file("half.pcap", half);
    let rows = home.run(&["flows", file.to_str().unwrap()]);
    let flows = stdout(&rows).lines().count() - 1;

    let child = home
        .command(&["run", "--listen", "127.0.0.1:0", "--pcap", "unix:packets.sock"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = home.path().join("packets.sock");
    let connected = OnceCell::new();
    wait_for("the socket", || {
        UnixStream::connect(&socket).is_ok_and(|connection| connected.set(connection).is_ok())
    });
    let mut sender = connected.into_inner().unwrap();
    sender.write_all(half).unwrap();
    let mut server = Server::of(child);
    server.wait("the packets", |server| {
        server.counter("packets") == reader.packets_read()
    });
    let id = Pid::from_raw(i32::try_from(server.child().id()).unwrap());
    kill(id, Signal::SIGINT).unwrap();
    assert_eq!(server.wait_for_end(), Some(0), "{}", server.log.lock().unwrap());
    server.wait_for_log(&format!("{flows} scored, 0 failed, 0 dropped"));
    drop(sender);
}
