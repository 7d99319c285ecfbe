//! The program that is measured.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Longest time for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running program, without traffic unless its flags name some.
pub(crate) struct Server {
    pub(crate) child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(program: &Path, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["run", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line.strip_prefix("serving on http://")?;
            address.parse().ok()
        });
        // What the program says later must find a reader.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.expect("the program says where it serves"),
            _folder: folder,
        }
    }

    pub(crate) fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect_timeout(&self.address, PATIENCE).ok()
    }

    pub(crate) fn ask(&self, call: &[u8]) -> Option<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(call).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    pub(crate) fn is_well(&self) -> bool {
        let call = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        self.ask(call)
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// A figure of the process, MB.
    pub(crate) fn memory(&self, name: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }

    /// A counter of `/api/v1/health`.
    pub(crate) fn counter(&self, name: &str) -> Option<u64> {
        let call = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = self.ask(call)?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let health: serde_json::Value = serde_json::from_str(body).ok()?;
        health["counters"][name].as_u64()
    }

    pub(crate) fn threads(&self) -> Option<usize> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        Some(tasks.count())
    }

    pub(crate) fn descriptors(&self) -> Option<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?;
        Some(open.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
