//! Signatures by which a receiver knows the sender, and headers by which it knows repeats.

use netsage_messages::Document;
use ring::{digest, hmac};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-netsage-signature";

/// Fewest bytes of a secret.
pub(super) const SHORTEST_SECRET: usize = 16;

/// The signature of a body that is sent at a time, in seconds since the epoch: `t=TIME,v1=HMAC`, where the HMAC (SHA-256, in
/// hexadecimal) is over the time in decimal, a full stop and the body. A receiver that refuses old times takes no replay.
pub(super) fn sign(secret: &[u8], at_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{at_s}.").as_bytes());
    context.update(body);
    format!("t={at_s},v1={}", hex(context.sign().as_ref()))
}

/// The key by which a receiver knows a repeat of one document or of the same documents: letters, digits and `-_:.` only.
pub(super) fn repeat_key(documents: &[Document]) -> String {
    if let [document] = documents {
        return format!("{}.{}", label(&document.id), document.revision);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for document in documents {
        context.update(format!("{}.{}\n", document.id, document.revision).as_bytes());
    }
    format!("batch-{}", hex(context.finish().as_ref()))
}

/// An id as a header can hold it. Ids are short and plain; one that is not, as the name of another program may make it,
/// becomes its digest.
pub(super) fn label(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
    if !id.is_empty() && id.len() <= 128 && id.bytes().all(plain) {
        return id.to_owned();
    }
    format!(
        "sha256-{}",
        hex(digest::digest(&digest::SHA256, id.as_bytes()).as_ref())
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use netsage_messages::Urgency;

    use super::*;

    #[test]
    fn signatures_are_those_of_the_document() {
        // By `printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
        let signature = sign(b"0123456789abcdef", 1_700_000_000, b"{}");
        let expected = "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
        assert_eq!(signature, format!("t=1700000000,v1={expected}"));
    }

    #[test]
    fn labels_cannot_forge_a_header() {
        let check = |id: &str, expected: Option<&str>| {
            let label = label(id);
            match expected {
                Some(expected) => assert_eq!(label, expected),
                None => assert!(label.starts_with("sha256-") && label.len() == 71, "{label}"),
            }
        };
        check(
            "0123456789abcdef0123456789abcdef",
            Some("0123456789abcdef0123456789abcdef"),
        );
        check("event-gate_1-7", Some("event-gate_1-7"));
        check("", None);
        check("a\r\nX-Forged: 1", None);
        check("caf\u{e9}", None);
        check(&"a".repeat(65_536), None);
    }

    #[test]
    fn the_same_messages_have_the_same_key() {
        let key = |numbers: &[u64]| {
            let documents = numbers.iter().map(|number| Document {
                id: format!("test-{number}"),
                revision: 3,
                at_ms: 0,
                urgency: Urgency::Info,
                text: String::new(),
            });
            repeat_key(&documents.collect::<Vec<_>>())
        };
        assert_eq!(key(&[7]), "test-7.3");
        assert_eq!(key(&[7, 8]), key(&[7, 8]));
        assert_ne!(key(&[7, 8]), key(&[7, 9]));
    }
}
