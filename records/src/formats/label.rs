//! Labels: what people or other programs wrote beside a record of what it is.

/// What a label says. No column of a row is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Whether the flow is an attack; `None` for words that are not known.
    pub attack: Option<bool>,
    /// The kind of traffic, as it is written; empty where that is not said.
    pub kind: String,
}

impl Label {
    /// The label of such words.
    pub(super) fn of(label: &[u8], kind: &[u8]) -> Self {
        const ATTACK: [&str; 3] = ["malicious", "attack", "1"];
        const ORDINARY: [&str; 4] = ["benign", "normal", "background", "0"];
        let label = label.trim_ascii();
        let is_one = |words: &[&str]| {
            words
                .iter()
                .any(|word| label.eq_ignore_ascii_case(word.as_bytes()))
        };
        Self {
            attack: (is_one(&ATTACK) || is_one(&ORDINARY)).then(|| is_one(&ATTACK)),
            kind: String::from_utf8_lossy(kind.trim_ascii()).into_owned(),
        }
    }
}
