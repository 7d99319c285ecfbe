//! The program answers as `openapi.json` says: Schemathesis generates calls from the document, valid ones and others, and
//! looks at status, headers and body of each answer.

use std::process::Command;

use super::support::{Home, Server, packages_built};

/// Calls of each operation that are generated beside those that try every limit of its schema once.
const EXAMPLES: &str = "40";

#[test]
fn answers_are_those_of_the_document() {
    if !packages_built() {
        return;
    }
    let Some(python) = std::env::var_os("NETSAGE_PYTHON").filter(|path| !path.is_empty()) else {
        let why = std::env::var("NETSAGE_PYTHON_WHY_NOT")
            .unwrap_or_else(|_| "NETSAGE_PYTHON names no Python with Schemathesis".to_owned());
        println!("skipped: {why}");
        return;
    };
    let home = Home::new();
    let capture = home.capture(2_000);
    let capture = capture.to_str().unwrap();
    let server = Server::start(&home, &["--pcap", capture, "--keep-packets", "16MiB"]);
    server.wait_until_finished();
    // Schemathesis keeps what it finds beside its settings.
    home.file(
        "schemathesis.toml",
        include_bytes!("../schemathesis/schemathesis.toml"),
    );
    home.file("hooks.py", include_bytes!("../schemathesis/hooks.py"));
    let output = Command::new(python)
        .args([
            "-m",
            "schemathesis.cli",
            "--config-file",
            "schemathesis.toml",
            "run",
        ])
        .arg(format!("{}/api/v1/openapi.json", server.base))
        .args(["--url", &server.base])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
        ])
        // A generated name is hardly ever that of a package, and Schemathesis warns of that; beside a warning its
        // "No issues found" is missing.
        .args(["--warnings", "off"])
        .args(["--seed", "1", "--generation-database", "none", "--no-color"])
        .current_dir(home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("No issues found"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
