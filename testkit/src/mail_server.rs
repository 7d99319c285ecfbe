//! An SMTP server (`aiosmtpd`, from PyPI) that can be told to fail.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

/// The program of the server.
const PROGRAM: &str = include_str!("mail_server.py");

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mail {
    /// The name by which the sender has introduced itself.
    pub hello: String,
    /// Whether it came through TLS.
    pub tls: bool,
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// Headers and body as they came.
    pub content: String,
}

impl Mail {
    /// What it holds, without the quoting of its text.
    pub fn unquoted(&self) -> String {
        self.content
            .replace("=\r\n", "")
            .replace("=3D", "=")
            .replace("\r\n", "\n")
    }

    /// The ids and revisions of alerts that it lists.
    pub fn listed(&self) -> BTreeSet<(String, u64)> {
        let text = self.unquoted();
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let listed = words.windows(3).filter_map(|three| {
            let is_id = three[0].len() == 32 && three[0].bytes().all(|byte| byte.is_ascii_hexdigit());
            let revision = three[2]
                .parse()
                .ok()
                .filter(|_| is_id && three[1] == "revision")?;
            Some((three[0].to_owned(), revision))
        });
        listed.collect()
    }
}

/// How senders may speak to a server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `implicit` or `starttls`, and the files of certificate and key.
    pub tls: Option<(&'static str, PathBuf, PathBuf)>,
    /// A user and the password.
    pub login: Option<(&'static str, &'static str)>,
}

/// A server; it is killed when it is dropped.
pub struct MailServer {
    python: PathBuf,
    folder: TempDir,
    access: Access,
    port: u16,
    child: Option<Child>,
}

impl MailServer {
    /// Starts one.
    ///
    /// # Errors
    /// When `NETSAGE_PYTHON` names no Python that has `aiosmtpd`: why a test of it is skipped.
    pub fn start(access: Access) -> Result<Self, String> {
        let python = std::env::var_os("NETSAGE_PYTHON").filter(|path| !path.is_empty());
        let python = python.ok_or_else(|| {
            let why = std::env::var("NETSAGE_PYTHON_WHY_NOT");
            why.unwrap_or_else(|_| "NETSAGE_PYTHON names no Python with aiosmtpd".to_owned())
        })?;
        let has_it = Command::new(&python)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status();
        if !has_it.is_ok_and(|status| status.success()) {
            return Err("the Python that NETSAGE_PYTHON names has no aiosmtpd".to_owned());
        }
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        fs::write(folder.path().join("port"), "0").map_err(|error| error.to_string())?;
        let mut server = Self {
            python: python.into(),
            folder,
            access,
            port: 0,
            child: None,
        };
        server.restart();
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it does from now on: nothing but taking mails when empty; `slow`; `cuts` in the middle of a mail;
    /// `loses-answer` after a mail was taken; `mail`, `rcpt` or `data` and the answer to that command, the last to the whole
    /// mail; `nobody` and an address that it does not know; `most` and the largest size of a mail.
    pub fn set(&self, manner: &str) {
        let name = self.folder.path().join("manner");
        let part = self.folder.path().join("manner.part");
        fs::write(&part, manner).expect("a temporary file");
        fs::rename(part, name).expect("a temporary file");
    }

    /// The mails that it has taken, in their order.
    pub fn taken(&self) -> Vec<Mail> {
        let is_mail = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        let entries = fs::read_dir(self.folder.path()).expect("a temporary folder");
        let mut mails: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a temporary folder").path())
            .filter(is_mail)
            .collect();
        mails.sort();
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).expect("a mail")).expect("a mail");
        mails.iter().map(read).collect()
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child ends");
        }
    }

    /// Starts it again, at the port of before.
    pub fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(&self.python);
        command
            .args(["-W", "ignore", "-c", PROGRAM])
            .arg(self.folder.path());
        if let Some((kind, certificate, key)) = &self.access.tls {
            command.arg(kind).arg(certificate).arg(key);
        }
        if let Some((user, password)) = self.access.login {
            command.args(["login", user, password]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the server says its port");
        self.port = line.trim().parse().expect("the server says its port");
        self.child = Some(child);
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop();
    }
}
