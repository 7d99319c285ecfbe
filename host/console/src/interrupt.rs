//! Ctrl-C, SIGTERM, and the loss of the terminal.
//!
//! A terminal that goes away ends what was started from it, by SIGHUP. A program without one, such as a service, gets
//! SIGHUP from tools that want a log reopened or a configuration read again, and goes on; so does a program under `nohup`.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};

/// What SIGHUP does, as it was at the start: when the signal comes the terminal is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hangup {
    /// As SIGTERM: there is a controlling terminal.
    Ends,
    /// Nothing, as whoever started the program arranged.
    Ignored,
    /// It is to do nothing: there is no terminal.
    Unwanted,
}

fn hangup() -> Hangup {
    static HANGUP: OnceLock<Hangup> = OnceLock::new();
    *HANGUP.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if ignores_hangup(&status) {
            Hangup::Ignored
        } else if fs::File::open("/dev/tty").is_ok() {
            Hangup::Ends
        } else {
            Hangup::Unwanted
        }
    })
}

/// Whether a process ignores SIGHUP, by what Linux says of the process.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// Has SIGHUP do nothing when there is no controlling terminal. To be called first, by every command.
///
/// # Errors
/// When the system refuses to pass the signal on.
pub fn survive_hangup() -> std::io::Result<()> {
    if hangup() == Hangup::Unwanted {
        // The flag is for nobody; a handler is what takes the place of the end of the program.
        signal_hook::flag::register(SIGHUP, Arc::default())?;
    }
    Ok(())
}

/// Completes when Ctrl-C is pressed, the system sends SIGTERM, or the controlling terminal goes away.
pub async fn interrupted() {
    let received = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    };
    let hung_up = async {
        match hangup() {
            Hangup::Ends => received(SignalKind::hangup()).await,
            Hangup::Ignored | Hangup::Unwanted => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = received(SignalKind::terminate()) => {}
        () = hung_up => {}
    }
}

/// A flag that the same signals set, for commands without a Tokio runtime. No thread is started, so the flag can be
/// made before privileges are given up.
///
/// # Errors
/// When the system refuses to pass signals on.
pub fn flag() -> std::io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let hangup = (hangup() == Hangup::Ends).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        for (status, expected) in [
            ("Name:\tnetsage\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigIgn:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), expected, "{status:?}");
        }
    }
}
