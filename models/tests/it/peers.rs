//! Python programs to compare with, which `cargo xtask test` brings.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a script with `input` on its standard input and gives what it prints, both JSON; `None`, after saying so,
/// where there is no such Python.
pub(crate) fn python(script: &str, input: &serde_json::Value) -> Option<serde_json::Value> {
    let Some(interpreter) = std::env::var_os("NETSAGE_PYTHON").filter(|path| !path.is_empty()) else {
        let why = std::env::var("NETSAGE_PYTHON_WHY_NOT")
            .unwrap_or_else(|_| "NETSAGE_PYTHON names no Python with scikit-learn".to_owned());
        println!("skipped: {why}");
        return None;
    };
    let mut child = Command::new(&interpreter)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = input.to_string();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} failed", interpreter.display());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
