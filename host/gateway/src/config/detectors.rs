//! Detectors: thresholds, policies and the limits of their life, from any layer of settings.

use std::collections::BTreeMap;
use std::path::Path;

use netsage_api_types::FailurePolicy;
use netsage_calibration::{Rule, fused};
use netsage_lifecycle::LifecycleConfig;

use super::{ConfigError, Settings};

impl Settings {
    /// What the life of detectors needs, with its defaults filled in.
    ///
    /// # Errors
    /// When a value is out of its range, or a threshold or a policy cannot be read.
    pub fn lifecycle(&self, data_dir: &Path, instances: usize) -> Result<LifecycleConfig, ConfigError> {
        let (on_failure, for_all) = parse_policies(&self.on_failure()?)?;
        let default = LifecycleConfig::default();
        Ok(LifecycleConfig {
            directory: Some(data_dir.join("detectors")),
            watched_folder: self.detectors_dir.clone(),
            trust: self.trust_policy()?,
            thresholds: parse_thresholds(self.threshold.as_deref().unwrap_or_default())?,
            // The stored flows tell the rate at the start.
            flows_per_day: None,
            drift_flows: self.drift_flows()?,
            on_failure,
            on_failure_default: for_all.unwrap_or(default.on_failure_default),
            failures_before_quarantine: self.failures_before_quarantine()?,
            rollout: self.steps_by_itself()?,
            guard: self.guard_limits()?,
            shadow_share: self.shadow_share()?,
            canary_share: self.canary_share()?,
            // Where the flows come from decides.
            forgets_sources: default.forgets_sources,
            save_interval: self.save_interval()?.0,
            workers: instances,
            most_packages: self.most_packages()?,
        })
    }
}

/// A sentence for each setting that names a detector which does not exist; most likely the name is misspelt.
pub fn names_nobody_has(config: &LifecycleConfig, known: &[&str]) -> Vec<String> {
    let named = [
        ("threshold", config.thresholds.keys().collect::<Vec<_>>()),
        ("on-failure", config.on_failure.keys().collect()),
    ];
    let mut names = known.to_vec();
    names.sort_unstable();
    names.dedup();
    let list = names.join(", ");
    named
        .into_iter()
        .flat_map(|(setting, names)| names.into_iter().map(move |name| (setting, name)))
        .filter(|(setting, name)| !known.contains(&name.as_str()) && (*setting, name.as_str()) != ("threshold", fused::NAME))
        .map(|(setting, name)| {
            format!(
                "the setting `{setting}` names a detector `{name}`, and there is none of that name (there are: {list}); it will apply once one comes"
            )
        })
        .collect()
}

/// Reads `NAME=RULE` entries.
fn parse_thresholds(entries: &[String]) -> Result<BTreeMap<String, Rule>, ConfigError> {
    let mut thresholds = BTreeMap::new();
    for entry in entries {
        let named = entry.split_once('=').map(|(name, rule)| (name.trim(), rule));
        let Some((name, rule)) = named.filter(|(name, _)| !name.is_empty()) else {
            let advice =
                "is not NAME=RULE, e.g. iforest=10/day, iforest=fpr:0.001, iforest=p99.9 or iforest=0.62";
            return Err(ConfigError::value("threshold", format!("`{entry}` {advice}")));
        };
        let rule: Rule = rule
            .parse()
            .map_err(|error| ConfigError::value("threshold", format!("`{entry}`: {error}")))?;
        thresholds.insert(name.to_owned(), rule);
    }
    Ok(thresholds)
}

/// Policies by name of the detector, and the one for all others.
type Policies = (BTreeMap<String, FailurePolicy>, Option<FailurePolicy>);

/// Reads `POLICY` and `NAME=POLICY` entries.
fn parse_policies(entries: &[String]) -> Result<Policies, ConfigError> {
    let (mut by_name, mut for_all) = (BTreeMap::new(), None);
    for entry in entries {
        let (name, policy) = match entry.split_once('=') {
            Some((name, policy)) => (Some(name.trim()).filter(|name| !name.is_empty()), policy.trim()),
            None => (None, entry.trim()),
        };
        let policy = match policy {
            "closed" => FailurePolicy::Closed,
            "open" => FailurePolicy::Open,
            "reload" => FailurePolicy::Reload,
            _ => {
                return Err(ConfigError::value(
                    "on-failure",
                    format!(
                        "`{entry}` is neither POLICY nor NAME=POLICY with closed, open or reload, e.g. iforest=closed"
                    ),
                ));
            }
        };
        let before = match name {
            Some(name) => by_name.insert(name.to_owned(), policy),
            None => for_all.replace(policy),
        };
        if before.is_some_and(|before| before != policy) {
            return Err(ConfigError::value(
                "on-failure",
                format!("`{entry}` contradicts an entry before it; keep one of the two"),
            ));
        }
    }
    Ok((by_name, for_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::from_toml(Path::new("netsage.toml"), text).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_lifecycle() {
        let config = Settings::default().lifecycle(Path::new("data"), 3).unwrap();
        let expected = LifecycleConfig {
            directory: Some("data/detectors".into()),
            workers: 3,
            ..LifecycleConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn policies_are_for_all_or_by_name() {
        let config = settings("on-failure = [\"open\", \"iforest=closed\"]");
        let config = config.lifecycle(Path::new("data"), 1).unwrap();
        assert_eq!(config.on_failure_default, FailurePolicy::Open);
        assert_eq!(config.on_failure["iforest"], FailurePolicy::Closed);
    }

    #[test]
    fn impossible_values_are_refused() {
        let check = |text: &str, expected: &str| {
            let settings = settings(text);
            let message = settings.lifecycle(Path::new("data"), 1).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("on-failure = [\"sometimes\"]", "closed, open or reload");
        check("on-failure = [\"=\"]", "NAME=POLICY");
        check("on-failure = [\"open\", \"closed\"]", "contradicts");
        check("canary-share = 0.0", "above 0 and at most 1");
        check("shadow-share = 1.5", "`shadow-share`");
        check("canary-trap-rate = nan", "not between 0 and 1");
        check("canary-distance = -0.1", "not between 0 and 1");
        check("canary-cost-ratio = 0.5", "not between 1 and");
        check("rollout-flows = 0", "not between 1 and");
        check("rollout-time = \"31d\"", "not between 0ms and 30d");
        check("threshold = [\"0.6\"]", "is not NAME=RULE");
        check("threshold = [\"iforest=often\"]", "alerts per day (10/day)");
        check("threshold = [\"iforest=90%\"]", "above 0 and at most 0.5");
        check("drift-flows = 1", "not between 100 and");
        check("save-interval = \"0s\"", "not between 1s and 30d");
        check("failures-before-quarantine = 0", "not between 1 and 1000");
        check("most-packages = 1", "not between 2 and 4096");
    }

    #[test]
    fn a_threshold_has_several_forms() {
        let config =
            settings("threshold = [\"a=10/day\", \"b = 0.1%\", \"c=p99.9\", \"fused=fpr:0.001\", \"d=0.5\"]");
        let config = config.lifecycle(Path::new("data"), 1).unwrap();
        let rules: Vec<Rule> = config.thresholds.values().copied().collect();
        let expected = [
            Rule::PerDay(10.0),
            Rule::Rate(0.001),
            Rule::Percentile(99.9),
            Rule::Score(0.5),
            Rule::Rate(0.001),
        ];
        assert_eq!(rules, expected);
        assert_eq!(
            names_nobody_has(&config, &["a", "b", "c", "d"]),
            Vec::<String>::new(),
            "fused is one"
        );
    }

    #[test]
    fn a_name_nobody_has_is_noticed() {
        let config = settings("threshold = [\"iforst=0.6\", \"zscore=3\"]\non-failure = [\"iforest=open\"]");
        let config = config.lifecycle(Path::new("data"), 1).unwrap();
        let sentences = names_nobody_has(&config, &["zscore", "iforest", "iforest"]);
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        assert!(
            sentences[0].contains("`threshold` names a detector `iforst`"),
            "{sentences:?}"
        );
        assert!(sentences[0].contains("iforest, zscore"), "{sentences:?}");
    }
}
