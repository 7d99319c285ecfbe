//! Opens the source of a run and gives up privileges, before any other thread is started: capabilities belong to
//! threads, and none but those that capture shall have them.

use netsage_sources::{InputError, Progress, open_capture};

#[cfg(feature = "live")]
use crate::config::LiveSource;
use crate::config::{Resolved, Source};
use crate::pipeline::OpenSource;
use crate::privileges::{PrivilegeError, become_user, give_up_capabilities};

/// A source that is open, when there is one.
pub struct Opened {
    /// Where packets come from; `None` to serve what the store has.
    pub source: Option<OpenSource>,
    /// A file name, the interfaces, or `none`.
    pub name: String,
    /// How far a file has been read.
    pub progress: Option<Progress>,
}

/// Why a source is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The capture file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// An interface cannot be captured on.
    #[cfg(feature = "live")]
    #[error(transparent)]
    Live(#[from] netsage_capture::live::LiveError),
    /// The user or the capabilities cannot be changed.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
}

/// Opens the source that the settings name, and gives up privileges. `capturing` is told the name of each interface once
/// packets are taken from it, from the thread that takes them.
///
/// # Errors
/// See [`OpenError`].
pub fn open_source(
    settings: &Resolved,
    capturing: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Opened, OpenError> {
    let user = settings.user.as_deref();
    let opened = match &settings.source {
        #[cfg(feature = "live")]
        Source::Live(source) => {
            return Ok(Opened {
                source: Some(OpenSource::Live(start_capture(source, user, capturing)?)),
                name: source.interfaces.join(", "),
                progress: None,
            });
        }
        Source::None => Opened {
            source: None,
            name: "none".to_owned(),
            progress: None,
        },
        Source::Replay(file) => {
            let capture = open_capture(file)?;
            let name = file.file_name().unwrap_or(file.as_os_str());
            Opened {
                name: name.to_string_lossy().into_owned(),
                progress: Some(capture.progress()),
                source: Some(OpenSource::Replay(capture)),
            }
        }
    };
    #[cfg(not(feature = "live"))]
    let _ = capturing;
    if let Some(user) = user {
        become_user(user)?;
    }
    give_up_capabilities()?;
    Ok(opened)
}

/// Opens interfaces, changes the user, starts the capture threads (which inherit what opening an interface again needs)
/// and gives up capabilities on this thread.
///
/// # Errors
/// See [`OpenError`].
#[cfg(feature = "live")]
pub fn start_capture(
    source: &LiveSource,
    user: Option<&str>,
    capturing: impl Fn(&str) + Send + Sync + 'static,
) -> Result<netsage_capture::live::LiveCapture, OpenError> {
    use netsage_capture::live::{Change, LiveConfig, open};

    let opened = open(LiveConfig {
        interfaces: source.interfaces.clone(),
        bpf: source.bpf.clone(),
        promiscuous: source.promiscuous,
        ..LiveConfig::default()
    })?;
    if let Some(user) = user {
        become_user(user)?;
    }
    let capture = opened.start(move |change| match change {
        Change::Up {
            interface,
            again: false,
        } => capturing(&interface),
        Change::Up {
            interface,
            again: true,
        } => tracing::warn!(%interface, "capturing again"),
        Change::Down { interface, reason } => {
            tracing::error!(%interface, %reason, "packets are missed until the interface is back");
        }
    })?;
    give_up_capabilities()?;
    Ok(capture)
}
