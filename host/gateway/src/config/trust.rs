//! Which packages are taken, from any layer of settings.

use std::str::FromStr;

use netsage_lifecycle::TrustPolicy;
use serde::Deserialize;

use super::{ConfigError, Settings};

/// Length of a minisign public key in base64: 2 bytes for the algorithm, 8 for its number, 32 for the key.
const KEY_LENGTH: usize = 56;

/// Which packages are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Any package: the sandbox is the protection
    Any,
    /// Packages that one of the trusted keys has signed
    Signed,
    /// Packages with one of the pinned digests
    Pinned,
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, false)
    }
}

impl Settings {
    /// The policy, with the keys or digests that it needs.
    ///
    /// # Errors
    /// When keys or digests are missing, are none, or would have no effect under the policy.
    pub(super) fn trust_policy(&self) -> Result<TrustPolicy, ConfigError> {
        let trust = self.trust()?;
        let keys = self.trusted_key.as_deref().unwrap_or_default();
        let digests = self.pinned_digest.as_deref().unwrap_or_default();
        // Somebody who names a key believes that it protects.
        if !keys.is_empty() && trust != Trust::Signed {
            return Err(ConfigError::value(
                "trusted-key",
                "a key has no effect unless the setting `trust` is `signed`; set that, or leave the key out",
            ));
        }
        if !digests.is_empty() && trust != Trust::Pinned {
            return Err(ConfigError::value(
                "pinned-digest",
                "a digest has no effect unless the setting `trust` is `pinned`; set that, or leave the digest out",
            ));
        }
        match trust {
            Trust::Any => Ok(TrustPolicy::Any),
            Trust::Signed if keys.is_empty() => Err(ConfigError::value(
                "trust",
                "`signed` needs a key; name it with `trusted-key`, e.g. the second line of minisign.pub",
            )),
            Trust::Signed => keys
                .iter()
                .map(|key| checked_key(key))
                .collect::<Result<_, _>>()
                .map(TrustPolicy::Signed),
            Trust::Pinned if digests.is_empty() => Err(ConfigError::value(
                "trust",
                "`pinned` needs a digest; name it with `pinned-digest`, as `netsage detector inspect FILE` prints it",
            )),
            Trust::Pinned => digests
                .iter()
                .map(|digest| checked_digest(digest))
                .collect::<Result<_, _>>()
                .map(TrustPolicy::Pinned),
        }
    }
}

fn checked_key(key: &str) -> Result<String, ConfigError> {
    let key = key.trim();
    let is_base64 = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    // `RW` is how the name of the algorithm, Ed25519, begins in base64.
    if key.len() == KEY_LENGTH && key.starts_with("RW") && is_base64 {
        return Ok(key.to_owned());
    }
    Err(ConfigError::value(
        "trusted-key",
        format!(
            "`{key}` is not a minisign key; give the second line of a `.pub` file, which begins with RW and has {KEY_LENGTH} characters"
        ),
    ))
}

fn checked_digest(digest: &str) -> Result<String, ConfigError> {
    let digest = digest.trim().to_ascii_lowercase();
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digest);
    }
    Err(ConfigError::value(
        "pinned-digest",
        format!(
            "`{digest}` is not a SHA-256 digest; give its 64 hexadecimal digits, as `netsage detector inspect FILE` prints them"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn policy(trust: Option<Trust>, keys: &[&str], digests: &[&str]) -> Result<TrustPolicy, String> {
        let owned = |list: &[&str]| Some(list.iter().map(|entry| (*entry).to_owned()).collect());
        let settings = Settings {
            trust,
            trusted_key: owned(keys),
            pinned_digest: owned(digests),
            ..Settings::default()
        };
        settings.trust_policy().map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_has_what_it_needs() {
        assert_eq!(policy(None, &[], &[]), Ok(TrustPolicy::Any));
        assert_eq!(
            policy(Some(Trust::Signed), &[KEY], &[]),
            Ok(TrustPolicy::Signed(vec![KEY.to_owned()]))
        );
        assert_eq!(
            policy(Some(Trust::Pinned), &[], &[&"AB".repeat(32)]),
            Ok(TrustPolicy::Pinned(vec!["ab".repeat(32)]))
        );
    }

    #[test]
    fn what_would_protect_nothing_is_refused() {
        let check = |trust, keys: &[&str], digests: &[&str], expected: &str| {
            let message = policy(trust, keys, digests).unwrap_err();
            assert!(message.contains(expected), "{message}");
        };
        check(
            None,
            &[KEY],
            &[],
            "no effect unless the setting `trust` is `signed`",
        );
        check(Some(Trust::Signed), &[KEY], &["00"], "is `pinned`");
        check(Some(Trust::Signed), &[], &[], "`signed` needs a key");
        check(Some(Trust::Pinned), &[], &[], "`pinned` needs a digest");
        check(
            Some(Trust::Signed),
            &["untrusted comment: minisign public key"],
            &[],
            "is not a minisign key",
        );
        check(Some(Trust::Pinned), &[], &["0123"], "is not a SHA-256 digest");
    }
}
