//! Mosquitto, a broker of MQTT, with a subscriber that takes everything.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::debian::Unpacked;
use crate::server::{Watched, free_port, run};

/// The user whom the broker knows.
pub const USER: &str = "sensor";
/// Its password.
pub const PASSWORD: &str = "tulip-harbour-19";

/// How long a subscriber may take to be known to the broker.
const PATIENCE: Duration = Duration::from_secs(30);

/// How clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Without TLS, anybody.
    Open,
    /// Without TLS, with a password.
    Password,
    /// With TLS, anybody.
    Tls,
    /// With TLS, with a certificate of the authority.
    MutualTls,
}

const DOORS: [Door; 4] = [Door::Open, Door::Password, Door::Tls, Door::MutualTls];

/// A message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its topic.
    pub topic: String,
    /// What it holds.
    pub payload: String,
    /// Whether it is what the broker had kept, from before the subscriber came.
    pub is_retained: bool,
}

/// A broker that can be held up, ended and started again.
pub struct Mosquitto {
    unpacked: Unpacked,
    ports: [u16; DOORS.len()],
    certificates: Certificates,
    folder: TempDir,
    server: Watched,
}

impl Mosquitto {
    /// Starts one. Its certificate is of 127.0.0.1 and of no name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        let unpacked = Unpacked::new("mosquitto", &["mosquitto", "mosquitto-clients"])?;
        let certificates = Certificates::new()?;
        certificates.sign("authority", "address", "IP:127.0.0.1")?;
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let passwords = folder.path().join("passwords");
        run(unpacked
            .command("mosquitto_passwd")?
            .args(["-b", "-c"])
            .arg(&passwords)
            .args([USER, PASSWORD]))?;
        let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
        let settings = settings(ports, &certificates, &folder);
        fs::write(folder.path().join("settings"), settings)
            .map_err(|error| format!("cannot write its settings: {error}"))?;
        let server = start(&unpacked, ports, &folder)?;
        Ok(Self {
            unpacked,
            ports,
            certificates,
            folder,
            server,
        })
    }

    /// `host:port` of a door.
    pub fn place(&self, door: Door) -> String {
        format!("127.0.0.1:{}", self.port(door))
    }

    fn port(&self, door: Door) -> u16 {
        let place = DOORS.iter().position(|one| *one == door);
        self.ports[place.expect("one of the doors")]
    }

    /// The certificates that it uses and trusts.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Has a subscriber of this name take everything from now on. The broker keeps for the subscriber what comes while it is
    /// away.
    ///
    /// # Errors
    /// Why there is none.
    pub fn subscribe(&self, name: &str) -> Result<Subscriber, String> {
        let mut command = self.unpacked.command("mosquitto_sub")?;
        command
            .args(["-h", "127.0.0.1", "-p", &self.port(Door::Open).to_string()])
            .args(["-t", "#", "-q", "1", "-c", "-F", "%j", "-i", name]);
        let output = self.folder.path().join(name);
        let subscriber = Watched::start(&command, &output)?;
        // What is published before the broker knows the subscriber does not come to it.
        let subscribed = format!("{name} 1 #");
        let said = self.folder.path().join("said.err");
        let began = Instant::now();
        while !fs::read_to_string(&said)
            .unwrap_or_default()
            .contains(&subscribed)
        {
            if began.elapsed() > PATIENCE {
                return Err(format!("the broker has not heard of {name} for {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Subscriber {
            output,
            _process: subscriber,
        })
    }

    /// Holds it up, or lets it go on.
    pub fn hold(&self, is_held: bool) {
        self.server
            .signal(if is_held { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    /// Ends it as its operator would: it keeps what its subscribers have not got.
    pub fn end(&mut self) {
        self.server.signal(Signal::SIGTERM);
        self.server.wait();
    }

    /// Starts it on the same ports, on what it had.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.server = start(&self.unpacked, self.ports, &self.folder)?;
        Ok(())
    }
}

/// Somebody who takes everything that is published.
pub struct Subscriber {
    output: std::path::PathBuf,
    _process: Watched,
}

impl Subscriber {
    /// What has come so far.
    pub fn published(&self) -> Vec<Published> {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(published).collect()
    }
}

fn published(line: &str) -> Published {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Published {
        topic: text("topic"),
        payload: text("payload"),
        is_retained: value["retain"].as_i64() == Some(1),
    }
}

fn start(unpacked: &Unpacked, ports: [u16; DOORS.len()], folder: &TempDir) -> Result<Watched, String> {
    let mut command: Command = unpacked.command("mosquitto")?;
    command.arg("-c").arg(folder.path().join("settings"));
    let server = Watched::start(&command, &folder.path().join("said"))?;
    for port in ports {
        server.wait_for_port("MQTT", port).map_err(|error| {
            let said = fs::read_to_string(folder.path().join("said.err")).unwrap_or_default();
            format!("{error}: {said}")
        })?;
    }
    Ok(server)
}

fn settings(ports: [u16; DOORS.len()], certificates: &Certificates, folder: &TempDir) -> String {
    let mut text = format!(
        "per_listener_settings true
persistence true
persistence_location {}/
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
max_packet_size 65536
",
        folder.path().display()
    );
    for (door, port) in DOORS.into_iter().zip(ports) {
        text += &format!("listener {port} 127.0.0.1\n");
        text += &match door {
            Door::Password => format!(
                "allow_anonymous false\npassword_file {}\n",
                folder.path().join("passwords").display()
            ),
            _ => "allow_anonymous true\n".to_owned(),
        };
        if matches!(door, Door::Tls | Door::MutualTls) {
            text += &format!(
                "cafile {}\ncertfile {}\nkeyfile {}\n",
                certificates.certificate("authority").display(),
                certificates.certificate("address").display(),
                certificates.key("address").display(),
            );
        }
        if door == Door::MutualTls {
            text += "require_certificate true\n";
        }
    }
    // As root it would take another user, who may not read its folder.
    text + "user root\n"
}
