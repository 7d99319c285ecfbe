//! nginx as the TLS end before a server on this machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::certificates::Certificates;
use crate::server::{free_port, wait_for_port};

/// An nginx of a test's own, which can be stopped and started again on its port.
pub struct Nginx {
    certificates: Certificates,
    port: u16,
    child: Option<Child>,
}

impl Nginx {
    /// Starts one that passes calls on to `upstream`, an address with a port. Callers must show a certificate of its
    /// authority where `asks_for_certificates`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(upstream: &str, asks_for_certificates: bool) -> Result<Self, String> {
        let certificates = Certificates::new()?;
        let port = free_port()?;
        let folder = certificates.file("");
        let folder = folder.display();
        let verify = if asks_for_certificates { "on" } else { "off" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let settings = format!(
            "daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
access_log off;
client_max_body_size 16m;
{temporary}server {{
listen 127.0.0.1:{port} ssl;
ssl_certificate {folder}/server.pem;
ssl_certificate_key {folder}/server.key;
ssl_client_certificate {folder}/authority.pem;
ssl_verify_client {verify};
location / {{
proxy_pass http://{upstream};
proxy_set_header Host $http_host;
}}
}}
}}
"
        );
        fs::write(certificates.file("nginx.conf"), settings)
            .map_err(|error| format!("cannot write its settings: {error}"))?;
        let mut nginx = Self {
            certificates,
            port,
            child: None,
        };
        nginx.start_again()?;
        Ok(nginx)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A file of its folder: `authority.pem`, `stranger.pem`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.certificates.file(name)
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already is as dead.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it on the same port.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        let program = ["nginx", "/usr/sbin/nginx"];
        let is_there = |name: &&&str| {
            let asked = Command::new(name).arg("-v").stderr(Stdio::null()).status();
            asked.is_ok()
        };
        let program = program.iter().find(is_there).ok_or("nginx is not installed")?;
        let mut child = Command::new(program)
            .arg("-p")
            .arg(self.certificates.file(""))
            .arg("-c")
            .arg(self.certificates.file("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start nginx: {error}"))?;
        wait_for_port("nginx", self.port, &mut child)?;
        self.child = Some(child);
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}
