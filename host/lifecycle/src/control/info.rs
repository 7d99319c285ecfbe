//! The state of packages, for the API.

use netsage_api_types::{
    Comparison, DetectorInfo, DetectorRef, Drift, HistoryEntry, HistoryQuery, Page, Stage, Step,
};

use super::{Desk, Held, Lifecycle};
use crate::config::LifecycleConfig;
use crate::error::LifecycleError;
use crate::generation::Loaded;
use crate::plan::{possible, short};
use crate::state::{Known, State};
use crate::statistics::DriftMonitor;
use crate::transition::after;

/// Fewest digits of a digest that stand for it.
const FEWEST_DIGITS: usize = 8;

/// Entries of a page of the history, unless the question says otherwise.
const PAGE: u32 = 50;

impl Lifecycle {
    /// Every package: those that score first, then by name and digest.
    pub fn list(&self) -> Vec<DetectorInfo> {
        let desk = self.desk();
        let packages = &desk.book.state.packages;
        let mut list: Vec<DetectorInfo> = packages
            .iter()
            .map(|(digest, known)| desk.info(&self.config, digest, known))
            .collect();
        drop(desk);
        let rank = |stage| match stage {
            Stage::Active => 0,
            Stage::Canary => 1,
            Stage::Shadow => 2,
            _ => 3,
        };
        list.sort_by_cached_key(|info| {
            let DetectorRef { name, digest, .. } = &info.detector;
            (rank(info.stage), name.clone(), digest.clone())
        });
        list
    }

    /// What is known about one package; `given` as for [`Lifecycle::step`].
    ///
    /// # Errors
    /// When there is none, or it is not clear which is meant.
    pub fn info(&self, given: &str) -> Result<DetectorInfo, LifecycleError> {
        let digest = self.find(given, None)?;
        let desk = self.desk();
        let known = desk
            .book
            .state
            .packages
            .get(&digest)
            .ok_or_else(|| not_found(given))?;
        Ok(desk.info(&self.config, &digest, known))
    }

    /// A page of the history, the latest entry first. The size of a page has no upper bound here.
    ///
    /// # Errors
    /// When the cursor was not given out by a page of the history.
    pub fn history(&self, query: &HistoryQuery) -> Result<Page<HistoryEntry>, LifecycleError> {
        let before = query.cursor.as_ref().map(|cursor| cursor.parse::<u64>());
        let before = before.transpose().map_err(|_| LifecycleError::BadCursor)?;
        let wanted = |entry: &&HistoryEntry| {
            let of_digest = |digest: &String| {
                digest.len() >= FEWEST_DIGITS && entry.digest.starts_with(&digest.to_ascii_lowercase())
            };
            query.digest.as_ref().is_none_or(of_digest)
                && query
                    .name
                    .as_ref()
                    .is_none_or(|name| entry.name.as_ref() == Some(name))
                && before.is_none_or(|before| entry.number < before)
        };
        let limit = query.limit.unwrap_or(PAGE) as usize;
        let desk = self.desk();
        let mut entries = desk.book.history.iter().rev().filter(wanted);
        let items: Vec<HistoryEntry> = entries.by_ref().take(limit).cloned().collect();
        let last = items.last().filter(|_| entries.next().is_some());
        let next = last.map(|entry| entry.number.to_string());
        Ok(Page { items, next })
    }

    /// How a shadow, a canary, or an active package on probation compares with the package that it is on trial against.
    pub fn comparison(&self, given: &str) -> Option<Comparison> {
        self.roster.comparison(&self.find(given, None).ok()?)
    }

    /// How far the flows of a package are from its reference distributions; `given` as for [`Lifecycle::step`].
    ///
    /// # Errors
    /// When there is none, or it is not clear which is meant.
    pub fn drift(&self, given: &str) -> Result<Drift, LifecycleError> {
        let digest = self.find(given, None)?;
        let desk = self.desk();
        let held = desk.held.get(&digest);
        let generation = held.and_then(|held| held.generation.clone());
        let card = held.and_then(|held| held.card.as_ref());
        let has_reference = card.is_some_and(|card| card.reference.is_some());
        let detector = reference(&desk.book.state, &digest);
        drop(desk);
        let monitor = generation
            .as_ref()
            .and_then(|generation| generation.drift.as_ref());
        Ok(DriftMonitor::report(
            monitor,
            detector,
            has_reference,
            self.config.drift_flows,
        ))
    }

    /// The digest of the package that is meant.
    pub(super) fn find(&self, given: &str, step: Option<Step>) -> Result<String, LifecycleError> {
        find(&self.desk().book.state, given, step)
    }
}

pub(super) fn not_found(given: &str) -> LifecycleError {
    LifecycleError::NotFound {
        given: given.chars().take(64).collect(),
    }
}

fn find(state: &State, given: &str, step: Option<Step>) -> Result<String, LifecycleError> {
    if state.packages.contains_key(given) {
        return Ok(given.to_owned());
    }
    let digits = given.to_ascii_lowercase();
    let is_digest = digits.len() >= FEWEST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of_digest = state
        .packages
        .keys()
        .filter(|digest| is_digest && digest.starts_with(&digits));
    let mut found: Vec<&str> = of_digest.map(String::as_str).collect();
    if found.is_empty() {
        let of_name = |known: &Known| known.name.as_deref() == Some(given);
        let can = |known: &Known, step| after(known.stage, step).is_some();
        let canary = state
            .canary(given)
            .filter(|_| matches!(step, Some(Step::Rollback | Step::Promote)));
        let active = state
            .active(given)
            .filter(|digest| step.is_none_or(|step| can(&state.packages[*digest], step)));
        if let Some(digest) = canary.or(active) {
            return Ok(digest.to_owned());
        }
        let all = || state.packages.iter().filter(|(_, known)| of_name(known));
        let fit = all().filter(|(_, known)| step.is_none_or(|step| can(known, step)));
        found = fit.map(|(digest, _)| digest.as_str()).collect();
        if found.is_empty() {
            // The only one that can be meant, and whose stage will say why the step cannot be done.
            found = all().map(|(digest, _)| digest.as_str()).collect();
        }
    }
    match found.as_slice() {
        [] => Err(not_found(given)),
        [digest] => Ok((*digest).to_owned()),
        several => {
            let show =
                |digest: &&str| format!("{} ({})", short(digest), state.packages[*digest].stage.name());
            Err(LifecycleError::Ambiguous {
                given: given.chars().take(64).collect(),
                candidates: several.iter().take(8).map(show).collect(),
            })
        }
    }
}

impl Desk {
    fn info(&self, config: &LifecycleConfig, digest: &str, known: &Known) -> DetectorInfo {
        let state = &self.book.state;
        let empty = Held::default();
        let held = self.held.get(digest).unwrap_or(&empty);
        let name = known.name.clone().unwrap_or_default();
        let stats = held
            .loaded
            .as_ref()
            .map(|loaded| loaded.detector.stats())
            .unwrap_or_default();
        let [scored, failed, replaced, unexplained] = held.before;
        let of_card = held.card.as_ref().and_then(|card| card.threshold);
        let threshold = of_card.unwrap_or(f32::MAX);
        let threshold = held
            .loaded
            .as_ref()
            .map_or(threshold, |loaded| loaded.threshold());
        let about = known.about.as_ref();
        let previous = (known.stage == Stage::Active)
            .then(|| state.previous(&name))
            .flatten();
        DetectorInfo {
            detector: reference(state, digest),
            summary: about.map(|about| about.summary.clone()).unwrap_or_default(),
            licence: about.map(|about| about.licence.clone()).unwrap_or_default(),
            explains: held.loaded.as_ref().map_or_else(
                || about.is_some_and(|about| about.explains),
                |loaded| loaded.detector.explains(),
            ),
            learns: about.is_some_and(|about| about.learns),
            columns: about.map(|about| about.columns.clone()).unwrap_or_default(),
            size: held.size,
            stage: known.stage,
            since: known.since,
            next: possible(state, digest),
            under_way: held.under_way,
            share: known.share,
            why: known.why.clone(),
            previous: previous.map(|previous| reference(state, previous)),
            on_failure: config.on_failure_of(&name),
            threshold: (threshold < f32::MAX).then_some(threshold),
            card: held.card.clone(),
            scored: scored + stats.scored_rows,
            failed: failed + stats.failed_rows,
            replaced_instances: replaced + stats.replaced_instances,
            failed_explanations: unexplained + stats.failed_explanations,
            nanoseconds_per_row: stats.nanoseconds_per_row(),
        }
    }
}

/// Name and version are empty before a check has found them out.
fn reference(state: &State, digest: &str) -> DetectorRef {
    let known = state.packages.get(digest);
    let about = known.and_then(|known| known.about.as_ref());
    DetectorRef {
        name: known.and_then(|known| known.name.clone()).unwrap_or_default(),
        version: about.map(|about| about.version.clone()).unwrap_or_default(),
        digest: digest.to_owned(),
        generation: known.and_then(|known| known.generation).unwrap_or(0),
    }
}

impl Loaded {
    /// What is known about a package that was loaded by itself, without a [`Lifecycle`].
    pub fn info(&self) -> DetectorInfo {
        let description = self.detector.description();
        let stats = self.detector.stats();
        DetectorInfo {
            detector: self.reference.clone(),
            summary: description.summary.clone(),
            licence: description.licence.clone(),
            explains: description.explains,
            learns: description.learns,
            columns: self
                .detector
                .columns()
                .iter()
                .map(|column| column.name.to_owned())
                .collect(),
            size: self.package().bytes().len() as u64,
            stage: Stage::Warm,
            since: 0,
            next: Vec::new(),
            under_way: None,
            share: None,
            why: "loaded for this command".to_owned(),
            previous: None,
            on_failure: LifecycleConfig::default().on_failure_default,
            threshold: Some(self.threshold()).filter(|threshold| *threshold < f32::MAX),
            card: self.card.clone(),
            scored: stats.scored_rows,
            failed: stats.failed_rows,
            replaced_instances: stats.replaced_instances,
            failed_explanations: stats.failed_explanations,
            nanoseconds_per_row: stats.nanoseconds_per_row(),
        }
    }
}
