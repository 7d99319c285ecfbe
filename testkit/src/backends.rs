//! The stores under test, each with a place of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use netsage_store::{SharedStore, StoreError, StoreOptions, open_with};
use tempfile::TempDir;

use crate::server::{free_port, run, tools, wait_for_port};

/// A store that can be opened again.
pub struct Place {
    /// What the store is opened by.
    pub url: String,
    _folder: TempDir,
}

impl Place {
    /// Opens the store.
    pub async fn open(&self) -> SharedStore {
        self.open_with(&StoreOptions::default())
            .await
            .expect("the store opens")
    }

    /// Opens the store with these options.
    ///
    /// # Errors
    /// When the store refuses to open.
    pub async fn open_with(&self, options: &StoreOptions) -> Result<SharedStore, StoreError> {
        open_with(&self.url, options).await
    }
}

/// A file of its own.
pub fn sqlite() -> Place {
    let folder = TempDir::new().expect("a temporary folder");
    Place {
        url: format!("sqlite:{}", folder.path().join("store.db").display()),
        _folder: folder,
    }
}

/// A database of its own on the server.
///
/// # Errors
/// Why there is no server.
pub fn mongodb() -> Result<Place, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = server()?;
    let name = format!(
        "netsage_test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let url = format!("{}/{name}", server.trim_end_matches('/'));
    Ok(Place {
        url,
        _folder: TempDir::new().expect("a temporary folder"),
    })
}

/// The server that `MONGODB_URI` names (without a database), or one started here for all tests of this process.
fn server() -> Result<String, String> {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| match std::env::var("MONGODB_URI") {
            Ok(uri) if !uri.is_empty() => Ok(uri),
            _ => start_server(),
        })
        .clone()
}

fn start_server() -> Result<String, String> {
    let program = installed_server()?;
    let port = free_port()?;
    let folder = TempDir::new()
        .map_err(|error| format!("no temporary folder: {error}"))?
        .keep();
    // The watcher stops the server and clears its folder when this process ends, however it ends: its standard input
    // closes then. Nothing in the process itself runs after the last test.
    let watcher = r#""$0" --port "$1" --storage-path "$2" >"$2.log" 2>&1 & server=$!
        cat >/dev/null; kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$2" "$2.log""#;
    let mut child = Command::new("sh")
        .args(["-c", watcher])
        .arg(&program)
        .arg(port.to_string())
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let pipe = child.stdin.take();
    wait_for_port("MongoDB", port, &mut child)?;
    // Held open until the process ends.
    std::mem::forget(pipe);
    Ok(format!("mongodb://127.0.0.1:{port}"))
}

/// A server of a test's own, which can be killed and started again on what it has kept.
pub struct MongoServer {
    program: PathBuf,
    port: u16,
    folder: TempDir,
    child: Child,
}

impl MongoServer {
    /// Starts one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        let program = installed_server()?;
        let port = free_port()?;
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let child = spawn_server(&program, port, folder.path())?;
        let mut server = Self {
            program,
            port,
            folder,
            child,
        };
        wait_for_port("MongoDB", port, &mut server.child)?;
        Ok(server)
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}", self.port)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        // One that has ended already is as dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it on the same port, on what it had.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn_server(&self.program, self.port, self.folder.path())?;
        wait_for_port("MongoDB", self.port, &mut self.child)
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn_server(program: &Path, port: u16, folder: &Path) -> Result<Child, String> {
    Command::new(program)
        // What it has acknowledged is to outlive it.
        .args(["--sync-on-commit", "--port", &port.to_string(), "--storage-path"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))
}

/// The server program, installed for all runs to come when it is not there.
fn installed_server() -> Result<PathBuf, String> {
    let (tools, lock) = tools("secantus-venv")?;
    let venv = tools.join("secantus-venv");
    let program = venv.join("bin/secantusd-py");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(pip(&venv)).args(["install", "--quiet", "--pre", "SecantusDB>=0.7.0b3"]))?;
    }
    drop(lock);
    if program.exists() {
        Ok(program)
    } else {
        Err("the package SecantusDB brought no server program".to_owned())
    }
}

fn pip(venv: &Path) -> PathBuf {
    venv.join("bin/pip")
}
