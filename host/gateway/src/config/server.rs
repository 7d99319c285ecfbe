//! Who may call the server, and what callers may take, from any layer of settings.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::{ConfigError, Settings};
use crate::api::access::AllowedHost;
use crate::server::{Limits, TrustedProxies};

/// How long a client may say nothing where it is its turn.
const SILENCE: Duration = Duration::from_secs(10);

impl Settings {
    /// The token, from its setting or from its file.
    ///
    /// # Errors
    /// When both are there, the file cannot be read, or what it holds is no token.
    pub fn server_token(&self) -> Result<Option<String>, ConfigError> {
        let token = secret(("token", &self.token), ("token-file", &self.token_file))?;
        let printable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if token
            .as_ref()
            .is_some_and(|token| token.len() < 8 || !printable(token))
        {
            return Err(ConfigError::value(
                "token",
                "a token has at least 8 printable ASCII characters and no spaces; make one with `openssl rand -hex 16`",
            ));
        }
        Ok(token)
    }

    /// The URL of the store, from its setting or from its file.
    ///
    /// # Errors
    /// When both are there, or the file cannot be read.
    pub(super) fn store_url(&self) -> Result<Option<String>, ConfigError> {
        secret(("store", &self.store), ("store-url-file", &self.store_url_file))
    }

    /// What the server may be called.
    ///
    /// # Errors
    /// When one is no host.
    pub(super) fn allowed_hosts(&self) -> Result<Vec<AllowedHost>, ConfigError> {
        let hosts = self.allowed_host.iter().flatten();
        let parse = |host: &String| {
            host.parse()
                .map_err(|error| ConfigError::value("allowed-host", format!("{error}")))
        };
        hosts.map(parse).collect()
    }

    /// What callers may take together; `upload_limit` in bytes.
    ///
    /// # Errors
    /// When a limit is out of its range, or a proxy is no network.
    pub(super) fn limits(&self, upload_limit: usize) -> Result<Limits, ConfigError> {
        Ok(Limits {
            connections: self.connections()?,
            connections_per_peer: self.connections_per_peer()?,
            // Of a body, more is counted than its bytes.
            bodies: self.body_memory()?.0.max(upload_limit + upload_limit / 4),
            silence: SILENCE,
            trusted_proxies: TrustedProxies(networks("trusted-proxy", self.trusted_proxy.as_deref())?),
        })
    }

    /// Networks that webhooks which are set through the API may reach.
    ///
    /// # Errors
    /// When one is no network.
    pub(super) fn webhook_networks(&self) -> Result<Vec<IpNet>, ConfigError> {
        networks("webhook-network", self.webhook_network.as_deref())
    }
}

/// The networks of a setting; an address is one of its own.
fn networks(setting: &'static str, written: Option<&[String]>) -> Result<Vec<IpNet>, ConfigError> {
    let parse = |network: &String| {
        let network = network.trim();
        let address = || network.parse::<std::net::IpAddr>().map(Into::into);
        network.parse().or_else(|_| address()).map_err(|_| {
            ConfigError::value(
                setting,
                format!("`{network}` is not a network; give an address and the length of its prefix, e.g. 192.0.2.0/24"),
            )
        })
    };
    written.unwrap_or_default().iter().map(parse).collect()
}

/// Refuses an address that others can reach where there is no token.
pub(super) fn check_reach(listen: SocketAddr, token: Option<&String>) -> Result<(), ConfigError> {
    if !listen.ip().is_loopback() && token.is_none() {
        return Err(ConfigError::TokenNeeded { listen });
    }
    Ok(())
}

/// A secret that is a setting itself, or the first line of a file that a setting names.
fn secret(
    (name, value): (&'static str, &Option<String>),
    (file_name, file): (&'static str, &Option<PathBuf>),
) -> Result<Option<String>, ConfigError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::value(
            file_name,
            format!("`{name}` is there too; a run takes one of them"),
        )),
        (None, Some(file)) => first_line(file)
            .map(Some)
            .map_err(|reason| ConfigError::value(file_name, format!("{} {reason}", file.display()))),
        (value, None) => Ok(value.clone()),
    }
}

/// What is wrong is said without what the file holds.
fn first_line(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("is empty; write the secret into its first line".to_owned()),
        line if line.contains('\n') => {
            Err("has several lines; leave only the one with the secret".to_owned())
        }
        line => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let settings = Settings {
            token_file: Some(path.clone()),
            ..Settings::default()
        };
        let check = |content: &str, expected: Result<&str, &str>| {
            fs::write(&path, content).unwrap();
            match (settings.server_token(), expected) {
                (Ok(token), Ok(expected)) => assert_eq!(token.as_deref(), Some(expected)),
                (Err(error), Err(expected)) => {
                    let error = error.to_string();
                    assert!(
                        error.contains(expected) && !error.contains("secret-in-it"),
                        "{error}"
                    );
                }
                (found, _) => panic!("{content:?}: {found:?}"),
            }
        };
        check("correct-horse-battery\n", Ok("correct-horse-battery"));
        check("correct-horse-battery\r\n\n", Ok("correct-horse-battery"));
        check("correct-horse-battery", Ok("correct-horse-battery"));
        check("", Err("is empty"));
        check("\n", Err("is empty"));
        check("secret-in-it\nand-more", Err("several lines"));
        check("secret-in-it with spaces", Err("no spaces"));
        fs::remove_file(&path).unwrap();
        assert!(
            settings
                .server_token()
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        let both = Settings {
            token: Some("correct-horse-battery".to_owned()),
            ..settings
        };
        assert!(
            both.server_token()
                .unwrap_err()
                .to_string()
                .contains("one of them")
        );
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        let limits = |proxy: &str| {
            let settings = Settings {
                trusted_proxy: Some(vec![proxy.to_owned()]),
                ..Settings::default()
            };
            settings.limits(0)
        };
        for proxy in ["192.0.2.0/24", "192.0.2.1", "::1", "2001:db8::/32"] {
            assert_eq!(limits(proxy).unwrap().trusted_proxies.0.len(), 1, "{proxy}");
        }
        for proxy in ["", "proxy.example", "192.0.2.0/33"] {
            assert!(
                limits(proxy)
                    .unwrap_err()
                    .to_string()
                    .contains("is not a network"),
                "{proxy}"
            );
        }
    }
}
