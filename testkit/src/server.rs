//! What starting any real server takes.

use std::fs::File;
#[cfg(any(feature = "kafka", feature = "store"))]
use std::net::TcpListener;
use std::path::PathBuf;
#[cfg(any(feature = "kafka", feature = "store"))]
use std::process::Child;
use std::process::Command;
#[cfg(any(feature = "kafka", feature = "store"))]
use std::time::{Duration, Instant};

/// The folder of installed tools, and a lock held while `name` is looked for and installed there.
pub(crate) fn tools(name: &str) -> Result<(PathBuf, File), String> {
    let tools = match std::env::var_os("NETSAGE_TOOLS") {
        Some(tools) => PathBuf::from(tools),
        None => {
            PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache/netsage/tools")
        }
    };
    std::fs::create_dir_all(&tools).map_err(|error| format!("cannot make {}: {error}", tools.display()))?;
    let lock = File::create(tools.join(format!("{name}.lock")))
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("cannot lock {}: {error}", tools.display()))?;
    Ok((tools, lock))
}

/// A port that nobody listens on.
#[cfg(any(feature = "kafka", feature = "store"))]
pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// Waits until a server that was started listens.
#[cfg(any(feature = "kafka", feature = "store"))]
pub(crate) fn wait_for_port(name: &str, port: u16, child: &mut Child) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the {name} server ended at once: {status}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("the {name} server did not start within 60 seconds"))
}

/// Runs a command to its end; an error is the last line of what it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{}: {}",
        command.get_program().display(),
        said.lines().last().unwrap_or("failed")
    ))
}
