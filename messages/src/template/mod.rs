//! Templates of webhooks: JSON whose texts hold placeholders.
//!
//! A template is JSON before anything is filled in, and stays the JSON that it is: only within texts, never in names, a
//! placeholder as `{alert.source}` is replaced. What is filled in begins no markup, mention or link at any receiver that is
//! known (`<`, `>`, `@`, brackets and backticks are replaced by characters that look alike).
//!
//! ```
//! use netsage_messages::{Message, Template, Wording};
//!
//! let template = Template::parse(r#"{ "summary": "{title}", "dedup_key": "{id}" }"#)?;
//! let wording = Wording::default();
//! let documents = template.fill(&Message::Test(7), &wording, 10_000).expect("small");
//! assert!(documents[0].contains(r#""dedup_key":"test-7""#));
//! # Ok::<(), netsage_messages::TemplateError>(())
//! ```

mod placeholders;

use serde_json::Value;

use crate::documents::{self, Document, Part, Told, Write};
use crate::shorten::Shortened;
use crate::text::line;
use crate::{Event, Message, TooLarge, Wording};

use placeholders::{Facts, by_name};
pub use placeholders::{PLACEHOLDERS, Placeholder};

/// Bytes of a template.
const LONGEST: usize = 64 * 1_024;

/// A template that was read and found right.
#[derive(Debug, Clone)]
pub struct Template {
    root: Node,
    /// Whether a digest can be told in one document: its list has a place.
    lists: bool,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is no JSON.
    #[error("the template is no JSON: {reason}; placeholders stand within texts, as \"{{alert.source}}\"")]
    Json {
        /// What, at which line and column.
        reason: String,
    },
    /// It is longer than 64 KiB.
    #[error("the template has {length} bytes, more than the 65536 that one may have: shorten it")]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// A placeholder is unknown.
    #[error(
        "{place} of the template has the placeholder {{{name}}}, which is unknown: did you mean {{{nearest}}}?"
    )]
    Unknown {
        /// Where in the JSON, as `/text`.
        place: String,
        /// The name, at most 64 bytes of it.
        name: String,
        /// The known name that is most like it.
        nearest: &'static str,
    },
    /// A brace has no other.
    #[error(
        "{place} of the template has a single brace: close the placeholder, or write {{{{ or }}}} for a brace"
    )]
    Brace {
        /// Where in the JSON, as `/text`.
        place: String,
    },
}

/// JSON, in which texts are pieces.
#[derive(Debug, Clone)]
enum Node {
    /// A number, true, false or null.
    Plain(Value),
    Text(Vec<Piece>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Debug, Clone)]
enum Piece {
    Written(String),
    Filled(&'static Placeholder),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, where, and what to do.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError::TooLong { length: text.len() });
        }
        let json: Value = serde_json::from_str(text).map_err(|error| TemplateError::Json {
            reason: error.to_string(),
        })?;
        let root = node(json, "")?;
        let lists = root.has(&|placeholder| placeholder.lists);
        Ok(Self { root, lists })
    }

    /// The documents of a message by this template, each at most `limit` bytes and one line.
    ///
    /// A digest is as many documents as it takes to list every alert: parts where the template has a placeholder that lists
    /// (`{text}`, `{ids}`), otherwise one for each alert.
    ///
    /// # Errors
    /// When even the shortest is larger than the limit.
    pub fn fill(&self, message: &Message, wording: &Wording, limit: usize) -> Result<Vec<String>, TooLarge> {
        let documents = self.keyed_fill(message, wording, limit)?;
        Ok(documents.into_iter().map(|document| document.text).collect())
    }

    /// As [`Self::fill`], each with the id and revision by which its receiver knows a repeat.
    ///
    /// # Errors
    /// When even the shortest is larger than the limit.
    pub fn keyed_fill(
        &self,
        message: &Message,
        wording: &Wording,
        limit: usize,
    ) -> Result<Vec<Document>, TooLarge> {
        documents::of(self, message, wording, limit)
    }

    fn with(&self, facts: &Facts<'_>) -> String {
        line(&self.root.filled(facts))
    }
}

impl Write for Template {
    fn name(&self) -> &'static str {
        "the template"
    }

    fn writes_digests(&self) -> bool {
        self.lists
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        self.with(&Facts::Alert(told, wording))
    }

    fn part(&self, part: &Part<'_>, wording: &Wording) -> String {
        self.with(&Facts::Part(part, wording))
    }

    fn event(&self, event: &Event, shortened: Shortened, wording: &Wording) -> String {
        self.with(&Facts::Event(event, shortened, wording))
    }

    fn test(&self, number: u64, wording: &Wording) -> String {
        self.with(&Facts::Test(number, wording))
    }
}

impl Node {
    fn has(&self, is_meant: &dyn Fn(&Placeholder) -> bool) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Text(pieces) => pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Filled(placeholder) if is_meant(placeholder))),
            Self::List(nodes) => nodes.iter().any(|node| node.has(is_meant)),
            Self::Object(members) => members.iter().any(|(_, node)| node.has(is_meant)),
        }
    }

    fn filled(&self, facts: &Facts<'_>) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(pieces) => {
                let texts = pieces.iter().map(|piece| match piece {
                    Piece::Written(text) => text.clone(),
                    Piece::Filled(placeholder) => placeholder.value(facts),
                });
                Value::String(texts.collect())
            }
            Self::List(nodes) => nodes.iter().map(|node| node.filled(facts)).collect(),
            Self::Object(members) => {
                let members = members.iter();
                members
                    .map(|(name, node)| (name.clone(), node.filled(facts)))
                    .collect()
            }
        }
    }
}

/// Of a value at a place. The depth is bounded by the reader of JSON.
fn node(value: Value, place: &str) -> Result<Node, TemplateError> {
    Ok(match value {
        Value::String(text) => Node::Text(pieces(&text, place)?),
        Value::Array(values) => {
            let values = values.into_iter().enumerate();
            let nodes = values.map(|(index, value)| node(value, &format!("{place}/{index}")));
            Node::List(nodes.collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let members = members.into_iter();
            let nodes = members.map(|(name, value)| {
                let node = node(value, &format!("{place}/{name}"))?;
                Ok((name, node))
            });
            Node::Object(nodes.collect::<Result<_, TemplateError>>()?)
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Node::Plain(plain),
    })
}

fn pieces(text: &str, place: &str) -> Result<Vec<Piece>, TemplateError> {
    let brace = || TemplateError::Brace { place: shown(place) };
    let mut pieces = Vec::new();
    let mut written = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        written.push_str(before);
        let doubled = ["{{", "}}"].into_iter().find(|doubled| from.starts_with(doubled));
        if let Some(doubled) = doubled {
            written.push_str(&doubled[..1]);
            rest = &from[doubled.len()..];
            continue;
        }
        let inner = from.strip_prefix('{').ok_or_else(brace)?;
        let (name, after) = inner.split_once('}').ok_or_else(brace)?;
        let placeholder = by_name(name).map_err(|nearest| TemplateError::Unknown {
            place: shown(place),
            name: crate::text::visible(&crate::text::cut(name, 64)).into_owned(),
            nearest,
        })?;
        if !written.is_empty() {
            pieces.push(Piece::Written(std::mem::take(&mut written)));
        }
        pieces.push(Piece::Filled(placeholder));
        rest = after;
    }
    written.push_str(rest);
    if !written.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Written(written));
    }
    Ok(pieces)
}

fn shown(place: &str) -> String {
    match place {
        "" => "the whole".to_owned(),
        place => crate::text::visible(&crate::text::cut(place, 256)).into_owned(),
    }
}
