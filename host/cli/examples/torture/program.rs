//! The program that is disturbed, and who starts it again when it has ended, as a supervisor does.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Before a program that has ended is started again.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest time of one question.
const ANSWER: Duration = Duration::from_secs(1);
/// Lines of a program that are kept to be shown.
const LINES: usize = 20;

/// What a program has said on standard error.
#[derive(Debug, Default)]
struct Said {
    /// Where it serves.
    address: Option<String>,
    /// The line with which it ends: what it counted.
    report: Option<String>,
    last: VecDeque<String>,
}

struct Running {
    child: Child,
    begun: Instant,
    said: Arc<Mutex<Said>>,
    agent: ureq::Agent,
    /// Whether it was told to end.
    is_asked: bool,
}

/// How a life ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Whether it was told to.
    pub(crate) was_asked: bool,
    pub(crate) has_served: bool,
    pub(crate) report: Option<String>,
    pub(crate) last_lines: String,
}

/// A program under a supervisor.
pub(crate) struct Program {
    make: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    running: Option<Running>,
    ended: Instant,
    pub(crate) lives: u32,
    /// The longest time from a start to the first answer.
    pub(crate) slowest_start: Duration,
}

impl Program {
    /// One that this command starts; what it says goes to a file as well.
    pub(crate) fn new(make: impl Fn() -> Command + Send + 'static, log: PathBuf) -> Self {
        Self {
            make: Box::new(make),
            log,
            running: None,
            ended: Instant::now() - PAUSE,
            lives: 0,
            slowest_start: Duration::ZERO,
        }
    }

    /// Whether it is to be started now.
    pub(crate) fn is_due(&self) -> bool {
        self.running.is_none() && self.ended.elapsed() >= PAUSE
    }

    pub(crate) fn start(&mut self) {
        let mut child = (self.make)()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = File::options().create(true).append(true).open(&self.log).unwrap();
        let copy = Arc::clone(&said);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Only for who reads it afterwards.
                let _ = writeln!(log, "{line}");
                let mut said = copy.lock().unwrap();
                if let Some(address) = line.strip_prefix("serving on ") {
                    said.address = Some(address.to_owned());
                } else if line.contains(" flows: ") && line.contains(" scored, ") {
                    said.report = Some(line.clone());
                }
                if said.last.len() == LINES {
                    said.last.pop_front();
                }
                said.last.push_back(line);
            }
        });
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER))
            // Each question comes by a connection of its own, as from a supervisor.
            .max_idle_connections(0)
            .build()
            .new_agent();
        self.lives += 1;
        self.running = Some(Running {
            child,
            begun: Instant::now(),
            said,
            agent,
            is_asked: false,
        });
    }

    /// Looks whether it has ended.
    pub(crate) fn ended(&mut self) -> Option<Ended> {
        let running = self.running.as_mut()?;
        let status = running.child.try_wait().unwrap()?;
        // What it said last may still be in the pipe.
        thread::sleep(Duration::from_millis(50));
        let running = self.running.take()?;
        self.ended = Instant::now();
        let said = running.said.lock().unwrap();
        Some(Ended {
            status,
            was_asked: running.is_asked,
            has_served: said.address.is_some(),
            report: said.report.clone(),
            last_lines: Vec::from(said.last.clone()).join("\n"),
        })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Sends a signal, and notes whether the program is to end by it.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let Some(running) = &mut self.running else { return };
        running.is_asked |= matches!(signal, Signal::SIGKILL | Signal::SIGTERM);
        let id = Pid::from_raw(i32::try_from(running.child.id()).unwrap());
        // It may have ended by itself just now, which is looked at elsewhere.
        let _ = kill(id, signal);
    }

    /// Whether it is to end soon.
    pub(crate) fn is_asked(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_asked)
    }

    /// Since when the program is there; `None` before the program has said where it serves.
    pub(crate) fn serves_since(&mut self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        running.said.lock().unwrap().address.as_ref()?;
        Some(running.begun)
    }

    /// Asks the program something. `None` when no whole answer comes in time.
    pub(crate) fn ask(&mut self, path: &str) -> Option<(u16, String)> {
        let running = self.running.as_ref()?;
        let base = running.said.lock().unwrap().address.clone()?;
        let mut response = running.agent.get(format!("{base}{path}")).call().ok()?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().ok()?;
        Some((status, text))
    }

    /// A figure of `/proc/PID/status`, kB.
    pub(crate) fn kilobytes(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It keeps nothing that is wanted.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
