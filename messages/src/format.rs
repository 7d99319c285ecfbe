//! The formats, and what they need beside a message.

use std::fmt;
use std::str::FromStr;

use crate::documents::{self, Document, Write};
use crate::{Message, cef, ecs, ocsf, own_json, slack, teams};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The project's own JSON, described by `docs/message.schema.json`.
    Json,
    /// The Elastic Common Schema, as JSON.
    Ecs,
    /// The Open Cybersecurity Schema Framework, as JSON: alerts are of the class Detection Finding.
    Ocsf,
    /// ArcSight's Common Event Format: a line of text.
    Cef,
    /// JSON for an incoming webhook of Slack.
    Slack,
    /// JSON for a webhook of Teams' Workflows: an Adaptive Card.
    Teams,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Json,
        Self::Ecs,
        Self::Ocsf,
        Self::Cef,
        Self::Slack,
        Self::Teams,
    ];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
            Self::Slack => "slack",
            Self::Teams => "teams",
        }
    }

    /// The format of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What HTTP calls a document of this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Cef => "text/plain; charset=utf-8",
            Self::Json | Self::Ecs | Self::Ocsf | Self::Slack | Self::Teams => "application/json",
        }
    }

    /// The documents of one message, each at most `limit` bytes and one line without its end. A receiver that has a limit of
    /// its own (Slack, Teams) lowers it.
    ///
    /// An alert that is too large is shortened, contributions first, and says so. A digest is as many documents as it takes to
    /// list every alert: parts, each with an id of its own, or, in formats that know no lists (ECS, OCSF, CEF), one document
    /// for each alert.
    ///
    /// # Errors
    /// When even the shortest is larger than the limit.
    pub fn documents(
        self,
        message: &Message,
        wording: &Wording,
        limit: usize,
    ) -> Result<Vec<String>, TooLarge> {
        let documents = self.keyed_documents(message, wording, limit)?;
        Ok(documents.into_iter().map(|document| document.text).collect())
    }

    /// As [`Self::documents`], each with the id and revision by which its receiver knows a repeat.
    ///
    /// # Errors
    /// When even the shortest is larger than the limit.
    pub fn keyed_documents(
        self,
        message: &Message,
        wording: &Wording,
        limit: usize,
    ) -> Result<Vec<Document>, TooLarge> {
        documents::of(self.writer(), message, wording, limit)
    }

    pub(crate) fn writer(self) -> &'static dyn Write {
        match self {
            Self::Json => &own_json::OwnJson,
            Self::Ecs => &ecs::Ecs,
            Self::Ocsf => &ocsf::Ocsf,
            Self::Cef => &cef::Cef,
            Self::Slack => &slack::Slack,
            Self::Teams => &teams::Teams,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that no format has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no format of messages: give one of json, ecs, ocsf, cef, slack, teams")]
pub struct UnknownFormat {
    /// The name.
    pub name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::by_name(name).ok_or_else(|| UnknownFormat {
            name: name.to_owned(),
        })
    }
}

/// What formats say beside a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wording {
    /// Version of the program, e.g. `0.1.0`.
    pub product_version: String,
    /// Name of the sensor that this program is; empty where it has none. An alert that names its sensor goes by its own.
    pub sensor: String,
    /// Address of the dashboard for links to alerts, e.g. `https://netsage.example`; `None` for no links.
    pub dashboard: Option<String>,
}

/// A message whose shortest document is still too large for its receiver, which will never take it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "message {id} takes at least {least} bytes as {format}, and the output allows {limit}: raise its limit"
)]
pub struct TooLarge {
    /// Id of the message, at most 64 bytes of it.
    pub id: String,
    /// Name of the format.
    pub format: &'static str,
    /// Bytes of the shortest document.
    pub least: usize,
    /// Bytes allowed.
    pub limit: usize,
}
