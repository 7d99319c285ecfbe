//! Starts the program and asks it things.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use netsage_gateway::assets::Bundled;
use serde_json::Value;

/// An address of this machine at which nothing listens.
pub(crate) fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

/// Longest time that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of its own, and the program run with it as home.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netsage"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETSAGE_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_DATA_HOME", self.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Writes a generated capture.
    pub(crate) fn capture(&self, flows: u32) -> PathBuf {
        let path = self.path().join("generated.pcap");
        let flows = flows.to_string();
        let output = self.run(&[
            "synth",
            "--out",
            path.to_str().unwrap(),
            "--flows",
            &flows,
            "--seed",
            "5",
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        path
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compressed by zstd.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Compressed by lz4, as its program does.
pub(crate) fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut packer = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

/// Whether the bundled packages are there; says so when not.
pub(crate) fn packages_built() -> bool {
    let built = !Bundled::all().is_empty();
    if !built {
        eprintln!("skipped: run cargo xtask build");
    }
    built
}

/// Waits until `done` says so.
pub(crate) fn wait_for(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running `netsage run`.
pub(crate) struct Server {
    child: Child,
    pub(crate) base: String,
    pub(crate) log: Arc<Mutex<String>>,
    /// As the value of a header, if the program was given a token.
    authorization: String,
    agent: ureq::Agent,
}

impl Server {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::start_as(home, &[&["run", "--listen", "127.0.0.1:0"], arguments].concat())
    }

    /// Starts a command that serves sooner or later.
    pub(crate) fn start_as(home: &Home, arguments: &[&str]) -> Self {
        let child = home
            .command(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self::of(child);
        let mut after = arguments.iter().skip_while(|argument| **argument != "--token");
        if let Some(token) = after.nth(1) {
            server.authorization = format!("Bearer {token}");
        }
        server
    }

    /// Waits until a program whose standard error is a pipe serves.
    pub(crate) fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (send, receive) = mpsc::channel();
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                copy.lock().unwrap().push_str(&format!("{line}\n"));
                if let Some(address) = line.strip_prefix("serving on ") {
                    let _ = send.send(address.to_owned());
                }
            }
        });
        let base = receive
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("the program did not start: {}", log.lock().unwrap()));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self {
            child,
            base,
            log,
            authorization: String::new(),
            agent: config.new_agent(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}{path}", self.base)).call().unwrap())
    }

    pub(crate) fn get_with(&self, path: &str, header: (&str, &str)) -> (u16, Value) {
        read(
            self.agent
                .get(format!("{}{path}", self.base))
                .header(header.0, header.1)
                .call()
                .unwrap(),
        )
    }

    pub(crate) fn post(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body).unwrap())
    }

    /// Brings a package and gives the answer of its check. A busy machine may answer the call while the check goes on.
    pub(crate) fn bring(&self, path: &str, package: &[u8]) -> (u16, Value) {
        let (status, answer) = self.post(path, package, &[]);
        if status != 201 || answer["stage"] != "staged" {
            return (status, answer);
        }
        let digest = answer["detector"]["digest"].as_str().unwrap();
        self.wait("the end of the check", |server| {
            server.get(&format!("/api/v1/detectors/{digest}")).1["stage"] != "staged"
        });
        self.post(path, package, &[])
    }

    pub(crate) fn header(&self, path: &str, name: &str) -> Option<String> {
        let response = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    /// The body of a good answer as it is; the status of another.
    pub(crate) fn bytes(&self, path: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>, u16> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap();
        match response.status().as_u16() {
            200 => Ok(response
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_vec()
                .unwrap()),
            status => Err(status),
        }
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Waits until the program has said this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait(text, |server| server.log.lock().unwrap().contains(text));
    }

    pub(crate) fn health(&self) -> Value {
        self.get("/api/v1/health").1
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.health()["counters"][name].as_u64().unwrap()
    }

    /// Waits until `done` says so.
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for {what}: {}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn wait_until_finished(&self) {
        self.wait("the end of the replay", |server| {
            server.health()["finished"] == true
        });
    }

    /// Every entry of a listing, page by page; the path may have filters.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        loop {
            let path = format!("{path}{mark}limit=500{cursor}");
            let (status, page) = self.get_with(&path, ("authorization", &self.authorization));
            assert_eq!(status, 200, "{page}");
            entries.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return entries,
            }
        }
    }

    /// As [`Server::post`], while the program may be killed: `None` when it gives no answer.
    pub(crate) fn try_post(&self, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.base));
        request.send(body).ok().and_then(try_read)
    }

    /// As [`Server::get`], while the program may be killed.
    pub(crate) fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        let request = self.agent.get(format!("{}{path}", self.base));
        request.call().ok().and_then(try_read)
    }

    /// Ends the program without a warning (SIGKILL), while others may be asking it things.
    pub(crate) fn kill_now(&self) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// Waits until the program has ended by itself, and gives its exit status; `None` when a signal killed it.
    pub(crate) fn wait_for_end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            let said = self.log.lock().unwrap();
            assert!(start.elapsed() < PATIENCE, "the program does not end: {said}");
            drop(said);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the program without a warning (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// `None` when the answer was cut off.
fn try_read(mut response: ureq::http::Response<ureq::Body>) -> Option<(u16, Value)> {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
