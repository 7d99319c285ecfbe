//! The life of detectors as users meet it: the same by API and command line, refused where it must be.

use std::path::{Path, PathBuf};

use netsage_gateway::assets::{IFOREST_GENERATED, IFOREST_UNSW_NB15};
use netsage_gateway::catalog::read_package;
use serde_json::{Value, json};

use super::support::{Home, Server, packages_built, stderr, stdout};

const JSON: (&str, &str) = ("content-type", "application/json");

fn digest_of(bundled: &str) -> String {
    read_package(bundled).unwrap().digest().to_string()
}

/// A package of the bundled forest with another threshold, and so with another digest.
fn variant(home: &Home, threshold: f64) -> PathBuf {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/artifacts");
    let card = std::fs::read(artifacts.join("iforest-generated.card.json")).unwrap();
    let mut card: Value = serde_json::from_slice(&card).unwrap();
    card["threshold"] = threshold.into();
    let card = home.file("variant.card.json", card.to_string().as_bytes());
    let package = home.path().join(format!("variant-{threshold}.wasm"));
    let artifact = artifacts.join("iforest-generated.artifact");
    let output = home.run(&[
        "detector",
        "pack",
        "--artifact",
        artifact.to_str().unwrap(),
        "--card",
        card.to_str().unwrap(),
        "--out",
        package.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    package
}

/// What the history says of a package, oldest first: step, stages, who and why.
fn told(server: &Server, digest: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/detectors/history?digest={digest}&limit=500"));
    assert_eq!(status, 200, "{page}");
    let entries = page["items"].as_array().unwrap().iter().rev();
    entries
        .map(|entry| {
            json!([
                entry["step"],
                entry["from"],
                entry["to"],
                entry["by"],
                entry["why"],
                entry["name"]
            ])
        })
        .collect()
}

/// A life with every step: step, share, why.
const LIFE: [(&str, Option<&str>, &str); 13] = [
    ("warm", None, "make it ready"),
    ("shadow", Some("0.5"), "see what it says"),
    ("warm", None, "seen enough"),
    ("shadow", None, "see more"),
    ("canary", Some("0.25"), "a quarter of the flows"),
    ("rollback", None, "too loud"),
    ("canary", None, "once more"),
    ("promote", None, "it is good"),
    ("rollback", None, "it is not"),
    ("canary", None, "from retirement"),
    ("quarantine", None, "somebody said so"),
    ("release", None, "somebody was wrong"),
    ("check", None, "look again"),
];

#[test]
fn api_and_command_line_do_the_same() {
    if !packages_built() {
        return;
    }
    let digest = digest_of(IFOREST_UNSW_NB15);
    let (by_api, by_command) = (Home::new(), Home::new());
    let api = Server::start(&by_api, &[]);
    let command = Server::start(&by_command, &[]);
    for (step, share, why) in LIFE {
        let mut body = json!({"by": "ada", "why": why});
        if let Some(share) = share {
            body["share"] = share.parse::<f64>().unwrap().into();
        }
        let path = format!("/api/v1/detectors/{digest}/{step}");
        let (status, answer) = api.post(&path, body.to_string().as_bytes(), &[JSON]);
        assert_eq!(status, 200, "{step}: {answer}");

        let mut arguments = vec![
            "detector",
            step,
            &digest[..8],
            "--by",
            "ada",
            "--why",
            why,
            "--json",
        ];
        arguments.extend(["--url", &command.base]);
        arguments.extend(share.iter().flat_map(|share| ["--share", *share]));
        let output = by_command.run(&arguments);
        assert!(output.status.success(), "{step}: {}", stderr(&output));
        let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
        for field in [
            "stage",
            "next",
            "share",
            "why",
            "detector",
            "previous",
            "on_failure",
            "threshold",
        ] {
            assert_eq!(printed[field], answer[field], "{step}: {field}");
        }
        assert_eq!(answer["why"], why);
    }
    assert_eq!(told(&api, &digest), told(&command, &digest));
    let others = digest_of(IFOREST_GENERATED);
    assert_eq!(told(&api, &others), told(&command, &others));
}

#[test]
fn a_name_stands_for_its_canary_or_its_active_package() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &["--canary-share", "0.2"]);
    let (active, other) = (digest_of(IFOREST_GENERATED), digest_of(IFOREST_UNSW_NB15));
    let post = |path: &str| {
        let (status, answer) = server.post(&format!("/api/v1/detectors/{path}"), b"", &[]);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let name = server.get(&format!("/api/v1/detectors/{active}")).1["detector"]["name"].clone();
    let name = name.as_str().unwrap();
    // Its name is known once it was checked, which happens in the background.
    server.wait("the check of the other package", |server| {
        server.get(&format!("/api/v1/detectors/{other}")).1["stage"] == "checked"
    });
    post(&format!("{other}/warm"));
    let canary = post(&format!("{other}/canary"));
    assert_eq!(
        (&canary["share"], &canary["stage"]),
        (&json!(0.2), &json!("canary"))
    );
    let promoted = post(&format!("{name}/promote"));
    assert_eq!(promoted["detector"]["digest"], other);
    assert_eq!(promoted["previous"]["digest"], active);
    assert!(promoted["detector"]["generation"].as_u64() > canary["detector"]["generation"].as_u64());
    post(&format!("{name}/rollback"));
    let (_, back) = server.get(&format!("/api/v1/detectors/{active}"));
    assert_eq!(back["stage"], "active");
}

#[test]
fn what_cannot_be_done_says_what_can() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (active, other) = (digest_of(IFOREST_GENERATED), digest_of(IFOREST_UNSW_NB15));
    let check = |package: &str, step: &str, body: &str, status: u16, kind: &str, words: &[&str]| {
        let path = format!("/api/v1/detectors/{package}/{step}");
        let (found, problem) = server.post(&path, body.as_bytes(), &[JSON]);
        assert_eq!(found, status, "{path}: {problem}");
        assert_eq!(problem["type"], format!("urn:netsage:problem:{kind}"));
        for word in words {
            assert!(
                problem["detail"].as_str().unwrap().contains(word),
                "{path}: {problem}"
            );
        }
    };
    check(
        &other,
        "promote",
        "",
        409,
        "step-not-possible",
        &["checked", "warm", "quarantine"],
    );
    check(
        &active,
        "shadow",
        "",
        409,
        "step-not-possible",
        &["active", "retire", "quarantine"],
    );
    check(
        &active,
        "rollback",
        "",
        409,
        "step-not-possible",
        &["none to go back to"],
    );
    check(
        &"0".repeat(64),
        "warm",
        "",
        404,
        "not-found",
        &["no detector package"],
    );
    check(
        &active[..7],
        "retire",
        "",
        404,
        "not-found",
        &["no detector package"],
    );
    check(
        &active,
        "dance",
        "",
        404,
        "not-found",
        &["no step `dance`", "promote"],
    );
    check(&active, "stage", "", 404, "not-found", &["no step `stage`"]);
    check(&other, "warm", "{\"share\": 2}", 422, "bad-body", &["share"]);
    check(&other, "warm", "{\"wy\": \"\"}", 422, "bad-body", &["wy"]);
    check(&other, "warm", "{", 422, "bad-body", &["body"]);
    let long = json!({"by": "a".repeat(129)}).to_string();
    check(&other, "warm", &long, 422, "bad-body", &["128 characters"]);
    let (status, problem) = server.get(&format!("/api/v1/detectors/{active}/comparison"));
    assert_eq!(
        (status, &problem["type"]),
        (404, &json!("urn:netsage:problem:no-comparison"))
    );
    assert_eq!(server.get("/api/v1/detectors/history?limit=0").0, 400);
    assert_eq!(server.get("/api/v1/detectors/history?cursor=x").0, 400);
    // Nothing of this is in the history, and all that is comes page by page.
    let mut numbers = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = server.get(&format!("/api/v1/detectors/history?limit=2{cursor}"));
        numbers.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["number"].as_u64().unwrap()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<u64> = (1..=numbers.len() as u64).rev().collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_token_is_needed_for_a_step() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &["--token", "correct-horse-battery"]);
    let activate = |token: &str| {
        home.run(&[
            "detector",
            "activate",
            "iforest-unsw-nb15",
            "--url",
            &server.base,
            "--token",
            token,
        ])
    };
    let refused = activate("wrong-horse-battery");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("(401)"), "{}", stderr(&refused));
    let done = activate("correct-horse-battery");
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let digest = digest_of(IFOREST_UNSW_NB15);
    assert_eq!(stdout(&done).trim(), digest);
    assert!(stderr(&done).contains("is active"), "{}", stderr(&done));
    let bearer = ("authorization", "Bearer correct-horse-battery");
    let (_, info) = server.get_with(&format!("/api/v1/detectors/{digest}"), bearer);
    assert_eq!(info["stage"], "active");
}

#[test]
fn staging_tells_each_stage_and_tables_tell_the_rest() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let package = variant(&home, 0.7);
    let run = |arguments: &[&str]| {
        let output = home.run(&[&["detector"], arguments, &["--url", &server.base]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        output
    };
    let staged = run(&["stage", package.to_str().unwrap(), "--why", "a test"]);
    let digest = stdout(&staged).trim().to_owned();
    let said = stderr(&staged);
    for stage in ["staged: ", "checked: ", "warm: ", "is ready; next: shadow"] {
        assert!(said.contains(stage), "{stage} is not in\n{said}");
    }
    run(&["shadow", &digest]);
    let list = stdout(&run(&["list"]));
    assert!(list.lines().next().unwrap().starts_with("STAGE "), "{list}");
    let row = list.lines().find(|line| line.contains(&digest[..12])).unwrap();
    assert!(row.starts_with("shadow") && row.contains("100 %"), "{list}");
    let history = stdout(&run(&["history", &digest[..8]]));
    assert_eq!(
        history.lines().count(),
        5,
        "a header, stage, check, warm and shadow:\n{history}"
    );
    let compared = stdout(&run(&["compare", &digest]));
    assert!(
        compared.contains("rank correlation") && compared.contains("calibrated score"),
        "{compared}"
    );
    // A file alone needs no running program.
    let inspected = home.run(&["detector", "inspect", package.to_str().unwrap()]);
    assert!(stdout(&inspected).contains(&digest), "{}", stderr(&inspected));
}

#[test]
fn the_trust_policy_decides_who_is_taken() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let (pinned, other) = (variant(&home, 0.71), variant(&home, 0.72));
    let digest = read_package(pinned.to_str().unwrap())
        .unwrap()
        .digest()
        .to_string();
    {
        let server = Server::start(&home, &["--trust", "pinned", "--pinned-digest", &digest]);
        let post = |path: &Path| server.bring("/api/v1/detectors", &std::fs::read(path).unwrap());
        let (status, info) = post(&pinned);
        assert_eq!(
            (status, &info["detector"]["digest"]),
            (201, &json!(digest)),
            "{info}"
        );
        let (status, problem) = post(&other);
        assert_eq!(
            (status, &problem["type"]),
            (422, &json!("urn:netsage:problem:refused-package")),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("pinned"),
            "{problem}"
        );
        let (_, list) = server.get("/api/v1/detectors");
        let quarantined = list
            .as_array()
            .unwrap()
            .iter()
            .find(|info| info["stage"] == "quarantined")
            .unwrap();
        assert!(
            quarantined["why"].as_str().unwrap().contains("pinned"),
            "{quarantined}"
        );
    }
    let home = Home::new();
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let server = Server::start(&home, &["--trust", "signed", "--trusted-key", key]);
    let package = std::fs::read(&other).unwrap();
    let (status, problem) = server.bring("/api/v1/detectors", &package);
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("not signed"),
        "{problem}"
    );
    // It stays refused until somebody releases it, and then it is looked at again.
    let digest = read_package(other.to_str().unwrap())
        .unwrap()
        .digest()
        .to_string();
    let (status, released) = server.post(&format!("/api/v1/detectors/{digest}/release"), b"", &[]);
    assert_eq!(
        (status, &released["stage"]),
        (200, &json!("staged")),
        "{released}"
    );
    let (status, problem) = server.bring("/api/v1/detectors?signature=nonsense", &package);
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("signature"),
        "{problem}"
    );
    // What comes with the program is trusted like it.
    let (_, list) = server.get("/api/v1/detectors");
    assert_eq!(list[0]["stage"], "active", "{list}");
}

#[test]
fn a_package_in_the_watched_folder_appears_by_itself() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let package = variant(&home, 0.73);
    let folder = home.path().join("incoming");
    std::fs::create_dir(&folder).unwrap();
    let server = Server::start(&home, &["--detectors-dir", folder.to_str().unwrap()]);
    let digest = read_package(package.to_str().unwrap())
        .unwrap()
        .digest()
        .to_string();
    std::fs::copy(&package, folder.join("variant.wasm")).unwrap();
    server.wait("the package to be ready", |server| {
        server.get(&format!("/api/v1/detectors/{digest}")).1["stage"] == "warm"
    });
    let told = told(&server, &digest);
    assert_eq!(
        (&told[0][0], &told[0][3]),
        (&json!("stage"), &json!("directory")),
        "{told:?}"
    );
}

#[test]
fn a_setting_for_a_name_that_nobody_has_is_noticed() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(
        &home,
        &["--threshold", "ifrst=0.6", "--on-failure", "iforest=open"],
    );
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("`threshold` names a detector `ifrst`"), "{log}");
    assert!(!log.contains("`on-failure`"), "{log}");
}

#[test]
fn metrics_tell_stages_and_generations() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let server = Server::start(&home, &["--pcap", capture.to_str().unwrap()]);
    server.wait_until_finished();
    let digest = digest_of(IFOREST_GENERATED);
    let (_, metrics) = server.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    let generation = format!("digest=\"{digest}\",generation=\"1\",role=\"active\"");
    let flows = server.counter("flows");
    for expected in [
        format!("digest=\"{digest}\",stage=\"active\"}} 1"),
        format!("{generation}}} {flows}"),
        format!("{generation},kind=\"overrun\"}} 0"),
        format!("{generation},policy=\"reload\"}} 0"),
        "netsage_generation_seconds_per_row{".to_owned(),
        "netsage_generation_call_seconds_p99{".to_owned(),
    ] {
        assert!(metrics.contains(&expected), "{expected} is not in\n{metrics}");
    }
}
