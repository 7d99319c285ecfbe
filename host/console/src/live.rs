//! Starts a live capture: opens the interfaces, gives up privileges, starts their threads.

use netsage_api_types::InterfaceHealth;
use netsage_capture::live::{Change, LiveCapture, LiveConfig, open};
use netsage_gateway::config::LiveSource;
use netsage_gateway::privileges::{become_user, give_up_capabilities};

use crate::Failure;

/// Starts a live capture. To be called before other threads are started: they would keep privileges.
///
/// # Errors
/// When an interface cannot be opened, or privileges cannot be given up.
pub fn start(source: &LiveSource, user: Option<&str>) -> Result<LiveCapture, Failure> {
    let opened = open(LiveConfig {
        interfaces: source.interfaces.clone(),
        bpf: source.bpf.clone(),
        promiscuous: source.promiscuous,
        ..LiveConfig::default()
    })?;
    if let Some(user) = user {
        become_user(user)?;
    }
    let capture = opened.start(tell)?;
    give_up_capabilities()?;
    Ok(capture)
}

fn tell(change: Change) {
    match change {
        Change::Up {
            interface,
            again: false,
        } => eprintln!("capturing on {interface}"),
        Change::Up {
            interface,
            again: true,
        } => tracing::warn!(%interface, "capturing again"),
        Change::Down { interface, reason } => {
            tracing::error!(%interface, %reason, "packets are missed until the interface is back");
        }
    }
}

/// What was counted on an interface, for the summary at the end.
pub fn summary(stats: &InterfaceHealth) -> String {
    let failures = match stats.failures {
        0 => String::new(),
        1 => ", went away once".to_owned(),
        failures => format!(", went away {failures} times"),
    };
    format!(
        "{}: {} packets, {} dropped by the kernel, {} dropped by the interface{failures}",
        stats.name, stats.received, stats.kernel_drops, stats.interface_drops
    )
}

/// Loss that the protocol tells; `None` when there is none.
pub fn gaps(gaps: u64, bytes: u64) -> Option<String> {
    (gaps > 0).then(|| {
        format!("TCP acknowledged {bytes} bytes in {gaps} gaps that were never seen: packets were lost before or in the capture")
    })
}
