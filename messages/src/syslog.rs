//! Documents in lines of syslog, as RFC 5424 says, and their framing on a stream, as RFC 6587 and RFC 5425 say.

use std::fmt::Write as _;
use std::str::FromStr;

use crate::documents::{self, Document, Part, Told, Urgency, Write};
use crate::shorten::Shortened;
use crate::text::{ascii, visible};
use crate::time::rfc3339_micros;
use crate::{Event, Format, Message, TooLarge, Wording, words};

/// Who sends, as the header of each line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Name of the machine; what a header cannot hold is replaced by `-`.
    pub hostname: String,
    /// Name of the program, at most 48 characters of it.
    pub app_name: String,
    /// Number of the process.
    pub process_id: Option<u32>,
    /// What kind of program it is.
    pub facility: Facility,
    /// Whether the clock is to be believed.
    pub clock: Clock,
    /// The number that IANA has given the sender's enterprise. With one each line has an element `netsage@NUMBER` with id and
    /// revision; without one it has none, since the numbers of examples are not to be sent.
    pub enterprise: Option<u32>,
}

/// Whether the clock of the machine is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// It is set by a reference.
    Trusted,
    /// It may be wrong: lines say so in the element `timeQuality`.
    Untrusted,
}

/// What kind of program sends, from 0 (`kern`) to 23 (`local7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facility(u8);

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl Facility {
    /// `local0`, which is left to the site.
    pub const LOCAL0: Self = Self(16);

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        FACILITIES.get(usize::from(self.0)).copied().unwrap_or("local0")
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self::LOCAL0
    }
}

/// A name that no facility has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no facility of syslog: give one as daemon, or local0 to local7")]
pub struct UnknownFacility {
    /// The name.
    pub name: String,
}

impl FromStr for Facility {
    type Err = UnknownFacility;

    fn from_str(name: &str) -> Result<Self, UnknownFacility> {
        let number = FACILITIES.iter().position(|facility| *facility == name);
        let number = number.and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| UnknownFacility {
            name: name.to_owned(),
        })
    }
}

/// How lines are told apart on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// The number of bytes stands before each line (RFC 6587, 3.4.1; RFC 5425).
    OctetCounting,
    /// A line feed ends each line (RFC 6587, 3.4.2). One within a line is written `#012`.
    LineFeed,
}

/// The lines of a message, each at most `limit` bytes before its framing: a document of the format, behind a header. JSON is
/// of ASCII alone, so that no reader of it meets a byte order mark.
///
/// # Errors
/// When even the shortest is larger than the limit.
pub fn lines(
    message: &Message,
    format: Format,
    wording: &Wording,
    sender: &Sender,
    limit: usize,
) -> Result<Vec<String>, TooLarge> {
    let in_lines = InLines {
        writer: format.writer(),
        is_json: format != Format::Cef,
    };
    // What stands before a document depends on its id and time, so the longest is taken off.
    let message_kind = message.kind();
    let header_of = |document: &Document| header(document, message_kind, wording, sender);
    let whole = documents::of(&in_lines, message, wording, usize::MAX)?;
    let longest = whole
        .iter()
        .map(|document| header_of(document).len())
        .max()
        .unwrap_or(0)
        + BOM.len();
    let documents = if whole
        .iter()
        .all(|document| document.text.len() + longest <= limit)
    {
        whole
    } else {
        let within = documents::of(&in_lines, message, wording, limit.saturating_sub(longest));
        within.map_err(|error| TooLarge {
            limit,
            least: error.least + longest,
            ..error
        })?
    };
    Ok(documents
        .iter()
        .map(|document| line(document, message_kind, wording, sender))
        .collect())
}

/// A document behind the header of a line. `message_kind` is that of [`Message::kind`].
pub fn line(document: &Document, message_kind: &str, wording: &Wording, sender: &Sender) -> String {
    let mut line = header(document, message_kind, wording, sender);
    line.push(' ');
    // What is not ASCII is UTF-8 and has to say so; ASCII may be any encoding.
    if !document.text.is_ascii() {
        line.push_str(BOM);
    }
    line.push_str(&document.text);
    line
}

/// The bytes of a line on a stream. A datagram holds the line as it is.
pub fn framed(line: &str, framing: Framing) -> Vec<u8> {
    match framing {
        Framing::OctetCounting => format!("{} {line}", line.len()).into_bytes(),
        Framing::LineFeed => {
            let mut bytes = line.replace('\n', "#012").into_bytes();
            bytes.push(b'\n');
            bytes
        }
    }
}

const BOM: &str = "\u{feff}";

/// Everything before the space that the document stands behind.
fn header(document: &Document, message_kind: &str, wording: &Wording, sender: &Sender) -> String {
    let priority = u32::from(sender.facility.number()) * 8 + severity(document.urgency);
    let time = rfc3339_micros(document.at_ms.saturating_mul(1_000));
    let process = sender.process_id.map(|id| id.to_string()).unwrap_or_default();
    format!(
        "<{priority}>1 {time} {} {} {} {} {}",
        word(&sender.hostname, 255),
        word(&sender.app_name, 48),
        word(&process, 128),
        word(message_kind, 32),
        structured_data(document, wording, sender),
    )
}

/// From 2 (critical) to 6 (for the record).
const fn severity(urgency: Urgency) -> u32 {
    match urgency {
        Urgency::Critical => 2,
        Urgency::High => 3,
        Urgency::Medium => 4,
        Urgency::Low => 5,
        Urgency::Info => 6,
    }
}

/// A field of the header: printable ASCII without spaces, `-` where there is nothing.
fn word(text: &str, most: usize) -> String {
    let printable = |character: char| {
        if character.is_ascii_graphic() {
            character
        } else {
            '-'
        }
    };
    let word: String = text.chars().take(most).map(printable).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

fn structured_data(document: &Document, wording: &Wording, sender: &Sender) -> String {
    let mut data = String::new();
    if sender.clock == Clock::Untrusted {
        data.push_str(r#"[timeQuality tzKnown="1" isSynced="0"]"#);
    }
    data.push_str("[origin");
    parameter(&mut data, "software", words::PRODUCT);
    if !wording.product_version.is_empty() {
        let version: String = wording.product_version.chars().take(32).collect();
        parameter(&mut data, "swVersion", &version);
    }
    data.push(']');
    if let Some(number) = sender.enterprise {
        // Writing to a `String` never fails.
        let _ = write!(data, "[netsage@{number}");
        parameter(&mut data, "id", &document.id);
        parameter(&mut data, "revision", &document.revision.to_string());
        data.push(']');
    }
    data
}

fn parameter(data: &mut String, name: &str, value: &str) {
    let _ = write!(data, " {name}=\"");
    for character in visible(value).chars() {
        if matches!(character, '"' | '\\' | ']') {
            data.push('\\');
        }
        data.push(character);
    }
    data.push('"');
}

/// A format whose documents are to stand in lines of syslog.
struct InLines {
    writer: &'static dyn Write,
    is_json: bool,
}

impl InLines {
    fn text(&self, text: String) -> String {
        if self.is_json { ascii(&text) } else { text }
    }
}

impl Write for InLines {
    fn name(&self) -> &'static str {
        self.writer.name()
    }

    fn most(&self) -> usize {
        self.writer.most()
    }

    fn writes_digests(&self) -> bool {
        self.writer.writes_digests()
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        self.text(self.writer.alert(told, wording))
    }

    fn part(&self, part: &Part<'_>, wording: &Wording) -> String {
        self.text(self.writer.part(part, wording))
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        self.text(self.writer.event(event, shortened, wording))
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        self.text(self.writer.test(number, wording))
    }
}
