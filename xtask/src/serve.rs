//! Running the program over the generated traffic, and asking it how far it is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};

use crate::command::quietly;
use crate::files;
use crate::workspace::Workspace;

/// The store's file in a data folder.
const STORE: &str = "netsage.sqlite";
/// How often the program is asked.
const POLL: Duration = Duration::from_millis(100);

/// The capture of the demo, generated when it is not there. Its labels lie beside it.
///
/// Its name holds a digest of the generator's sources: another generator makes another capture.
pub(crate) fn capture(
    workspace: &Workspace,
    program: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    let version = files::digest_of_tree(&workspace.root.join("synth/src"))?;
    let folder = workspace
        .target
        .join("netsage-demo")
        .join(format!("{version:016x}"));
    let capture = folder.join("demo.pcap");
    if capture.is_file() {
        return Ok(capture);
    }
    // Generated in a folder of its own and moved when complete: an interrupted start must leave no half capture.
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    files::make_folder(&unfinished)?;
    let mut command = workspace.command(program);
    command
        .arg("synth")
        .arg("--out")
        .arg(unfinished.join("demo.pcap"));
    quietly(command, on_line)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::rename(&unfinished, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(capture)
}

/// Makes a data folder of what it may hold from earlier runs: compiled code stays, store and detectors go.
pub(crate) fn empty_data_folder(folder: &Path) -> Result<()> {
    files::make_folder(folder)?;
    let gone = |outcome: std::io::Result<()>, path: &Path| match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    };
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = folder.join(format!("{STORE}{suffix}"));
        gone(fs::remove_file(&path), &path)?;
    }
    let detectors = folder.join("detectors");
    gone(fs::remove_dir_all(&detectors), &detectors)
}

/// `netsage run` over a capture, with an empty store and no detectors but its own in `folder`.
pub(crate) fn run_command(
    workspace: &Workspace,
    program: &Path,
    capture: &Path,
    folder: &Path,
    address: SocketAddr,
) -> Result<Command> {
    empty_data_folder(folder)?;
    let store = folder.join(STORE);
    let mut command = workspace.command(program);
    command.args(["run", "--pcap"]).arg(capture);
    command.arg("--data-dir").arg(folder);
    command.arg("--store").arg(format!("sqlite:{}", store.display()));
    command.arg("--listen").arg(address.to_string());
    Ok(command)
}

/// An address of this machine that nothing listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port of 127.0.0.1 is free")?;
    Ok(listener.local_addr()?)
}

/// A running program, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Host {
    /// Starts the program over a capture and waits until the capture is through.
    pub(crate) fn start(
        workspace: &Workspace,
        program: &Path,
        capture: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let address = free_address()?;
        let mut command = run_command(workspace, program, capture, folder, address)?;
        // So that the dashboard has something to save.
        command.args(["--keep-packets", "256MiB"]);
        let log = folder.join("netsage.log");
        let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut host = Self { child, address, log };
        host.wait_until_finished(Duration::from_secs(300))?;
        Ok(host)
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn wait_until_finished(&mut self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        while !is_finished(self.address) {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("`netsage run` ended early ({status}):\n{log}");
            }
            if start.elapsed() > patience {
                bail!(
                    "`netsage run` did not finish the capture within {} s; see {}",
                    patience.as_secs(),
                    self.log.display()
                );
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // As Ctrl-C would: the program then closes its store. Only when that does not help it is killed.
        let asked = Command::new("kill")
            .arg("-INT")
            .arg(self.child.id().to_string())
            .status();
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the program serves at `address` and its capture is through.
pub(crate) fn is_finished(address: SocketAddr) -> bool {
    get(address, "/api/v1/health").is_ok_and(|body| says_finished(&body))
}

/// Looks at one field of the health message; a whole JSON parser would be the heaviest dependency here.
fn says_finished(health: &str) -> bool {
    let compact: String = health
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    compact.contains("\"finished\":true")
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = Vec::new();
    stream.take(1 << 20).read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_read_whatever_its_spacing() {
        let check = |body: &str, expected: bool| assert_eq!(says_finished(body), expected, "{body}");
        check(r#"{"status":"ok","finished":true}"#, true);
        check("{\n  \"finished\" : true\n}", true);
        check(r#"{"status":"ok","finished":false}"#, false);
        check("", false);
    }

    #[test]
    fn nobody_at_the_address_is_not_finished() {
        assert!(!is_finished(free_address().unwrap()));
    }
}
