//! What other users of the machine, logs and terminals must not get to see.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Home, Server, packages_built, stderr, stdout};

const TOKEN: &str = "correct-horse-battery";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn data_is_its_owners_alone_and_what_was_not_is_corrected() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let data = home.path().join("data");
    let folder = data.to_str().unwrap();
    let store = data.join("netsage.sqlite");
    let server = Server::start(&home, &["--data-dir", folder]);
    assert_eq!((mode(&data), mode(&store)), (0o700, 0o600));
    assert!(!server.log.lock().unwrap().contains("owner's alone"));
    drop(server);
    for (path, open) in [(&data, 0o755), (&store, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(open)).unwrap();
    }
    let server = Server::start(&home, &["--data-dir", folder]);
    assert_eq!((mode(&data), mode(&store)), (0o700, 0o600));
    for what in [folder, store.to_str().unwrap()] {
        let log = server.log.lock().unwrap();
        let is_said = |line: &str| line.contains(what) && line.contains("its owner's alone now");
        assert!(log.lines().any(is_said), "{what}: {log}");
    }
}

#[test]
fn secrets_stand_in_files_and_no_list_of_processes() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let token = home.file("token", format!("{TOKEN}\n").as_bytes());
    let token = token.to_str().unwrap();
    let store = home.file("store", b"sqlite:elsewhere.sqlite\n");
    let server = Server::start(
        &home,
        &["--token-file", token, "--store-url-file", store.to_str().unwrap()],
    );
    assert_eq!(server.get("/api/v1/detectors").0, 401);
    assert!(home.path().join("elsewhere.sqlite").is_file());
    let process = format!("/proc/{}/cmdline", server.child().id());
    assert!(!fs::read_to_string(process).unwrap().contains(TOKEN));
    let list = ["detector", "list", "--url", &server.base];
    let listed = home.run(&[&list[..], &["--token-file", token]].concat());
    assert!(
        listed.status.success() && stdout(&listed).contains("iforest"),
        "{}",
        stderr(&listed)
    );
    let by_variable = home
        .command(&list)
        .env("NETSAGE_TOKEN_FILE", token)
        .output()
        .unwrap();
    assert!(by_variable.status.success(), "{}", stderr(&by_variable));
    // A flag wins over a variable that says the same in another way.
    let wrong = home
        .command(&[&list[..], &["--token", "wrong-horse-battery"]].concat())
        .env("NETSAGE_TOKEN_FILE", token)
        .output()
        .unwrap();
    assert!(stderr(&wrong).contains("(401)"), "{}", stderr(&wrong));
}

#[test]
fn a_misspelt_variable_is_told() {
    let home = Home::new();
    let told = home
        .command(&["run", "--pcap", "none.pcap"])
        .env("NETSAGE_TOKNE", "correct-horse")
        .output()
        .unwrap();
    let said = stderr(&told);
    assert!(
        said.contains("NETSAGE_TOKNE is no setting") && said.contains("NETSAGE_TOKEN?"),
        "{said}"
    );
    assert!(!said.contains("correct-horse"), "{said}");
}

#[test]
fn texts_of_others_reach_log_and_terminal_without_control_characters() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let watched = home.path().join("watched");
    fs::create_dir(&watched).unwrap();
    fs::write(watched.join("\u{1b}[2Jevil\n2026 forged.wasm"), b"no package").unwrap();
    let server = Server::start(&home, &["--detectors-dir", watched.to_str().unwrap()]);
    server.wait_for_log("not taken");
    let body = r#"{"by": "eve\u001b[2J", "why": "\u001b]0;title\u0007\u009b2J"}"#;
    let (status, info) = server.post("/api/v1/detectors/iforest/quarantine", body.as_bytes(), &[]);
    assert_eq!(status, 200, "{info}");
    let history = home.run(&["detector", "history", "--url", &server.base]);
    let shown = [
        stdout(&history),
        stderr(&history),
        server.log.lock().unwrap().clone(),
    ];
    for text in &shown {
        let is_fine = |character: char| !character.is_control() || character == '\n';
        assert!(text.chars().all(is_fine), "{text:?}");
    }
    assert!(shown[0].contains("]0;title"), "{}", shown[0]);
    assert!(
        !shown[2].lines().any(|line| line.starts_with("2026 forged")),
        "{}",
        shown[2]
    );
}

#[test]
fn calls_are_logged_where_that_is_asked_for() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &["--access-log"]);
    assert_eq!(server.get("/api/v1/alerts?limit=1").0, 200);
    server.wait_for_log("answered");
    let log = server.log.lock().unwrap();
    let line = log.lines().find(|line| line.contains("answered")).unwrap();
    for part in ["method=GET", "/api/v1/alerts", "peer=127.0.0.1", "status=200"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn more_files_may_be_open_than_the_shell_allows() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(20);
    let capture = capture.to_str().unwrap();
    let netsage = home.command(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--exit-when-done",
        "--pcap",
        capture,
    ]);
    let mut words = vec![netsage.get_program()];
    words.extend(netsage.get_args());
    let output = Command::new("sh")
        .args(["-c", "ulimit -Sn 300 && exec \"$@\"", "sh"])
        .args(words)
        .current_dir(home.path())
        .env("XDG_DATA_HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("descriptor limit raised from 300 to"),
        "{}",
        stderr(&output)
    );
}
