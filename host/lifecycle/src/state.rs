//! What the journal adds up to: where every package stands. Pure: a fold over transactions, without any effect.

use std::collections::{BTreeMap, VecDeque};

use netsage_api_types::{HistoryEntry, Stage, Step};
use serde::{Deserialize, Serialize};

use crate::trust::Signed;

/// Entries of the history that are kept at most; the oldest go first.
pub(crate) const MOST_ENTRIES: usize = 4096;
/// Activations that are remembered per name, for rollbacks one after another.
const MOST_ACTIVATIONS: usize = 16;
/// Version of what the journal holds.
pub(crate) const FORMAT: u32 = 1;

/// What a package says about itself, found when it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) licence: String,
    pub(crate) explains: bool,
    pub(crate) learns: bool,
    pub(crate) columns: Vec<String>,
}

/// One line of the history, with what only the journal needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Move {
    #[serde(flatten)]
    pub(crate) entry: HistoryEntry,
    /// Share of the flows, for a shadow or a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    /// How far the package shall go by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Stage>,
    /// What a check found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<About>,
    /// The package becomes active by itself when no other package of its name is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) promotes_first: bool,
    /// The package is part of the program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) built_in: bool,
    /// Somebody asked for it, where it is a quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) kept_out: bool,
    /// Who signed the package and when, where it became active and signatures count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed: Option<Signed>,
}

/// What takes effect together: one line of the journal, and one exchange of the line-up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transaction {
    /// A snapshot of everything before this transaction; earlier transactions no longer count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<Box<Snapshot>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) moves: Vec<Move>,
    /// Digests that are forgotten, to make room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) removed: Vec<String>,
    /// Digests of the packages that the command line named, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) named: Option<Vec<String>>,
    /// Thresholds that were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) thresholds: Vec<ThresholdSet>,
}

/// A threshold that was set in the running program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThresholdSet {
    pub(crate) entry: HistoryEntry,
    /// Name of the detector, or `fused`.
    pub(crate) name: String,
    pub(crate) threshold: Threshold,
}

/// A threshold that was set in the running program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Threshold {
    /// As it was given.
    pub(crate) rule: String,
    /// Flows per day, where the rule takes them: those of the moment in which it was set, so that a flood does not raise
    /// the threshold that shall report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flows_per_day: Option<f64>,
    /// The rule of the settings at that time; when the settings change later, their rule is the newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instead_of: Option<String>,
}

/// State and history at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) format: u32,
    pub(crate) state: State,
    pub(crate) history: VecDeque<HistoryEntry>,
}

/// Where one package stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) name: Option<String>,
    pub(crate) about: Option<About>,
    pub(crate) stage: Stage,
    /// Since when, ms since the epoch.
    pub(crate) since: i64,
    /// Number of the entry with which it came to stand there: clocks repeat themselves, numbers do not.
    pub(crate) moved: u64,
    pub(crate) share: Option<f64>,
    /// Number of its last activation.
    pub(crate) generation: Option<u64>,
    /// Stage up to which the package advances by itself.
    pub(crate) until: Stage,
    /// The package becomes active by itself when no package of its name is.
    pub(crate) promotes_first: bool,
    /// The last reason of its history.
    pub(crate) why: String,
    pub(crate) built_in: bool,
    /// It is quarantined because somebody asked for that, and so not forgotten to make room.
    #[serde(default)]
    pub(crate) kept_out: bool,
}

impl Known {
    /// Whether it was refused before anything was known of it. Anybody can bring such packages in any number.
    pub(crate) fn is_junk(&self) -> bool {
        self.stage == Stage::Quarantined && self.about.is_none() && !self.kept_out
    }
}

/// Where every package stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// By digest.
    pub(crate) packages: BTreeMap<String, Known>,
    /// Names in the order of their first activation.
    pub(crate) names: Vec<String>,
    /// By name: digests in the order in which they became active, each once.
    pub(crate) activations: BTreeMap<String, Vec<String>>,
    /// The last numbers that were given.
    pub(crate) last_generation: u64,
    pub(crate) last_entry: u64,
    /// What the command line named last.
    pub(crate) named: Option<Vec<String>>,
    /// Thresholds that were set, by name.
    pub(crate) thresholds: BTreeMap<String, Threshold>,
    /// By name and key: when the youngest signature was made of those whose package was active.
    #[serde(default)]
    pub(crate) youngest: BTreeMap<String, BTreeMap<String, u64>>,
}

impl State {
    /// Takes over a transaction; the snapshot in it is the matter of [`Book::apply`].
    pub(crate) fn apply(&mut self, transaction: &Transaction) {
        for a_move in &transaction.moves {
            self.apply_move(a_move);
        }
        for digest in &transaction.removed {
            self.packages.remove(digest);
            for activations in self.activations.values_mut() {
                activations.retain(|active| active != digest);
            }
        }
        if let Some(named) = &transaction.named {
            self.named = Some(named.clone());
        }
        for set in &transaction.thresholds {
            self.last_entry = self.last_entry.max(set.entry.number);
            self.thresholds.insert(set.name.clone(), set.threshold.clone());
        }
    }

    fn apply_move(&mut self, a_move: &Move) {
        let entry = &a_move.entry;
        self.last_entry = self.last_entry.max(entry.number);
        if let Some(generation) = entry.generation {
            self.last_generation = self.last_generation.max(generation);
        }
        let known = self
            .packages
            .entry(entry.digest.clone())
            .or_insert_with(|| Known {
                name: None,
                about: None,
                stage: entry.to,
                since: entry.at,
                moved: entry.number,
                share: None,
                generation: None,
                until: entry.to,
                promotes_first: false,
                why: String::new(),
                built_in: false,
                kept_out: false,
            });
        if entry.from != Some(entry.to) {
            known.stage = entry.to;
            known.since = entry.at;
            known.moved = entry.number;
            known.share = a_move.share;
            known.generation = entry.generation.or(known.generation);
        }
        known.why.clone_from(&entry.why);
        known.built_in |= a_move.built_in;
        known.promotes_first |= a_move.promotes_first;
        if matches!(entry.to, Stage::Retired | Stage::Quarantined) {
            // Somebody took it out: from now on it waits to be asked.
            known.promotes_first = false;
        }
        if entry.name.is_some() {
            known.name.clone_from(&entry.name);
        }
        if a_move.about.is_some() {
            known.about.clone_from(&a_move.about);
        }
        if let Some(until) = a_move.until {
            known.until = until;
        }
        known.kept_out = entry.to == Stage::Quarantined && (known.kept_out || a_move.kept_out);
        if let (Stage::Active, Some(name)) = (entry.to, &entry.name) {
            self.remember_activation(name, &entry.digest);
            if let Some(Signed { key, at: Some(at) }) = &a_move.signed {
                let youngest = self.youngest.entry(name.clone()).or_default();
                let youngest = youngest.entry(key.clone()).or_default();
                *youngest = (*youngest).max(*at);
            }
        }
        if let (Stage::Quarantined, Some(name)) = (entry.to, &entry.name)
            && let Some(activations) = self.activations.get_mut(name)
        {
            // Never to be rolled back to.
            activations.retain(|active| *active != entry.digest);
        }
        // Who was rolled back is not what a second rollback goes to.
        if let (Step::Rollback, Stage::Retired, Some(name)) = (entry.step, entry.to, &entry.name)
            && let Some(activations) = self.activations.get_mut(name)
        {
            activations.retain(|active| *active != entry.digest);
        }
    }

    fn remember_activation(&mut self, name: &str, digest: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        let activations = self.activations.entry(name.to_owned()).or_default();
        activations.retain(|active| active != digest);
        activations.push(digest.to_owned());
        let surplus = activations.len().saturating_sub(MOST_ACTIVATIONS);
        activations.drain(..surplus);
    }

    /// Restores what no transaction breaks, after transactions are missing: a name has one active package and one canary.
    /// The last to have become it stays.
    pub(crate) fn settle(&mut self) {
        for (stage, instead) in [(Stage::Active, Stage::Retired), (Stage::Canary, Stage::Warm)] {
            let mut last: BTreeMap<String, u64> = BTreeMap::new();
            for known in self.packages.values().filter(|known| known.stage == stage) {
                let last = last.entry(known.name.clone().unwrap_or_default()).or_default();
                *last = known.moved.max(*last);
            }
            for known in self.packages.values_mut().filter(|known| known.stage == stage) {
                let name = known.name.as_deref().unwrap_or_default();
                if last.get(name).is_some_and(|last| known.moved < *last) {
                    known.stage = instead;
                    known.share = None;
                }
            }
        }
    }

    /// The packages of a name in a stage.
    pub(crate) fn at<'a>(&'a self, name: &'a str, stage: Stage) -> impl Iterator<Item = &'a str> {
        self.packages.iter().filter_map(move |(digest, known)| {
            (known.stage == stage && known.name.as_deref() == Some(name)).then_some(digest.as_str())
        })
    }

    /// The active package of a name.
    pub(crate) fn active<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.at(name, Stage::Active).next()
    }

    /// The canary of a name.
    pub(crate) fn canary<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.at(name, Stage::Canary).next()
    }

    /// The package that a rollback of the active package makes active: the previous one.
    pub(crate) fn previous(&self, name: &str) -> Option<&str> {
        let active = self.active(name)?;
        let is_retired = |digest: &&String| {
            self.packages
                .get(*digest)
                .is_some_and(|known| known.stage == Stage::Retired)
        };
        let activations = self.activations.get(name)?;
        activations
            .iter()
            .rev()
            .filter(|digest| *digest != active)
            .find(is_retired)
            .map(String::as_str)
    }

    /// Whether a package is kept warm as the one to roll back to.
    pub(crate) fn is_previous(&self, digest: &str) -> bool {
        let name = self.packages.get(digest).and_then(|known| known.name.as_deref());
        name.is_some_and(|name| self.previous(name) == Some(digest))
    }
}

/// State and history.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Book {
    pub(crate) state: State,
    pub(crate) history: VecDeque<HistoryEntry>,
}

impl Book {
    /// Takes over a transaction of the journal.
    pub(crate) fn apply(&mut self, transaction: &Transaction) {
        if let Some(snapshot) = &transaction.snapshot {
            self.state = snapshot.state.clone();
            self.history.clone_from(&snapshot.history);
        }
        self.state.apply(transaction);
        self.history
            .extend(transaction.moves.iter().map(|a_move| a_move.entry.clone()));
        self.history
            .extend(transaction.thresholds.iter().map(|set| set.entry.clone()));
        let surplus = self.history.len().saturating_sub(MOST_ENTRIES);
        self.history.drain(..surplus);
    }

    /// All of it in one transaction, with the younger half of the history.
    pub(crate) fn snapshot(&self) -> Transaction {
        let surplus = self.history.len().saturating_sub(MOST_ENTRIES / 2);
        Transaction {
            snapshot: Some(Box::new(Snapshot {
                format: FORMAT,
                state: self.state.clone(),
                history: self.history.iter().skip(surplus).cloned().collect(),
            })),
            ..Transaction::default()
        }
    }
}
