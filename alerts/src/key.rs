//! The key that hits of one alert share, and the id that follows from it.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::{FlowRecord, HitOfFlow, Id};

/// Length of the tumbling windows in which hits become one alert, by the start of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertWindow {
    ms: i64,
}

impl AlertWindow {
    /// Windows of so many milliseconds, at least 1.
    pub const fn of_ms(ms: i64) -> Self {
        Self {
            ms: if ms < 1 { 1 } else { ms },
        }
    }

    /// The number of the window in which a flow that starts then lies; `start_ms` counts from the epoch.
    pub const fn number(self, start_ms: i64) -> i64 {
        start_ms.div_euclid(self.ms)
    }
}

/// An hour.
impl Default for AlertWindow {
    fn default() -> Self {
        Self::of_ms(60 * 60 * 1000)
    }
}

/// The key of an alert: hits of one detector with the same key are one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    network: &'a str,
    source: IpAddr,
    protocol: &'a str,
    service: &'a str,
    window: i64,
}

impl<'a> Key<'a> {
    /// The key of a flow from `source` that starts at `start_ms` since the epoch. Protocol and application are named as
    /// the columns `proto` and `service` name them, e.g. `tcp` and `-`.
    pub fn new(
        source: IpAddr,
        protocol: &'a str,
        service: &'a str,
        start_ms: i64,
        window: AlertWindow,
    ) -> Self {
        Self {
            network: "",
            source,
            protocol,
            service,
            window: window.number(start_ms),
        }
    }

    /// This key in a network; without, it is of the network without a name.
    #[must_use]
    pub fn in_network(self, network: &'a str) -> Self {
        Self { network, ..self }
    }

    /// The id of the alert that a detector of this name raises: the same key always gives the same id.
    ///
    /// The detector's version takes no part, so that a new version goes on with the alerts of the old one.
    pub fn id(&self, detector: &str) -> Id {
        self.cell(detector).id_of_source(self.source)
    }

    /// The cell in which a detector of this name counts such hits.
    pub(crate) fn cell<'c>(&self, detector: &'c str) -> Cell<'c>
    where
        'a: 'c,
    {
        Cell {
            detector,
            network: self.network,
            protocol: self.protocol,
            service: self.service,
            window: self.window,
        }
    }

    /// The source of the flow.
    pub(crate) const fn source(&self) -> IpAddr {
        self.source
    }
}

/// What alerts are counted in: the hits of one detector, network and kind whose flows start in one window. Alerts of
/// different cells have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell<'a> {
    detector: &'a str,
    network: &'a str,
    protocol: &'a str,
    service: &'a str,
    window: i64,
}

impl<'a> Cell<'a> {
    /// The cell of a hit.
    pub fn of(hit: &HitOfFlow<'a>, window: AlertWindow) -> Self {
        Self {
            detector: &hit.detector.name,
            network: hit.flow.provenance.network(),
            protocol: hit.flow.protocol,
            service: hit.flow.service,
            window: window.number(hit.flow.start),
        }
    }

    /// The name of the detector.
    pub const fn detector(&self) -> &'a str {
        self.detector
    }

    /// The network of the flows, `""` where it has no name.
    pub const fn network(&self) -> &'a str {
        self.network
    }

    /// Protocol and application, e.g. `tcp/ssh`.
    pub fn kind(&self) -> String {
        kind(self.protocol, self.service)
    }

    /// The number of the window; see [`AlertWindow::number`].
    pub const fn window(&self) -> i64 {
        self.window
    }

    /// The id of the alert of a source.
    pub fn id_of_source(&self, source: IpAddr) -> Id {
        self.id(&source.to_string())
    }

    /// The id of the alert of a target that many sources hit. Address and port together are never the text of an address.
    pub fn id_of_target(&self, target: SocketAddr) -> Id {
        self.id(&target.to_string())
    }

    /// The id of the alert that says what is held back.
    pub fn id_of_rest(&self) -> Id {
        self.id("")
    }

    fn id(&self, of: &str) -> Id {
        let mut hasher = Sha256::new();
        for text in [self.detector, of, &self.kind()] {
            // The length first, so that no two triples run into the same bytes.
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(self.window.to_le_bytes());
        // What stands before has its end in itself. Alerts without a network keep the ids that stores have of them.
        hasher.update(self.network.as_bytes());
        let digest = hasher.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        id
    }
}

/// Protocol and application in one text, e.g. `tcp/ssh`: the `kind` of an alert.
pub(crate) fn kind(protocol: &str, service: &str) -> String {
    format!("{protocol}/{service}")
}

impl<'a> Key<'a> {
    /// The key of a recorded flow.
    pub fn of(flow: &'a FlowRecord, window: AlertWindow) -> Self {
        Self::new(flow.source, flow.protocol, flow.service, flow.start, window)
            .in_network(flow.provenance.network())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::to_hex;

    fn key(source: &str, protocol: &'static str, service: &'static str, start_ms: i64) -> Key<'static> {
        let source = source.parse().expect("an address");
        Key::new(source, protocol, service, start_ms, AlertWindow::default())
    }

    #[test]
    fn ids_are_those_of_the_stores_there_are() {
        // Taken from the rule as it was before this crate had it; stores are full of such ids.
        let check = |detector: &str, key: Key<'_>, expected: &str| {
            assert_eq!(to_hex(&key.id(detector)), expected, "{key:?}");
        };
        check(
            "iforest",
            key("10.0.0.1", "tcp", "ssh", 1_700_002_801_000),
            "92eca61b2b25c22a92cd2aa2de960afe",
        );
        check(
            "iforest",
            key("2001:db8::5", "udp", "dns", -1),
            "6440ccbbf1aec1da52d88a4937750c5d",
        );
        check(
            "fused",
            key("fe80::1", "arp", "-", 0),
            "42f2a195ef15f3fd74317943e27a5df1",
        );
    }

    proptest! {
        #[test]
        fn one_key_is_one_id(
            detectors in prop::array::uniform2("[a-c]{1,3}"),
            sources in prop::array::uniform2(0_u8..3),
            services in prop::array::uniform2(0_usize..3),
            starts in prop::array::uniform2(-3_000_i64..3_000),
            networks in prop::array::uniform2("[a-c]{0,2}"),
        ) {
            let window = AlertWindow::of_ms(1_000);
            let at = |index: usize| Key::new(
                IpAddr::from([10, 0, 0, sources[index]]),
                "tcp",
                ["-", "ssh", "dns"][services[index]],
                starts[index],
                window,
            ).in_network(&networks[index]);
            let same = detectors[0] == detectors[1] && at(0) == at(1);
            prop_assert_eq!(at(0).id(&detectors[0]) == at(1).id(&detectors[1]), same);
        }
    }
}
