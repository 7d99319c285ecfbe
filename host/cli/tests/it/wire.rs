//! Two network namespaces joined by a veth pair, and a replayer for one end of it.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netsage_capture::file::CaptureReader;
use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

/// Larger than any packet of generated traffic.
const MTU: &str = "9000";

/// An end of a wire.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Sender,
    Listener,
}

/// Two namespaces and the wire between them, gone when it is dropped.
pub(crate) struct Wire {
    sender: String,
    listener: String,
}

impl Wire {
    /// The name of the interface at either end.
    pub(crate) const INTERFACE: &str = "wire0";

    /// Makes them; says why not when it cannot.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("netsage-{}-{number}-{end}", std::process::id());
        let wire = Self {
            sender: name("a"),
            listener: name("b"),
        };
        match wire.set_up() {
            Ok(()) => Some(wire),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
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
    fn lay(&self) -> Result<(), String> {
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

    /// Runs `work` at the end that listens: processes and sockets made by it are there.
    pub(crate) fn listening<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.listener, work)
    }

    /// Takes the wire away and lays it anew.
    pub(crate) fn replace(&self) {
        ip(&["-n", &self.sender, "link", "del", Self::INTERFACE]).unwrap();
        self.lay().unwrap();
    }

    /// Switches the interface of one end on or off.
    pub(crate) fn switch(&self, end: End, on: bool) {
        let namespace = match end {
            End::Sender => &self.sender,
            End::Listener => &self.listener,
        };
        let state = if on { "up" } else { "down" };
        ip(&["-n", namespace, "link", "set", Self::INTERFACE, state]).unwrap();
    }

    /// Sends the packets of a capture at the times that it states, and gives their number.
    pub(crate) fn replay(&self, capture: &Path) -> u64 {
        inside(&self.sender, || {
            let mut out = pcap::Capture::from_device(Self::INTERFACE)
                .unwrap()
                .open()
                .unwrap();
            let mut reader = CaptureReader::new(File::open(capture).unwrap()).unwrap();
            let begin = Instant::now();
            let mut first_ns = None;
            while let Some(packet) = reader.next_packet().unwrap() {
                let first_ns = *first_ns.get_or_insert(packet.time_ns);
                let due = Duration::from_nanos(u64::try_from(packet.time_ns - first_ns).unwrap());
                let early = due.saturating_sub(begin.elapsed());
                // Shorter waits than the system can keep come out even over the next packets.
                if early > Duration::from_millis(1) {
                    thread::sleep(early);
                }
                out.sendpacket(packet.bytes).unwrap();
            }
            reader.packets_read()
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.sender, &self.listener] {
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

/// Writes a capture's packets into another, as if they had been sent at this rate, without a pause; those that
/// `keep` refuses by their number are left out.
pub(crate) fn retime(from: &Path, to: &Path, bits_per_second: u64, keep: impl Fn(u64) -> bool) {
    let mut reader = CaptureReader::new(File::open(from).unwrap()).unwrap();
    // The magic of nanosecond times, version 2.4, Ethernet.
    let mut file = 0xa1b2_3c4d_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    let mut time_ns = 1_767_603_600 * 1_000_000_000_u64;
    let mut number = 0;
    while let Some(packet) = reader.next_packet().unwrap() {
        number += 1;
        if !keep(number) {
            continue;
        }
        let length = u32::try_from(packet.bytes.len()).unwrap().to_le_bytes();
        file.extend(u32::try_from(time_ns / 1_000_000_000).unwrap().to_le_bytes());
        file.extend(u32::try_from(time_ns % 1_000_000_000).unwrap().to_le_bytes());
        file.extend(length);
        file.extend(length);
        file.extend(packet.bytes);
        time_ns += packet.bytes.len() as u64 * 8 * 1_000_000_000 / bits_per_second;
    }
    std::fs::write(to, file).unwrap();
}
