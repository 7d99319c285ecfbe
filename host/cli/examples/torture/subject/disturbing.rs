//! What is done to a program and its surroundings, and undone.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use netsage_testkit::backends::MongoServer;
use netsage_testkit::wire::End;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;

use super::Work;
use crate::schedule::{Event, Kind};
use crate::traffic;

/// Memory that may still be had when there is hardly any.
const SPARE_KB: u64 = 32 << 10;

/// How a disturbance is undone.
pub(super) enum Undo {
    Nothing,
    Unlock(Connection),
    /// The limit of a process: its name, and what it was.
    Limit(u32, &'static str, String),
}

impl Work<'_> {
    pub(super) fn begin_event(&mut self, event: Event) {
        match self.disturb(event) {
            Ok(undo) => {
                self.subject.say(self.begin, event.kind.name());
                *self.subject.found.done.entry(event.kind).or_default() += 1;
                if event.end_ms > event.begin_ms {
                    self.active.push((event, undo));
                }
            }
            Err(reason) => {
                let skipped = &mut self.subject.found.skipped;
                if skipped.insert(event.kind, reason.clone()).is_none() {
                    self.subject
                        .say(self.begin, &format!("skipped: {}: {reason}", event.kind.name()));
                }
            }
        }
    }

    fn disturb(&mut self, event: Event) -> Result<Undo, String> {
        let subject = &mut *self.subject;
        let wire = || subject.wire.as_ref().map_err(Clone::clone);
        let pid = subject.program.pid();
        let running = || pid.ok_or_else(|| "the program had ended at that moment".to_owned());
        match event.kind {
            Kind::Lock => return subject.store.lock().map(Undo::Unlock),
            Kind::FullDisk => subject.disk.as_ref().map_err(Clone::clone)?.fill(),
            Kind::ServerHangs => signal(subject.server.as_ref().map_err(Clone::clone)?, Signal::SIGSTOP),
            Kind::ServerAway => subject.server.as_mut().map_err(|reason| reason.clone())?.kill(),
            Kind::NoCarrier => wire()?.switch(End::Sender, false)?,
            Kind::InterfaceDown => wire()?.switch(End::Listener, false)?,
            Kind::InterfaceGone => wire()?.take_away()?,
            Kind::Clock => match &subject.log {
                Some(log) => log.set_clock(traffic::step_of_log(event.draw)),
                None => {
                    let clock = subject.clock.as_ref().map_err(Clone::clone)?;
                    let seconds = i64::try_from(event.draw % 14_400).unwrap() - 7_200;
                    set_clock(clock, seconds)?;
                }
            },
            Kind::Descriptors => {
                let pid = running()?;
                return limit(pid, "nofile", &next_descriptor(pid)?.to_string());
            }
            Kind::Memory => {
                let pid = running()?;
                let kilobytes = subject.program.kilobytes("VmSize:").ok_or("no VmSize")? + SPARE_KB;
                return limit(pid, "as", &(kilobytes << 10).to_string());
            }
            Kind::Stop => subject.program.signal(Signal::SIGSTOP),
            Kind::Kill => subject.program.signal(Signal::SIGKILL),
            Kind::Terminate => {
                subject.program.signal(Signal::SIGTERM);
                self.asked_at = Some(Instant::now());
            }
            // Before it serves a program may not have said what SIGHUP is to do, and the system's answer is to end it.
            Kind::Hangup => match subject.program.serves_since() {
                Some(_) => subject.program.signal(Signal::SIGHUP),
                None => return Err("the program did not serve at that moment".to_owned()),
            },
        }
        Ok(Undo::Nothing)
    }

    /// Undoes what is over.
    pub(super) fn end_events(&mut self, now_ms: u64) {
        let active = std::mem::take(&mut self.active);
        let (over, active): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|(event, _)| event.end_ms <= now_ms);
        self.active = active;
        for (event, undo) in over {
            self.undo(event, undo);
            self.over = Instant::now();
            self.unhindered = self.over;
            self.subject
                .say(self.begin, &format!("{} is over", event.kind.name()));
        }
    }

    fn undo(&mut self, event: Event, undo: Undo) {
        let subject = &mut *self.subject;
        match undo {
            Undo::Unlock(other) => drop(other),
            // A program that was started since has its own limits.
            Undo::Limit(pid, name, before) if subject.program.pid() == Some(pid) => {
                drop(limit(pid, name, &before));
            }
            Undo::Limit(..) | Undo::Nothing => {}
        }
        match (event.kind, &mut subject.server) {
            (Kind::ServerHangs, Ok(server)) => signal(server, Signal::SIGCONT),
            (Kind::ServerAway, Ok(server)) => server.start_again().unwrap(),
            _ => {}
        }
        match (event.kind, &subject.disk, &subject.wire) {
            (Kind::FullDisk, Ok(disk), _) => disk.free(),
            (Kind::NoCarrier, _, Ok(wire)) => wire.switch(End::Sender, true).unwrap(),
            (Kind::InterfaceDown, _, Ok(wire)) => wire.switch(End::Listener, true).unwrap(),
            (Kind::InterfaceGone, _, Ok(wire)) => wire.lay().unwrap(),
            (Kind::Stop, _, _) => subject.program.signal(Signal::SIGCONT),
            (Kind::Clock, _, _) => match (&subject.log, &subject.clock) {
                (Some(log), _) => log.set_clock(0),
                (None, Ok(clock)) => set_clock(clock, 0).unwrap(),
                (None, Err(_)) => {}
            },
            _ => {}
        }
    }
}

fn signal(server: &MongoServer, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(server.id()).unwrap()), signal).unwrap();
}

/// Sets a limit of a process, and gives how to undo that.
fn limit(pid: u32, name: &'static str, value: &str) -> Result<Undo, String> {
    let pid_of = format!("--pid={pid}");
    let before = run(&[
        "prlimit",
        &pid_of,
        &format!("--{name}"),
        "--output=SOFT",
        "--noheadings",
        "--raw",
    ])?;
    run(&["prlimit", &pid_of, &format!("--{name}={value}:")])?;
    Ok(Undo::Limit(pid, name, before.trim().to_owned()))
}

/// The number that the next descriptor of a process would have.
fn next_descriptor(pid: u32) -> Result<u64, String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| error.to_string())?;
    let names = open.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let open: BTreeSet<u64> = names.filter_map(|name| name.parse().ok()).collect();
    (0..)
        .find(|number| !open.contains(number))
        .ok_or_else(|| "every descriptor is open".to_owned())
}

/// Sets by how many seconds the clock of a program is off.
fn set_clock(file: &Path, seconds: i64) -> Result<(), String> {
    std::fs::write(file, format!("{seconds:+}\n")).map_err(|error| error.to_string())
}

fn run(command: &[&str]) -> Result<String, String> {
    let name = command[0];
    let output = Command::new(name)
        .args(&command[1..])
        .output()
        .map_err(|error| format!("`{name}` does not start: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "`{name}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
