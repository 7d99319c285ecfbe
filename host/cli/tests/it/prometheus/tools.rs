//! Debian's Prometheus and Alertmanager, started by a test, and what is asked of them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::support::{PATIENCE, wait_for};

/// The folder of deploy/.
pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Whether a program can be started; says so when not.
pub(crate) fn has(program: &str) -> bool {
    let started = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let has = started.is_ok();
    if !has {
        eprintln!("skipped: there is no `{program}`; `cargo xtask test` installs it");
    }
    has
}

/// Runs a program to its end and gives what it said; the test fails when the program does.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// A server that logs the address it listens on.
pub(crate) struct Tool {
    child: Child,
    /// Its address, `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    agent: ureq::Agent,
}

impl Tool {
    /// Starts a server of the Prometheus project, which finds a free port by itself.
    pub(crate) fn start(program: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(entry) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                if entry["msg"] == "Listening on" {
                    let _ = send.send(entry["address"].as_str().unwrap_or_default().to_owned());
                } else if entry["level"] == "error" {
                    eprintln!("{line}");
                }
            }
        });
        let address = receive
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{program} did not start"));
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let tool = Self {
            child,
            base: format!("http://{address}"),
            agent: config.new_agent(),
        };
        wait_for(program, || {
            let ready = tool.agent.get(format!("{}/-/ready", tool.base)).call();
            ready.is_ok_and(|answer| answer.status() == 200)
        });
        tool
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// The series that an expression gives now.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/query?query={}", escaped(expression)));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // It has ended by itself at worst, and the folder goes with the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text as an address has it.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|sign| format!("%{sign:02X}")).collect()
}
