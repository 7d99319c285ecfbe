//! Opens the source of a run and gives up privileges, before any other thread is started: capabilities belong to
//! threads, and none but those that capture shall have them.

use std::sync::Arc;

use netsage_schema::RECORD_V1;
use netsage_sources::stream::{Inbox, InboxError, Stream, Transport, open_records};
use netsage_sources::{Input, Progress, Source as FlowSource, SourceError, open_with};

#[cfg(feature = "live")]
use crate::config::InterfaceSettings;
use crate::config::{Resolved, Source};
use crate::private_files;
use crate::privileges::{PrivilegeError, become_user, give_up_capabilities};
use crate::senders::Senders;

/// The folder of the inbox in the data folder.
const INBOX: &str = "inbox";

/// The sources of a run, open and not read yet.
pub struct Opened {
    /// Where flows come from; none to serve what the store has.
    pub sources: Vec<Box<dyn FlowSource>>,
    /// A file name, the interfaces, or `none`.
    pub name: String,
    /// How far a file has been read.
    pub progress: Option<Progress>,
    /// Where records wait that came by HTTP, if they may.
    pub inbox: Option<Arc<Inbox>>,
    /// Who forwards flows to this program.
    pub senders: Arc<Senders>,
}

/// Why a source is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The inbox cannot be opened.
    #[error(transparent)]
    Inbox(#[from] InboxError),
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
    let senders = Arc::<Senders>::default();
    // The inputs of records that go on, which are one source.
    let mut streams: Vec<Box<dyn Transport>> = Vec::new();
    let mut opened = match &settings.source {
        #[cfg(feature = "live")]
        Source::Interfaces(source) => {
            let interfaces = open_interfaces(source, user, capturing)?;
            let mut opened = Opened {
                sources: vec![Box::new(interfaces.metered(&settings.meter))],
                name: source.names.join(", "),
                progress: None,
                inbox: None,
                senders: Arc::clone(&senders),
            };
            open_streams(settings, streams, &mut opened)?;
            return Ok(opened);
        }
        // Its threads are started with the first read, and so without privileges.
        #[cfg(feature = "kafka")]
        Source::Kafka(kafka) => Opened {
            sources: vec![Box::new(netsage_sources::kafka::Kafka::open(kafka.options(
                &settings.records,
                &settings.streams,
                listener(&senders),
            ))?)],
            name: format!("topic {}", kafka.topic),
            progress: None,
            inbox: None,
            senders: Arc::clone(&senders),
        },
        // Its thread is started with the first read, and so without privileges.
        #[cfg(target_os = "linux")]
        Source::Netflow(options) => Opened {
            name: format!("exporters on {}", options.address),
            sources: vec![Box::new(netsage_sources::Netflow::open(
                (**options).clone(),
                settings.meter.schema,
            )?)],
            progress: None,
            inbox: None,
            senders: Arc::clone(&senders),
        },
        Source::None => Opened {
            sources: Vec::new(),
            name: "none".to_owned(),
            progress: None,
            inbox: None,
            senders: Arc::clone(&senders),
        },
        Source::Records(named) => {
            let records = open_records(named, &settings.records, settings.meter.schema, settings.files)?;
            streams = records.streams;
            Opened {
                sources: records.files.into_iter().collect(),
                name: named.join(", "),
                progress: records.progress,
                inbox: None,
                senders: Arc::clone(&senders),
            }
        }
        Source::Replay(file) => {
            let (input, progress) = open_with(file, &settings.records)?;
            let source: Box<dyn FlowSource> = match input {
                Input::Capture(capture) if progress.total == 0 => {
                    Box::new(capture.piped().metered(&settings.meter))
                }
                Input::Capture(capture) => Box::new(capture.metered(&settings.meter)),
                Input::Table(table) => Box::new(table.into_source(settings.meter.schema)?),
                Input::Records(records) => Box::new(records.into_source(settings.meter.schema)?),
            };
            let name = file.file_name().unwrap_or(file.as_os_str());
            Opened {
                name: name.to_string_lossy().into_owned(),
                progress: Some(progress),
                sources: vec![source],
                inbox: None,
                senders: Arc::clone(&senders),
            }
        }
    };
    #[cfg(not(feature = "live"))]
    let _ = capturing;
    if let Some(user) = user {
        become_user(user)?;
    }
    give_up_capabilities()?;
    open_streams(settings, streams, &mut opened)?;
    Ok(opened)
}

/// Hears what senders say of themselves in a topic.
#[cfg(feature = "kafka")]
fn listener(senders: &Arc<Senders>) -> netsage_sources::kafka::Listener {
    let senders = Arc::clone(senders);
    netsage_sources::kafka::Listener {
        header: netsage_forward::HEADER,
        hear: Arc::new(move |header, at| senders.hear(header, at)),
    }
}

/// Makes one source of the inputs that go on, the inbox among them.
fn open_streams(
    settings: &Resolved,
    mut streams: Vec<Box<dyn Transport>>,
    opened: &mut Opened,
) -> Result<(), OpenError> {
    let name = match &settings.source {
        Source::Records(named) => named.join(", "),
        _ => "inbox".to_owned(),
    };
    if let Some(limit) = settings.inbox {
        // As the gateway makes it: for its user alone.
        private_files::make_folder(&settings.data_dir).map_err(|source| InboxError::Disk {
            folder: settings.data_dir.clone(),
            source,
        })?;
        let inbox = Arc::new(Inbox::open(&settings.data_dir.join(INBOX), limit)?);
        streams.push(Box::new(inbox.transport(settings.exit_when_done)));
        opened.inbox = Some(inbox);
        if matches!(settings.source, Source::None) {
            opened.name.clone_from(&name);
        }
    }
    if streams.is_empty() {
        return Ok(());
    }
    let schema = settings.meter.schema;
    if schema != &RECORD_V1 {
        return Err(OpenError::Source(SourceError::Schema {
            name,
            found: RECORD_V1.id,
            wanted: schema.id,
        }));
    }
    (opened.sources).push(Box::new(Stream::new(&name, streams, settings.streams.clone())));
    Ok(())
}

/// Opens interfaces, changes the user, starts the capture threads (which inherit what opening an interface again needs)
/// and gives up capabilities on this thread.
///
/// # Errors
/// See [`OpenError`].
#[cfg(feature = "live")]
pub fn open_interfaces(
    source: &InterfaceSettings,
    user: Option<&str>,
    capturing: impl Fn(&str) + Send + Sync + 'static,
) -> Result<netsage_sources::Interfaces, OpenError> {
    use netsage_capture::live::{Change, LiveConfig, open};

    let opened = open(LiveConfig {
        interfaces: source.names.clone(),
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
    let name = source.names.join(", ");
    Ok(netsage_sources::Interfaces::new(name, capture))
}
