//! Why a datagram, a set or a record is in no flow.

use std::fmt;

/// Why what is as it should be is no flow. In the plural as text, since a number stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassedOver {
    /// A template that is taken back, which over UDP means nothing (RFC 7011, 8.1).
    Withdrawal,
    /// A set of a kind that no version has.
    UnknownSet,
    /// An event of a firewall without counters: a connection that was created or denied.
    FirewallEvent,
    /// An event of a translator of addresses without counters.
    NatEvent,
    /// A record without addresses of IP.
    NoAddresses,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Withdrawal => "withdrawals of templates",
            Self::UnknownSet => "sets of an unknown kind",
            Self::FirewallEvent => "events of a firewall without counters",
            Self::NatEvent => "events of a translator of addresses without counters",
            Self::NoAddresses => "records without addresses",
        })
    }
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A datagram too short to have a version.
    #[error("a datagram of less than two bytes")]
    NoVersion,
    /// A datagram of another protocol or version.
    #[error("a datagram that is neither NetFlow v5 nor v9 nor IPFIX")]
    OtherVersion,
    /// The header is cut off.
    #[error("the header of a datagram is cut off")]
    ShortHeader,
    /// A length that no set has.
    #[error("a set is shorter than its own header")]
    SetLength,
    /// A template is cut off.
    #[error("a template is cut off")]
    CutTemplate,
    /// A template under a number that templates do not have.
    #[error("a template has an id below 256")]
    TemplateId,
    /// A template whose records would have no bytes.
    #[error("a template has no fields")]
    EmptyTemplate,
    /// A template of more fields than any exporter has.
    #[error("a template has more than 1,024 fields")]
    WideTemplate,
    /// More templates than a domain may have.
    #[error("an observation domain has more templates than are kept")]
    ManyTemplates,
    /// No room for a template.
    #[error("the memory for templates is full")]
    MemoryFull,
    /// More exporters than are kept, and all of them are heard.
    #[error("more exporters than are kept")]
    ManyExporters,
    /// A set whose template did not come in time.
    #[error("a set had no template in time")]
    NoTemplate,
    /// The record has no such value.
    #[error("a record has no {0}")]
    Missing(&'static str),
    /// Times since a start that nobody told.
    #[error("a record has times since a start that the exporter did not tell")]
    NoBootTime,
    /// The flow ends before it starts.
    #[error("a record ends before it starts")]
    EndsBeforeStart,
}
