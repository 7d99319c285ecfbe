//! Thresholds: which rule is in force for a name, what score it gives, and how it is set.
//!
//! Three places name a rule. A threshold that was set in the running program wins as long as the settings are unchanged
//! since then; then come the settings; then the model card. A rule by flows a day gets that number once and keeps it: a
//! threshold that followed the traffic would rise with the flood that it should report.

use netsage_api_types::{
    DetectorRef, HistoryEntry, Stage, Step, StepRequest, ThresholdInfo, ThresholdRequest,
};
use netsage_calibration::{Rule, RuleError, fused};

use super::info::not_found;
use super::requests::Origin;
use super::{Desk, Lifecycle};
use crate::config::LifecycleConfig;
use crate::error::LifecycleError;
use crate::generation::Loaded;
use crate::state::{Threshold, ThresholdSet, Transaction};

/// A rule, and what it needs to become a score.
#[derive(Debug, Clone, PartialEq)]
struct InForce {
    rule: Rule,
    origin: &'static str,
    flows_per_day: Option<f64>,
}

/// The inputs of a preview of a threshold.
#[derive(Debug, Clone)]
pub struct ThresholdQuestion {
    /// The threshold.
    pub info: ThresholdInfo,
    /// The packages whose scores the threshold judges: the package of its name, or all active packages for the fused
    /// verdict.
    pub packages: Vec<std::sync::Arc<Loaded>>,
}

impl Lifecycle {
    /// The thresholds of all names that score, and that of the fused verdict at the end.
    pub fn thresholds(&self) -> Vec<ThresholdInfo> {
        let names: Vec<String> = self
            .roster
            .lineup()
            .slots
            .iter()
            .map(|slot| slot.name.clone())
            .collect();
        let fused = std::iter::once(fused::NAME.to_owned());
        let known = names.into_iter().chain(fused);
        known
            .filter_map(|name| Some(self.threshold(&name, None, None).ok()?.info))
            .collect()
    }

    /// The threshold of a name, or the threshold that another rule and number of flows a day would give.
    ///
    /// # Errors
    /// When there is no such name, or the rule gives no score.
    pub fn threshold(
        &self,
        name: &str,
        rule: Option<Rule>,
        flows_per_day: Option<f64>,
    ) -> Result<ThresholdQuestion, LifecycleError> {
        let desk = self.desk();
        let packages = desk.packages_of(name).ok_or_else(|| not_found(name))?;
        let in_force = desk.in_force(&self.config, name);
        let is_asked = rule.is_some();
        let in_force = match rule {
            Some(rule) => InForce {
                rule,
                origin: "tried",
                flows_per_day: flows_per_day.or(in_force.flows_per_day),
            },
            None => in_force,
        };
        drop(desk);
        let loaded = packages
            .first()
            .map(|loaded| &**loaded)
            .filter(|_| name != fused::NAME);
        let (score, pending) = match in_force.score(name, loaded) {
            Ok(score) => (score, None),
            Err(source) if is_asked => {
                let name = name.to_owned();
                return Err(LifecycleError::Threshold { name, source });
            }
            Err(pending) => {
                let card = loaded.and_then(|loaded| loaded.card.as_ref());
                (card.and_then(|card| card.threshold), Some(pending.to_string()))
            }
        };
        let exceedance = score.and_then(|score| match name {
            fused::NAME => Some(fused::exceedance(score)),
            _ => Some(loaded?.scale.as_ref()?.exceedance(score)),
        });
        let per_day = matches!(in_force.rule, Rule::PerDay(_));
        let info = ThresholdInfo {
            name: name.to_owned(),
            rule: in_force.rule.to_string(),
            origin: in_force.origin.to_owned(),
            score,
            exceedance,
            flows_per_day: in_force.rate(loaded).filter(|_| per_day),
            pending,
            yesterday: None,
        };
        Ok(ThresholdQuestion { info, packages })
    }

    /// Sets a threshold, which is in force when the call returns, over restarts too; the history has the threshold
    /// before. `flows_per_day` comes from the stored flows, where there are enough.
    ///
    /// # Errors
    /// When there is no such name, the text is not a rule, the rule gives no score, or the journal cannot be written.
    pub fn set_threshold(
        &self,
        name: &str,
        request: &ThresholdRequest,
        flows_per_day: Option<f64>,
    ) -> Result<ThresholdInfo, LifecycleError> {
        let named = |source| LifecycleError::Threshold {
            name: name.chars().take(64).collect(),
            source,
        };
        let rule: Rule = request.rule.parse().map_err(named)?;
        let asked = StepRequest {
            by: request.by.clone(),
            why: request.why.clone(),
            ..StepRequest::default()
        };
        let wish = self.wish(&asked, Origin::Api, "")?;
        let before = self.threshold(name, None, None)?.info;
        let after = self.threshold(name, Some(rule), flows_per_day)?.info;
        let reason = if wish.why.is_empty() {
            String::new()
        } else {
            format!(": {}", wish.why)
        };
        let mut pen = self.pen();
        let transaction = {
            let desk = self.desk();
            let state = &desk.book.state;
            let digest = state.active(name).unwrap_or_default();
            let stage = state
                .packages
                .get(digest)
                .map_or(Stage::Active, |known| known.stage);
            let entry = HistoryEntry {
                number: state.last_entry + 1,
                at: wish.at,
                by: wish.by,
                step: Step::Threshold,
                digest: digest.to_owned(),
                name: Some(name.to_owned()),
                from: Some(stage),
                to: stage,
                generation: None,
                why: format!("{} in place of {}{reason}", shown(&after), shown(&before)),
            };
            let instead_of = self.config.thresholds.get(name).map(ToString::to_string);
            let threshold = Threshold {
                rule: rule.to_string(),
                flows_per_day: after.flows_per_day,
                instead_of,
            };
            Transaction {
                thresholds: vec![ThresholdSet {
                    entry,
                    name: name.to_owned(),
                    threshold,
                }],
                ..Transaction::default()
            }
        };
        self.commit(&mut pen, &transaction)?;
        drop(pen);
        Ok(self.threshold(name, None, None)?.info)
    }

    /// Whether a rule of the settings waits for the number of flows a day.
    pub fn wants_flows_per_day(&self) -> bool {
        let desk = self.desk();
        let per_day = |rule: &Rule| matches!(rule, Rule::PerDay(_));
        desk.flows_per_day.is_none() && self.config.thresholds.values().any(per_day)
    }

    /// Takes the number of flows a day for the rules of the settings, once.
    pub fn know_flows_per_day(&self, flows: f64) {
        let _pen = self.pen();
        let mut desk = self.desk();
        if desk.flows_per_day.is_none() {
            desk.flows_per_day = Some(flows);
            tracing::info!(flows, "number of flows a day known; thresholds follow");
            self.roster
                .publish(desk.lineup(&self.config, &self.roster.lineup()));
        }
    }
}

/// A threshold in the words of the history: `10/day (0.7123)`.
fn shown(info: &ThresholdInfo) -> String {
    let score = info
        .score
        .map_or_else(|| "no alerts".to_owned(), |score| score.to_string());
    match info.flows_per_day {
        Some(flows) => format!("{} ({score} at {flows:.0} flows a day)", info.rule),
        None if info.rule == score => score,
        None => format!("{} ({score})", info.rule),
    }
}

impl InForce {
    /// The number of flows a day: measured, or else that of the training.
    fn rate(&self, loaded: Option<&Loaded>) -> Option<f64> {
        let card = loaded.and_then(|loaded| loaded.card.as_ref());
        let of_card = || card?.reference.as_ref()?.flows_per_day;
        self.flows_per_day.or_else(of_card)
    }

    /// The score, `None` when nothing is alerted; `loaded` is `None` for the fused verdict.
    fn score(&self, name: &str, loaded: Option<&Loaded>) -> Result<Option<f32>, RuleError> {
        let rate = self.rate(loaded);
        let score = match (name, self.rule) {
            // It has no card: without a rule it raises no alert.
            (fused::NAME, Rule::Card | Rule::Off) => f32::MAX,
            (fused::NAME, Rule::Score(score)) => score,
            (fused::NAME, rule) => rule.share(rate, name)?.map_or(f32::MAX, fused::threshold),
            (_, rule) => {
                let card = loaded.and_then(|loaded| loaded.card.as_ref());
                let scale = loaded.and_then(|loaded| loaded.scale.as_ref());
                rule.threshold(name, card, scale, rate)?
            }
        };
        Ok(Some(score).filter(|score| *score < f32::MAX))
    }
}

impl Desk {
    /// The rule in force for a name.
    fn in_force(&self, config: &LifecycleConfig, name: &str) -> InForce {
        let of_settings = config.thresholds.get(name);
        let set = self.book.state.thresholds.get(name);
        let set = set.filter(|set| set.instead_of == of_settings.map(ToString::to_string));
        let set = set.and_then(|set| Some((set.rule.parse::<Rule>().ok()?, set.flows_per_day)));
        let (rule, origin, flows_per_day) = match (set, of_settings) {
            (Some((rule, flows_per_day)), _) => (rule, "history", flows_per_day.or(self.flows_per_day)),
            (None, Some(rule)) => (*rule, "settings", self.flows_per_day),
            (None, None) => (Rule::Card, "card", self.flows_per_day),
        };
        InForce {
            rule,
            origin,
            flows_per_day,
        }
    }

    /// The loaded packages that a threshold judges, the active one of its name first; of the fused verdict all active
    /// ones. `None` when nobody has the name.
    fn packages_of(&self, name: &str) -> Option<Vec<std::sync::Arc<Loaded>>> {
        let state = &self.book.state;
        let loaded = |digest: &str| self.held.get(digest)?.loaded.clone();
        if name == fused::NAME {
            let active = state.names.iter().filter_map(|name| state.active(name));
            return Some(active.filter_map(loaded).collect());
        }
        let of_name = |digest: &&String| state.packages[*digest].name.as_deref() == Some(name);
        let mut digests: Vec<&String> = state.packages.keys().filter(of_name).collect();
        digests.sort_by_key(|digest| state.packages[*digest].stage != Stage::Active);
        let is_known = !digests.is_empty();
        is_known.then(|| digests.into_iter().filter_map(|digest| loaded(digest)).collect())
    }

    /// Gives every loaded package the threshold of its name. Where the rule gives no score yet, that of its card stands
    /// in.
    pub(super) fn set_thresholds(&self, config: &LifecycleConfig) {
        for loaded in self.held.values().filter_map(|held| held.loaded.as_ref()) {
            let DetectorRef { name, .. } = &loaded.reference;
            let score = self.in_force(config, name).score(name, Some(loaded));
            let of_card = || loaded.card.as_ref().and_then(|card| card.threshold);
            let score = score.unwrap_or_else(|_| of_card()).unwrap_or(f32::MAX);
            if score.to_bits() != loaded.threshold().to_bits() {
                loaded.set_threshold(score);
            }
        }
    }

    /// The threshold of the fused verdict, when it raises alerts.
    pub(super) fn fused_threshold(&self, config: &LifecycleConfig) -> Option<f32> {
        self.in_force(config, fused::NAME)
            .score(fused::NAME, None)
            .ok()
            .flatten()
    }
}
