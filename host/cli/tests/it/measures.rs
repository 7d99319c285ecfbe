//! Figures: of detectors on captures with labels, and in the cards of trained models.

use serde_json::Value;

use super::support::{Home, Server, packages_built, stderr, stdout};

#[test]
fn a_capture_is_measured_against_its_labels() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(20_000);
    let output = home.run(&["evaluate", capture.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let report = &report["results"][0]["conditions"][0]["all"];
    assert!(report["rows"].as_u64().unwrap() >= 20_000, "{report}");
    let kinds: Vec<&str> = report["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["category"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "beacon",
            "dns-tunnel",
            "exfiltration",
            "password-brute-force",
            "port-scan",
            "syn-flood"
        ]
    );
    // Chance gives one half; the bundled model is made for this kind of traffic.
    assert!(report["auroc"].as_f64().unwrap() > 0.8, "{report}");
}

/// What the demo promises: the traffic that `netsage synth` makes when nothing else is said, seen by the detector that
/// `netsage run` takes when nothing else is said.
#[test]
fn the_demo_alerts_on_what_was_planted() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let made = home.run(&["synth", "--out", "demo.pcap"]);
    assert!(made.status.success(), "{}", stderr(&made));

    let output = home.run(&["evaluate", "demo.pcap", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let report = &report["results"][0]["conditions"][0]["all"];
    let found = report["categories"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|kind| kind["recall_at_threshold"].as_f64().unwrap() > 0.0)
        .count();
    assert!(found >= 4, "{found} of 6 behaviours are found: {report}");
    let false_alarms = report["at_threshold"]["fpr"].as_f64().unwrap();
    assert!(false_alarms <= 0.02, "{false_alarms} of the ordinary flows alert");

    let server = Server::start(&home, &["--pcap", "demo.pcap"]);
    server.wait_until_finished();
    assert!(server.counter("flows") >= 20_000);
    let alerts = server.all("/api/v1/alerts").len();
    assert!((4..=20).contains(&alerts), "{alerts} alerts");
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let no_labels = home.file("no.labels", b"source,port\n");
    let check = |arguments: &[&str], status: i32, message: &str| {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check(
        &["evaluate", capture, "--labels", no_labels.to_str().unwrap()],
        1,
        "line 1: this is not a label file",
    );
    check(
        &["evaluate", capture, "--labels", "nowhere.csv"],
        1,
        "there is no nowhere.csv",
    );
    let rows = home.run(&["flows", capture]).stdout;
    let table = home.file("rows.csv", &rows);
    check(
        &["evaluate", table.to_str().unwrap(), "--labels", capture],
        2,
        "--labels is for captures",
    );
}

#[test]
fn a_trained_model_carries_its_figures() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let output = home.run(&[
        "train",
        "iforest",
        "--from",
        capture,
        "--evaluate",
        capture,
        "--trees",
        "10",
        "--out",
        "my.artifact",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let card: Value =
        serde_json::from_slice(&std::fs::read(home.path().join("my.card.json")).unwrap()).unwrap();
    let auroc = card["figures"]["auroc"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&auroc), "{card}");
    let page = std::fs::read_to_string(home.path().join("my.card.md")).unwrap();
    assert!(page.contains(&format!("| auroc | {auroc:.4} |")), "{page}");
}

/// The dataset, where it lies beside the repository; says so when it does not.
fn dataset(name: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/unsw")
        .join(name);
    if path.exists() {
        return Some(path.to_str().unwrap().to_owned());
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

/// Every bundled model for UNSW-NB15 does, as its component, what its card says of it.
#[test]
fn bundled_models_keep_the_figures_of_their_cards() {
    let names: Vec<&str> = netsage_gateway::assets::Bundled::all()
        .iter()
        .map(|bundled| bundled.name)
        .filter(|name| name.ends_with("-unsw-nb15"))
        .collect();
    if !packages_built() || names.is_empty() {
        return;
    }
    let Some(dev) = dataset("dev.csv.gz") else { return };
    let home = Home::new();
    let mut arguments = vec!["evaluate", &dev, "--json", "--bootstrap", "0"];
    for name in &names {
        arguments.extend(["--detector", name]);
    }
    let output = home.run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/artifacts");
    for (name, result) in names.iter().zip(report["results"].as_array().unwrap()) {
        let card = std::fs::read(folder.join(format!("{name}.card.json"))).unwrap();
        let card: Value = serde_json::from_slice(&card).unwrap();
        let all = &result["conditions"][0]["all"];
        let found = [
            ("auroc", &all["auroc"]),
            ("auprc", &all["auprc"]),
            ("tpr_at_fpr_1", &all["at_fpr_1"]["tpr"]),
            ("tpr_at_fpr_5", &all["at_fpr_5"]["tpr"]),
            ("f1_at_threshold", &all["at_threshold"]["f1"]),
            ("fpr_at_threshold", &all["at_threshold"]["fpr"]),
        ];
        for (figure, found) in found {
            let stated = card["figures"][figure]
                .as_f64()
                .unwrap_or_else(|| panic!("{name} states no {figure}"));
            let found = found.as_f64().unwrap();
            assert!(
                (stated - found).abs() < 1e-9,
                "{name}: {figure} is {found}, its card says {stated}"
            );
        }
    }
}

/// The recipe of a card, the baselines and the verdict of several models, on a small scale.
#[test]
fn a_report_compares_models_with_each_other_and_with_less() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(4_000);
    let capture = capture.to_str().unwrap();
    let train = |name: &str, seed: &str| {
        let output = home.run(&[
            "train",
            "iforest",
            "--from",
            capture,
            "--trees",
            "20",
            "--subsample",
            "256",
            "--seed",
            seed,
            "--name",
            name,
            "--out",
            &format!("{name}.wasm"),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
    };
    train("one", "1");
    train("two", "1");
    let arguments = [
        "evaluate",
        capture,
        "--detector",
        "one.wasm",
        "--detector",
        "two.wasm",
        "--from",
        capture,
        "--ablate",
        "--bootstrap",
        "20",
        "--report",
        "out",
        "--json",
    ];
    let output = home.run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let written = std::fs::read(home.path().join("out/report.json")).unwrap();
    assert_eq!(printed, serde_json::from_slice::<Value>(&written).unwrap());
    let results = printed["results"].as_array().unwrap();
    let names: Vec<&str> = results
        .iter()
        .map(|result| result["name"].as_str().unwrap())
        .collect();
    let expected = [
        "one",
        "two",
        "fused mean",
        "fused maximum",
        "Mahalanobis distance",
        "best single column (oracle)",
    ];
    assert_eq!(names, expected);
    for result in results {
        let [all, without] = result["conditions"].as_array().unwrap().as_slice() else {
            panic!("two conditions: {result}");
        };
        assert_eq!(
            (&all["columns"], &without["columns"]),
            (&"all".into(), &"without-ttl".into())
        );
        for figures in [&all["all"], &all["distinct"], &without["all"]] {
            let auroc = figures["auroc"].as_f64().unwrap();
            let ends = figures["intervals"]["auroc"].as_array().unwrap();
            let [low, high] = [0, 1].map(|end: usize| ends[end].as_f64().unwrap());
            assert!(
                low <= high && low - 0.02 <= auroc && auroc <= high + 0.02,
                "{auroc}, {low} to {high}"
            );
        }
    }
    let read = |result: usize, condition: usize| {
        results[result]["conditions"][condition]["reads"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(read(0, 0) - read(0, 1), 3);
    let page = std::fs::read_to_string(home.path().join("out/report.html")).unwrap();
    assert!(
        page.contains("netsage evaluate") && page.contains("--ablate"),
        "the command is on the page"
    );
    let markdown = std::fs::read_to_string(home.path().join("out/report.md")).unwrap();
    assert!(markdown.contains("| `one` |"), "{markdown}");
}

#[test]
fn a_training_does_not_go_on_from_a_damaged_checkpoint() {
    let home = Home::new();
    let capture = home.capture(2_000);
    let train = |out: &str| {
        let from = capture.to_str().unwrap();
        let output = home.run(&[
            "train",
            "autoencoder",
            "--from",
            from,
            "--epochs",
            "2",
            "--out",
            out,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        (std::fs::read(home.path().join(out)).unwrap(), stderr(&output))
    };
    let (expected, said) = train("whole.artifact");
    assert!(!said.contains("checkpoint"), "{said}");
    for end in ["training", "training.previous"] {
        home.file(&format!("other.artifact.{end}"), &[7; 4_000]);
    }
    let (artifact, said) = train("other.artifact");
    for expected in [
        "the checkpoint other.artifact.training is damaged and is not used\n",
        "the checkpoint other.artifact.training.previous is damaged and is not used\n",
        "the training begins anew\n",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(artifact == expected);
    assert!(!home.path().join("other.artifact.training").exists());
}
