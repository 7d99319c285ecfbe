//! Two network namespaces joined by a veth pair.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

/// Larger than any packet of generated traffic.
const MTU: &str = "9000";

/// An end of a wire.
#[derive(Clone, Copy)]
pub enum End {
    /// Where packets are sent.
    Sender,
    /// Where packets are captured.
    Listener,
}

/// Two namespaces and the wire between them, gone when it is dropped.
pub struct Wire {
    sender: String,
    listener: String,
}

impl Wire {
    /// The name of the interface at either end.
    pub const INTERFACE: &str = "wire0";

    /// Makes them.
    ///
    /// # Errors
    /// Why this machine has none.
    pub fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("netsage-{}-{number}-{end}", std::process::id());
        let wire = Self {
            sender: name("a"),
            listener: name("b"),
        };
        wire.set_up()?;
        Ok(wire)
    }

    fn set_up(&self) -> Result<(), String> {
        for namespace in [&self.sender, &self.listener] {
            ip(&["netns", "add", namespace])?;
            // The kernel would speak IPv6 on the wire by itself.
            let quiet = ["all", "default"].map(|what| format!("net.ipv6.conf.{what}.disable_ipv6"));
            inside(namespace, || {
                for setting in quiet {
                    let _ = std::fs::write(format!("/proc/sys/{}", setting.replace('.', "/")), "1");
                }
            });
        }
        self.lay()?;
        for namespace in [&self.sender, &self.listener] {
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// Joins the two by a veth pair.
    ///
    /// # Errors
    /// What the system says against it.
    pub fn lay(&self) -> Result<(), String> {
        let end = Self::INTERFACE;
        let (sender, listener) = (&self.sender, &self.listener);
        let here = ["link", "add", end, "mtu", MTU, "netns", sender, "type", "veth"];
        let there = ["peer", "name", end, "mtu", MTU, "netns", listener];
        ip(&[&here[..], &there[..]].concat())?;
        for namespace in [sender, listener] {
            ip(&["-n", namespace, "link", "set", end, "up"])?;
        }
        Ok(())
    }

    /// Takes the wire away.
    ///
    /// # Errors
    /// What the system says against it.
    pub fn take_away(&self) -> Result<(), String> {
        ip(&["-n", &self.sender, "link", "del", Self::INTERFACE])
    }

    /// Switches the interface of one end on or off.
    ///
    /// # Errors
    /// What the system says against it.
    pub fn switch(&self, end: End, on: bool) -> Result<(), String> {
        let namespace = match end {
            End::Sender => &self.sender,
            End::Listener => &self.listener,
        };
        let state = if on { "up" } else { "down" };
        ip(&["-n", namespace, "link", "set", Self::INTERFACE, state])
    }

    /// Runs `work` at the end that listens: processes and sockets made by it are there.
    pub fn listening<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.listener, work)
    }

    /// Runs `work` at the end that sends.
    pub fn sending<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.sender, work)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.sender, &self.listener] {
            // At the end of a test there is nobody to tell.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

/// Runs `work` on a thread in a namespace.
fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let entrance = File::open(Path::new("/run/netns").join(namespace)).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            setns(entrance, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| format!("`ip` of iproute2 does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`ip {}`: {}", arguments.join(" "), said.trim()))
}
