//! The mail itself.

use std::time::SystemTime;

use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use netsage_messages::{Message, Wording, mail};
use ring::digest;

use crate::Failure;

/// Says that no person has written the mail, so that nobody's holiday answers it (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// One mail of all messages. Its id is made of theirs and of their revisions, so that a repeat has the same.
///
/// # Errors
/// When the text is larger than allowed: what fewer messages may mend.
pub(super) fn write(
    messages: &[Message],
    wording: &Wording,
    from: &Mailbox,
    to: &[Mailbox],
    largest: usize,
) -> Result<Vec<u8>, Failure> {
    let written = mail::digest(messages, wording);
    if written.text.len() > largest {
        let size = written.text.len();
        return Err(Failure::Refused(format!(
            "a text of {size} bytes is more than `max-size` allows"
        )));
    }
    let html = written
        .html
        .filter(|html| written.text.len() + html.len() <= largest);
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .subject(written.subject)
        .date(SystemTime::now())
        .message_id(Some(format!("<{}@{}>", id(messages), from.email.domain())))
        .header(AutoSubmitted);
    for recipient in to {
        builder = builder.to(recipient.clone());
    }
    let text = quoted(ContentType::TEXT_PLAIN, written.text);
    let letter = match html {
        Some(html) => {
            let parts = MultiPart::alternative().singlepart(text);
            builder.multipart(parts.singlepart(quoted(ContentType::TEXT_HTML, html)))
        }
        None => builder.singlepart(text),
    };
    let letter = letter.map_err(|error| Failure::SenderRefused(format!("no mail can be made: {error}")))?;
    Ok(letter.formatted())
}

/// Lines of a text may be of any length, and those of a mail not: quoted-printable breaks them.
fn quoted(kind: ContentType, text: String) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(text)
}

fn id(messages: &[Message]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for message in messages {
        context.update(format!("{}.{}\n", message.id(), message.revision()).as_bytes());
    }
    let hash = context.finish();
    let hash = hash.as_ref().iter().take(16);
    hash.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_ascii_in_short_lines_and_a_repeat_has_the_same_id() {
        let from: Mailbox = "NetSage <netsage@example.com>".parse().unwrap();
        let to: Vec<Mailbox> = vec!["soc@example.com".parse().unwrap()];
        let wording = Wording {
            sensor: "Z\u{fc}rich\r\nBcc: evil@example.com".to_owned(),
            ..Wording::default()
        };
        let write = |number| {
            let mail = write(&[Message::Test(number)], &wording, &from, &to, 1 << 20).unwrap();
            String::from_utf8(mail).unwrap()
        };
        let mail = write(1);
        assert!(mail.is_ascii());
        assert!(mail.split("\r\n").all(|line| line.len() <= 78), "{mail}");
        assert!(!mail.lines().any(|line| line.starts_with("Bcc")), "{mail}");
        let id = |mail: &str| {
            mail.lines()
                .find(|line| line.starts_with("Message-ID:"))
                .unwrap()
                .to_owned()
        };
        assert_eq!(id(&mail), id(&write(1)));
        assert_ne!(id(&mail), id(&write(2)));
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n"));
    }

    #[test]
    fn a_text_that_is_too_large_is_refused() {
        let from: Mailbox = "netsage@example.com".parse().unwrap();
        let written = write(
            &[Message::Test(1)],
            &Wording::default(),
            &from,
            std::slice::from_ref(&from),
            3,
        );
        assert!(matches!(written, Err(Failure::Refused(_))), "{written:?}");
    }
}
