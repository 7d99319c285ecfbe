//! Receivers of syslog as people run them: rsyslog and syslog-ng, each without privileges in a folder of its own.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::debian::Unpacked;
use crate::server::{Watched, free_port};

/// Which program receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// rsyslog, with TLS by OpenSSL.
    Rsyslog,
    /// syslog-ng.
    SyslogNg,
}

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream with octet counting.
    Tcp,
    /// A stream in which a line feed ends each message.
    Lines,
    /// TLS, for any client.
    Tls,
    /// TLS, for clients with a certificate of the authority.
    MutualTls,
}

/// A message as the receiver has understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Facility times eight and severity.
    pub priority: String,
    /// The host that it is said to come from.
    pub host: String,
    /// The program that it is said to come from.
    pub program: String,
    /// What kind of message it is said to be.
    pub kind: String,
    /// The structured data, as it was written.
    pub data: String,
    /// The text.
    pub text: String,
}

#[derive(Clone, Copy)]
struct Ports {
    udp: u16,
    tcp: u16,
    lines: u16,
    tls: u16,
    mutual: u16,
}

/// A receiver that can be held up, ended and started again.
pub struct SyslogServer {
    program: Program,
    unpacked: Unpacked,
    ports: Ports,
    certificates: Certificates,
    folder: TempDir,
    server: Watched,
}

impl SyslogServer {
    /// Starts one. Its certificate is of 127.0.0.1 and of no name.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(program: Program) -> Result<Self, String> {
        let unpacked = match program {
            Program::Rsyslog => Unpacked::new("rsyslog", &["rsyslog", "rsyslog-openssl"])?,
            Program::SyslogNg => Unpacked::new("syslog-ng", &["syslog-ng-core"])?,
        };
        let certificates = Certificates::new()?;
        certificates.sign("authority", "address", "IP:127.0.0.1")?;
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let udp = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let tcp = free_port()?;
        let ports = Ports {
            udp: udp.map_err(|error| format!("no free port: {error}"))?.port(),
            tcp,
            // rsyslog tells the two by the first byte.
            lines: if program == Program::Rsyslog {
                tcp
            } else {
                free_port()?
            },
            tls: free_port()?,
            mutual: free_port()?,
        };
        let server = run(program, &unpacked, ports, &certificates, folder.path())?;
        Ok(Self {
            program,
            unpacked,
            ports,
            certificates,
            folder,
            server,
        })
    }

    /// `host:port`, by this transport.
    pub fn place(&self, transport: Transport) -> String {
        let port = match transport {
            Transport::Udp => self.ports.udp,
            Transport::Tcp => self.ports.tcp,
            Transport::Lines => self.ports.lines,
            Transport::Tls => self.ports.tls,
            Transport::MutualTls => self.ports.mutual,
        };
        format!("127.0.0.1:{port}")
    }

    /// The certificates that it uses and trusts.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// What it has written so far, in this order.
    pub fn received(&self) -> Vec<Received> {
        let text = fs::read(self.folder.path().join("received")).unwrap_or_default();
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        // What stands behind the last line feed is not written to its end.
        lines.pop();
        (lines.into_iter().filter(|line| !line.is_empty()))
            .map(|line| received(line).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(line))))
            .collect()
    }

    /// What it has said of itself.
    pub fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        read("said") + &read("said.err")
    }

    /// Holds it up, or lets it go on.
    pub fn hold(&self, is_held: bool) {
        self.server
            .signal(if is_held { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    /// Ends it, at once or as its operator would.
    pub fn end(&mut self, at_once: bool) {
        self.server
            .signal(if at_once { Signal::SIGKILL } else { Signal::SIGTERM });
        self.server.wait();
    }

    /// Starts it on the same ports, on what it had.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        let (unpacked, certificates) = (&self.unpacked, &self.certificates);
        self.server = run(
            self.program,
            unpacked,
            self.ports,
            certificates,
            self.folder.path(),
        )?;
        Ok(())
    }
}

fn received(line: &[u8]) -> Option<Received> {
    let value: Value = serde_json::from_slice(line).ok()?;
    // syslog-ng leaves out what is empty.
    let field = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        text.trim_start_matches('\u{feff}').to_owned()
    };
    Some(Received {
        priority: field("priority"),
        host: field("host"),
        program: field("program"),
        kind: field("kind"),
        data: field("data"),
        text: field("text").trim_start().to_owned(),
    })
}

fn run(
    program: Program,
    unpacked: &Unpacked,
    ports: Ports,
    certificates: &Certificates,
    folder: &Path,
) -> Result<Watched, String> {
    let settings = folder.join("settings");
    let (text, mut command) = match program {
        Program::Rsyslog => {
            let text = rsyslog_settings(ports, certificates, &folder.join("received"));
            let mut command = unpacked.command("rsyslogd")?;
            let modules = folder_of(unpacked, "imtcp.so")?;
            command.arg("-n").arg("-iNONE").arg("-M").arg(modules);
            (text, command)
        }
        Program::SyslogNg => {
            let text = syslog_ng_settings(ports, certificates, &folder.join("received"));
            let mut command = unpacked.command("syslog-ng")?;
            let modules = folder_of(unpacked, "libsyslogformat.so")?;
            command
                .args(["-F", "--no-caps", "--stderr", "--module-path"])
                .arg(modules);
            for (flag, name) in [("-R", "persist"), ("-c", "control"), ("-p", "pid")] {
                command.arg(flag).arg(folder.join(name));
            }
            (text, command)
        }
    };
    fs::write(&settings, text).map_err(|error| format!("cannot write its settings: {error}"))?;
    command.arg("-f").arg(&settings);
    start(&command, ports, folder)
}

fn start(command: &Command, ports: Ports, folder: &Path) -> Result<Watched, String> {
    let output = folder.join("said");
    let server = Watched::start(command, &output)?;
    for port in [ports.tcp, ports.lines, ports.tls, ports.mutual] {
        server.wait_for_port("syslog", port).map_err(|error| {
            let said = fs::read_to_string(folder.join("said.err")).unwrap_or_default();
            format!("{error}: {said}")
        })?;
    }
    Ok(server)
}

fn folder_of(unpacked: &Unpacked, module: &str) -> Result<PathBuf, String> {
    unpacked
        .folder_of(module)
        .ok_or_else(|| format!("there is no {module}"))
}

/// What comes is written at once and in its order, so that a receiver that is killed has lost what it had not read and no
/// more.
fn rsyslog_settings(ports: Ports, certificates: &Certificates, received: &Path) -> String {
    let Ports {
        udp,
        tcp,
        tls,
        mutual,
        ..
    } = ports;
    let secured = |port, mode| {
        format!(
            r#"input(type="imtcp" address="127.0.0.1" port="{port}" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="{mode}")"#
        )
    };
    format!(
        r#"global(maxMessageSize="128k"
    defaultNetstreamDriverCAFile="{authority}"
    defaultNetstreamDriverCertFile="{certificate}"
    defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="Direct")
module(load="imudp")
module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
{anyone}
{known}
template(name="fields" type="list" option.jsonf="on") {{
    property(outname="priority" name="pri" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="program" name="app-name" format="jsonf")
    property(outname="kind" name="msgid" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="text" name="msg" format="jsonf")
}}
if $programname != "rsyslogd" then action(type="omfile" file="{received}" template="fields")
"#,
        authority = certificates.certificate("authority").display(),
        certificate = certificates.certificate("address").display(),
        key = certificates.key("address").display(),
        anyone = secured(tls, "anon"),
        known = secured(mutual, "x509/certvalid"),
        received = received.display(),
    )
}

fn syslog_ng_settings(ports: Ports, certificates: &Certificates, received: &Path) -> String {
    let Ports {
        udp,
        tcp,
        lines,
        tls,
        mutual,
    } = ports;
    let secured = |port, verify| {
        format!(
            r#"syslog(ip("127.0.0.1") port({port}) transport("tls") tls(key-file("{}") cert-file("{}") ca-file("{}") peer-verify({verify})));"#,
            certificates.key("address").display(),
            certificates.certificate("address").display(),
            certificates.certificate("authority").display(),
        )
    };
    format!(
        r#"@version: 3.38
options {{ keep-hostname(yes); use-dns(no); dns-cache(no); log-msg-size(131072); flush-lines(1); stats-freq(0); }};
source s {{
    syslog(ip("127.0.0.1") port({udp}) transport("udp"));
    syslog(ip("127.0.0.1") port({tcp}) transport("tcp"));
    network(ip("127.0.0.1") port({lines}) transport("tcp") flags(syslog-protocol));
    {anyone}
    {known}
}};
destination d {{
    file("{received}" template("$(format-json priority=$PRI host=$HOST program=$PROGRAM kind=$MSGID data=$SDATA text=$MSG)\n"));
}};
log {{ source(s); destination(d); flags(flow-control); }};
"#,
        anyone = secured(tls, "optional-untrusted"),
        known = secured(mutual, "required-trusted"),
        received = received.display(),
    )
}
