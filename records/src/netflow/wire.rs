//! Headers of datagrams and the sets behind them, as checked views over the bytes.

use super::Refusal;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// NetFlow v5: one fixed layout.
    V5,
    /// NetFlow v9: layouts by templates.
    V9,
    /// IPFIX, RFC 7011.
    Ipfix,
}

impl Version {
    /// The name in metrics and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V5 => "netflow-v5",
            Self::V9 => "netflow-v9",
            Self::Ipfix => "ipfix",
        }
    }

    /// What a sequence number of the version counts, in the plural.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::V5 | Self::Ipfix => "records",
            Self::V9 => "datagrams",
        }
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) version: Version,
    /// Records that follow, in v5.
    pub(super) count: u16,
    /// When the datagram left, milliseconds since the Unix epoch.
    pub(super) export_ms: i64,
    /// Milliseconds since the exporter started; IPFIX does not say.
    pub(super) uptime_ms: Option<u32>,
    pub(super) sequence: u32,
    /// Observation domain, source id, or type and number of the engine.
    pub(super) domain: u32,
    /// One in so many packets, in v5.
    pub(super) sampling: u32,
}

/// Bytes of one record of v5.
pub(super) const V5_RECORD: usize = 48;

impl Header {
    /// The header, what follows it, and whether the datagram is shorter than its header says.
    pub(super) fn read(datagram: &[u8]) -> Result<(Self, &[u8], bool), Refusal> {
        let mut bytes = Bytes(datagram);
        let short = Refusal::ShortHeader;
        let version = bytes.u16().ok_or(Refusal::NoVersion)?;
        let count = bytes.u16().ok_or(short)?;
        match version {
            5 => {
                let uptime_ms = bytes.u32().ok_or(short)?;
                let seconds = bytes.u32().ok_or(short)?;
                let nanoseconds = bytes.u32().ok_or(short)?;
                let sequence = bytes.u32().ok_or(short)?;
                let domain = u32::from(bytes.u16().ok_or(short)?);
                // The upper two bits are a mode; read with them, 1 in 100 becomes 1 in 16,484.
                let sampling = u32::from(bytes.u16().ok_or(short)? & 0x3fff);
                let header = Self {
                    version: Version::V5,
                    count,
                    export_ms: i64::from(seconds) * 1_000
                        + i64::from(nanoseconds.min(999_999_999) / 1_000_000),
                    uptime_ms: Some(uptime_ms),
                    sequence,
                    domain,
                    sampling,
                };
                let is_cut = bytes.0.len() < usize::from(count) * V5_RECORD;
                Ok((header, bytes.0, is_cut))
            }
            9 => {
                let uptime_ms = bytes.u32().ok_or(short)?;
                let seconds = bytes.u32().ok_or(short)?;
                let sequence = bytes.u32().ok_or(short)?;
                let domain = bytes.u32().ok_or(short)?;
                let header = Self {
                    version: Version::V9,
                    count,
                    export_ms: i64::from(seconds) * 1_000,
                    uptime_ms: Some(uptime_ms),
                    sequence,
                    domain,
                    sampling: 1,
                };
                Ok((header, bytes.0, false))
            }
            10 => {
                let length = usize::from(count);
                let seconds = bytes.u32().ok_or(short)?;
                let sequence = bytes.u32().ok_or(short)?;
                let domain = bytes.u32().ok_or(short)?;
                let header = Self {
                    version: Version::Ipfix,
                    count: 0,
                    export_ms: i64::from(seconds) * 1_000,
                    uptime_ms: None,
                    sequence,
                    domain,
                    sampling: 1,
                };
                // Bytes behind the message belong to nothing.
                let whole = length.checked_sub(datagram.len() - bytes.0.len()).ok_or(short)?;
                let body = bytes.0.get(..whole);
                Ok((header, body.unwrap_or(bytes.0), body.is_none()))
            }
            _ => Err(Refusal::OtherVersion),
        }
    }
}

/// A set of v9 or IPFIX.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) id: u16,
    pub(super) body: &'a [u8],
    /// It says that it is longer than what is there.
    pub(super) is_cut: bool,
}

/// The sets of a datagram, in order. A set whose length cannot be is the last item.
pub(super) struct Sets<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Sets<'a> {
    type Item = Result<Set<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Bytes(std::mem::take(&mut self.0));
        // Fewer bytes than a set's header, and zeros, are padding.
        if bytes.0.len() < 4 || bytes.0.iter().all(|&byte| byte == 0) {
            return None;
        }
        let (id, length) = (bytes.u16()?, bytes.u16()?);
        let Some(length) = usize::from(length).checked_sub(4) else {
            return Some(Err(Refusal::SetLength));
        };
        let (body, rest) = bytes.0.split_at(length.min(bytes.0.len()));
        self.0 = rest;
        Some(Ok(Set {
            id,
            body,
            is_cut: body.len() < length,
        }))
    }
}

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
}
