//! Which packages are trusted.

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use crate::config::TrustPolicy;

/// Why a package is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is no signature.
    #[error(
        "the package is not signed, and this host takes signed packages only; sign it with `minisign -Sm PACKAGE` and give PACKAGE.minisig with it"
    )]
    NotSigned,
    /// The given signature cannot be read.
    #[error(
        "the signature given with the package is not one of minisign ({reason}); give the whole content of PACKAGE.minisig"
    )]
    BadSignature {
        /// What is wrong.
        reason: String,
    },
    /// The signature was made with another key, or for other bytes.
    #[error(
        "the signature is not that of a trusted key for these bytes; sign this very file with a key that this host trusts"
    )]
    OtherKey,
    /// A configured key cannot be read.
    #[error("the trusted key `{key}` is not a minisign public key; give the second line of a `.pub` file")]
    BadKey {
        /// As it was configured.
        key: String,
    },
    /// Its digest is not pinned.
    #[error("the digest {digest} is not among those that this host takes; add it to the pinned digests")]
    NotPinned {
        /// Of the package.
        digest: String,
    },
}

/// Who signed a package, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    /// The key, as it is configured.
    pub(crate) key: String,
    /// Seconds since the epoch, by the trusted comment of the signature, where that says so.
    pub(crate) at: Option<u64>,
}

/// Checks that a key can be used.
///
/// # Errors
/// [`TrustError::BadKey`] otherwise.
pub fn check_key(key: &str) -> Result<(), TrustError> {
    public_key(key).map(drop)
}

fn public_key(key: &str) -> Result<PublicKey, TrustError> {
    PublicKey::from_base64(key.trim()).map_err(|_| TrustError::BadKey { key: key.to_owned() })
}

/// Checks a package against the policy; tells who signed it where the policy asks for that.
pub(crate) fn check(
    policy: &TrustPolicy,
    digest: &str,
    bytes: &[u8],
    signature: Option<&str>,
) -> Result<Option<Signed>, TrustError> {
    match policy {
        TrustPolicy::Any => Ok(None),
        TrustPolicy::Pinned(digests) => {
            let is_pinned = digests.iter().any(|pinned| pinned.eq_ignore_ascii_case(digest));
            is_pinned.then_some(None).ok_or_else(|| TrustError::NotPinned {
                digest: digest.to_owned(),
            })
        }
        TrustPolicy::Signed(keys) => {
            let text = signature.ok_or(TrustError::NotSigned)?;
            let signature = Signature::decode(text).map_err(|error| TrustError::BadSignature {
                reason: error.to_string(),
            })?;
            for key in keys {
                // Signatures of the whole file (`minisign -l`) are as good as those of its hash.
                if public_key(key)?.verify(bytes, &signature, true).is_ok() {
                    return Ok(Some(Signed {
                        key: key.trim().to_owned(),
                        at: signing_time(signature.trusted_comment()),
                    }));
                }
            }
            Err(TrustError::OtherKey)
        }
    }
}

/// The time in a trusted comment as minisign writes it: `timestamp:1555779966`, between tabs.
fn signing_time(trusted_comment: &str) -> Option<u64> {
    let mut fields = trusted_comment.split('\t');
    fields.find_map(|field| field.trim().strip_prefix("timestamp:")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Key, signed bytes and signatures of the documentation and tests of minisign-verify.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER_KEY: &str = "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaV";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";

    fn check_policy(policy: &TrustPolicy, bytes: &[u8], signature: Option<&str>, expected: Result<(), &str>) {
        let found = check(policy, "ab", bytes, signature)
            .map(drop)
            .map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} and not {expected:?}"),
        }
    }

    #[test]
    fn a_policy_takes_what_it_says() {
        let signed = TrustPolicy::Signed(vec![KEY.to_owned()]);
        check_policy(&TrustPolicy::Any, b"test", None, Ok(()));
        check_policy(&signed, b"test", Some(SIGNATURE), Ok(()));
        check_policy(
            &signed,
            b"text",
            Some(SIGNATURE),
            Err("not that of a trusted key"),
        );
        check_policy(&signed, b"test", None, Err("not signed"));
        check_policy(&signed, b"test", Some("hello"), Err("not one of minisign"));
        let truncated = &SIGNATURE[..SIGNATURE.len() - 20];
        check_policy(&signed, b"test", Some(truncated), Err("not one of minisign"));
        let other = TrustPolicy::Signed(vec![OTHER_KEY.to_owned()]);
        check_policy(&other, b"test", Some(SIGNATURE), Err("not that of a trusted key"));
        let no_key = TrustPolicy::Signed(vec!["key".to_owned()]);
        check_policy(
            &no_key,
            b"test",
            Some(SIGNATURE),
            Err("is not a minisign public key"),
        );
        check_policy(&TrustPolicy::Pinned(vec!["AB".to_owned()]), b"test", None, Ok(()));
        let pinned = TrustPolicy::Pinned(vec!["cd".to_owned()]);
        check_policy(&pinned, b"test", None, Err("not among those"));
    }

    #[test]
    fn a_signature_says_by_whom_and_when() {
        let signed = TrustPolicy::Signed(vec![OTHER_KEY.to_owned(), format!(" {KEY} ")]);
        let found = check(&signed, "ab", b"test", Some(SIGNATURE)).unwrap();
        let expected = Signed {
            key: KEY.to_owned(),
            at: Some(1_555_779_966),
        };
        assert_eq!(found, Some(expected));
        assert_eq!(check(&TrustPolicy::Any, "ab", b"test", Some(SIGNATURE)), Ok(None));
        for (comment, expected) in [
            ("timestamp:7\tfile:a.wasm\tprehashed", Some(7)),
            ("file:timestamp:8\ttimestamp:9", Some(9)),
            ("timestamp:-1", None),
            ("timestamp:", None),
            ("a comment of one's own", None),
            ("", None),
        ] {
            assert_eq!(signing_time(comment), expected, "{comment}");
        }
    }

    #[test]
    fn a_damaged_signature_is_none_and_no_panic() {
        let signed = TrustPolicy::Signed(vec![KEY.to_owned()]);
        for place in 0..SIGNATURE.len() {
            let mut bytes = SIGNATURE.as_bytes().to_vec();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let in_first_line = place < SIGNATURE.find('\n').unwrap_or_default();
            let outcome = check(&signed, "ab", b"test", Some(&text));
            // The first line is not signed; everything else is.
            assert!(outcome.is_err() || in_first_line, "byte {place}");
        }
    }
}
