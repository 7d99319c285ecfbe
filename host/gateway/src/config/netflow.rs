//! Where exporters of NetFlow and IPFIX send to, from any layer of settings.

use std::net::IpAddr;

use ipnet::IpNet;
use netsage_records::netflow;
use netsage_sources::NetflowOptions;

use super::{ConfigError, Settings};

impl Settings {
    /// How exporters are listened to; `None` when no address is named.
    ///
    /// # Errors
    /// When a network is none, a time out of its range, or a name too long.
    pub(super) fn netflow_options(&self) -> Result<Option<NetflowOptions>, ConfigError> {
        let Some(address) = self.netflow else {
            return Ok(None);
        };
        let network = |text: &String| {
            let one_host = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| one_host()).map_err(|_| {
                let reason = format!("`{text}` is no network; give one as 192.0.2.0/24, or an address");
                ConfigError::value("netflow-from", reason)
            })
        };
        let from = (self.netflow_from.iter().flatten())
            .map(network)
            .collect::<Result<_, _>>()?;
        let pairing = self.netflow_pairing()?.0;
        let reading = netflow::Options {
            pairing_us: u64::try_from(pairing.as_micros()).unwrap_or(u64::MAX),
            out_is_reverse: self.netflow_out_reverse()?,
            ..netflow::Options::default()
        };
        let options = NetflowOptions::new(address);
        Ok(Some(NetflowOptions {
            from,
            reading,
            site: self.site()?,
            lateness: self.lateness()?.map_or(options.lateness, |time| time.0),
            ..options
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read() {
        let check = |from: &str, expected: Option<&str>| {
            let settings = Settings {
                netflow: Some(([127, 0, 0, 1], 2_055).into()),
                netflow_from: Some(vec![from.to_owned()]),
                ..Settings::default()
            };
            let found = settings
                .netflow_options()
                .ok()
                .flatten()
                .map(|options| options.from[0].to_string());
            assert_eq!(found.as_deref(), expected, "{from}");
        };
        check("192.0.2.0/24", Some("192.0.2.0/24"));
        check("192.0.2.7", Some("192.0.2.7/32"));
        check("2001:db8::/32", Some("2001:db8::/32"));
        check("router-1", None);
        assert!(Settings::default().netflow_options().unwrap().is_none());
    }
}
