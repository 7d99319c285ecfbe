//! What is left out of a message that is too large, and in which order.

use netsage_api_types::Alert;
use serde::Serialize;

use crate::text::cut;
use crate::{AlertMessage, Event};

/// What was left out of a document. All 0: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Shortened {
    /// Contributions, those with the least weight.
    pub(crate) contributions: usize,
    /// Sources of an alert of many.
    pub(crate) sources: usize,
    /// Texts that were cut; the last character of each is `…`.
    pub(crate) texts: usize,
}

impl Shortened {
    /// Whether anything was left out.
    pub(crate) fn is_any(self) -> bool {
        self != Self::default()
    }

    /// For people.
    pub(crate) fn note(self) -> Option<String> {
        let counts = [
            (self.contributions, "contributions left out"),
            (self.sources, "sources left out"),
            (self.texts, "texts cut"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let said: Vec<_> = some.map(|(count, what)| format!("{count} {what}")).collect();
        (!said.is_empty()).then(|| format!("shortened: {}", said.join(", ")))
    }
}

/// Lengths in bytes that texts are cut to, one after the other. The digest of a package has 64 and stays whole.
const LENGTHS: [usize; 3] = [1_024, 256, 64];

/// Writes an alert within `limit` bytes: first without some contributions, then without any and without the list of
/// sources, then with its texts cut. Ids are never cut, since receivers go by them.
///
/// # Errors
/// The bytes of the shortest.
pub(crate) fn alert(
    message: &AlertMessage,
    limit: usize,
    write: &dyn Fn(&AlertMessage, Shortened) -> String,
) -> Result<String, usize> {
    let whole = write(message, Shortened::default());
    if whole.len() <= limit {
        return Ok(whole);
    }
    if let Some(text) = with_most_contributions(message, limit, write) {
        return Ok(text);
    }
    let mut bare = message.clone();
    let mut shortened = Shortened {
        contributions: bare.alert.contributions.len(),
        ..Shortened::default()
    };
    bare.alert.contributions.clear();
    if let Some(sources) = &mut bare.alert.sources {
        shortened.sources = sources.top.len();
        sources.top.clear();
    }
    let mut text = write(&bare, shortened);
    let mut least = text.len().min(whole.len());
    for length in LENGTHS {
        if text.len() <= limit {
            return Ok(text);
        }
        let mut short = bare.clone();
        shortened.texts = cut_each(texts(&mut short.alert), length);
        text = write(&short, shortened);
        least = least.min(text.len());
    }
    if text.len() <= limit { Ok(text) } else { Err(least) }
}

/// The alert with as many contributions as fit, the weightiest; `None` when it does not fit with none.
fn with_most_contributions(
    message: &AlertMessage,
    limit: usize,
    write: &dyn Fn(&AlertMessage, Shortened) -> String,
) -> Option<String> {
    let all = message.alert.contributions.len();
    let with = |kept: usize| {
        let mut short = message.clone();
        short.alert.contributions.truncate(kept);
        let shortened = Shortened {
            contributions: all - kept,
            ..Shortened::default()
        };
        let text = write(&short, shortened);
        (text.len() <= limit).then_some(text)
    };
    let (mut fitting, mut best) = (0, with(0)?);
    let mut too_many = all;
    while too_many - fitting > 1 {
        let middle = fitting.midpoint(too_many);
        match with(middle) {
            Some(text) => (fitting, best) = (middle, text),
            None => too_many = middle,
        }
    }
    Some(best)
}

/// Writes an event within `limit` bytes, its texts cut where it must be.
///
/// # Errors
/// The bytes of the shortest.
pub(crate) fn event(
    event: &Event,
    limit: usize,
    write: &dyn Fn(&Event, Shortened) -> String,
) -> Result<String, usize> {
    let mut text = write(event, Shortened::default());
    let mut least = text.len();
    for length in LENGTHS {
        if text.len() <= limit {
            return Ok(text);
        }
        let mut short = event.clone();
        let texts = cut_each([&mut short.subject, &mut short.text], length);
        let shortened = Shortened {
            texts,
            ..Shortened::default()
        };
        text = write(&short, shortened);
        least = least.min(text.len());
    }
    if text.len() <= limit { Ok(text) } else { Err(least) }
}

/// Cuts each text to so many bytes; says how many were longer.
fn cut_each<'a>(texts: impl IntoIterator<Item = &'a mut String>, length: usize) -> usize {
    let mut count = 0;
    for text in texts.into_iter().filter(|text| text.len() > length) {
        *text = cut(text, length).into_owned();
        count += 1;
    }
    count
}

/// Every text of an alert but ids of alerts, contributions and the list of sources, which are gone before texts are cut.
fn texts(alert: &mut Alert) -> impl Iterator<Item = &mut String> {
    let all = [
        &mut alert.kind,
        &mut alert.source,
        &mut alert.destination,
        &mut alert.protocol,
        &mut alert.network,
        &mut alert.sensor,
        &mut alert.community_id,
        &mut alert.detector.name,
        &mut alert.detector.version,
        &mut alert.detector.digest,
        &mut alert.schema,
    ];
    all.into_iter().chain(&mut alert.changed_by)
}
