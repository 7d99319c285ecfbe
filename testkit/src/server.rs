//! What starting any real server takes.

use std::fs::File;
#[cfg(any(feature = "kafka", feature = "receivers", feature = "store"))]
use std::net::TcpListener;
use std::path::PathBuf;
#[cfg(any(feature = "kafka", feature = "receivers", feature = "store"))]
use std::process::Child;
use std::process::Command;
#[cfg(any(feature = "kafka", feature = "receivers", feature = "store"))]
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
#[cfg(any(feature = "kafka", feature = "receivers", feature = "store"))]
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

/// A server that ends with this process, however that ends: a watcher kills it when its own standard input closes.
#[cfg(feature = "receivers")]
pub(crate) struct Watched {
    watcher: Child,
    server: nix::unistd::Pid,
}

#[cfg(feature = "receivers")]
impl Watched {
    /// Starts a server, whose output goes to a file.
    pub(crate) fn start(command: &Command, output: &std::path::Path) -> Result<Self, String> {
        use std::io::BufRead as _;
        use std::process::Stdio;

        let script = r#""$@" </dev/null >>"$0" 2>"$0.err" & server=$!
            echo "$server"; read -r word; kill -9 "$server" 2>/dev/null; wait "$server" 2>/dev/null"#;
        let failed =
            |error: std::io::Error| format!("cannot start {}: {error}", command.get_program().display());
        let environment = command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut watcher = Command::new("sh")
            .args(["-c", script])
            .arg(output)
            .arg(command.get_program())
            .args(command.get_args())
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = watcher.stdout.take() {
            std::io::BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(failed)?;
        }
        let server = line
            .trim()
            .parse()
            .map_err(|_| "the watcher does not say what it has started")?;
        Ok(Self {
            watcher,
            server: nix::unistd::Pid::from_raw(server),
        })
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        // One that has ended already needs none.
        let _ = nix::sys::signal::kill(self.server, signal);
    }

    /// Waits until it listens.
    pub(crate) fn wait_for_port(&self, name: &str, port: u16) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            if !self.runs() {
                return Err(format!("the {name} server ended at once"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the {name} server did not start within 60 seconds"))
    }

    /// Whether it runs. What has ended and was not waited for is a zombie, which can be sent signals.
    pub(crate) fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server));
        stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&self) {
        while self.runs() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(feature = "receivers")]
impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        // It ends once it has killed the server.
        let _ = self.watcher.wait();
    }
}
