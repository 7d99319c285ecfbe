//! `cargo xtask demo`: from a clone to a dashboard with alerts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::setup::Purpose;
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{build, serve};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --port 9090\n  \
                        cargo xtask demo --listen [::1]:8080"
)]
pub(crate) struct DemoArguments {
    /// Port of 127.0.0.1 to serve at.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Address and port to serve at, instead of 127.0.0.1; the program refuses one that others can reach unless a
    /// token is configured.
    #[arg(long, conflicts_with = "port")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct AnnounceArguments {
    /// Address that the program serves at.
    address: SocketAddr,
    /// Process that becomes the program.
    process: u32,
}

/// Builds, generates, replays and serves until Ctrl-C.
pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    let address = arguments
        .listen
        .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), arguments.port));
    // Before the build: nobody wants to wait for minutes to hear this.
    ensure_free(address)?;
    let workspace = Workspace::find()?;
    let steps = Steps::new(build::STEPS + 1);
    let program = build::all(&workspace, &steps, Purpose::Build)?;
    let capture = steps.run("Generating half an hour of traffic", |line| {
        serve::capture(&workspace, &program, line)
    })?;
    let took = steps.finish();
    eprintln!(
        "ready after {:.1} s; replaying {}",
        took.as_secs_f64(),
        capture.display()
    );

    let folder = workspace.target.join("netsage-demo");
    let mut host = serve::run_command(&workspace, &program, &capture, &folder, address)?;
    // This process becomes the program, so that Ctrl-C reaches it alone and its way of stopping is the only one.
    // What is to be said once the replay is through is left to a second process, which ends then.
    let this = std::env::current_exe().context("cannot find the program that is running")?;
    workspace
        .command(this)
        .args(["announce", &address.to_string(), &std::process::id().to_string()])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start the process that waits for the replay")?;
    Err(host.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// Waits for the replay to end and says where to look.
pub(crate) fn announce(arguments: &AnnounceArguments) {
    while !serve::is_finished(arguments.address) {
        // The program has ended; it has said why.
        if parent_id() != arguments.process {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    eprintln!("\nNetSage is at http://{}", arguments.address);
    eprintln!(
        "Open Alerts: the port scan, the SYN flood, the DNS tunnel and the brute force are there, each with the \
         features that gave it away. Ctrl-C stops."
    );
}

fn ensure_free(address: SocketAddr) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {} of {} is taken: stop the program that uses it, or choose another one with --port",
            address.port(),
            address.ip()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot serve at {address}; choose another with --listen"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_reported_with_the_flag_that_helps() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let error = ensure_free(listener.local_addr().unwrap()).expect_err("the port is in use");
        assert!(error.to_string().contains("--port"), "{error}");
    }
}
