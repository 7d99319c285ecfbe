//! How detectors live, from any layer of settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use netsage_api_types::FailurePolicy;
use netsage_lifecycle::LifecycleConfig;

use super::rollout::{share, time_within};
use super::{ConfigError, Settings, within};

impl Settings {
    /// What the life of detectors needs, with its defaults filled in.
    ///
    /// # Errors
    /// When a value cannot be.
    pub fn lifecycle(&self, data_dir: &Path, instances: usize) -> Result<LifecycleConfig, ConfigError> {
        let default = LifecycleConfig::default();
        let (on_failure, on_failure_default) = parse_policies(
            self.on_failure.as_deref().unwrap_or_default(),
            default.on_failure_default,
        )?;
        Ok(LifecycleConfig {
            directory: Some(data_dir.join("detectors")),
            watched: self.detectors_dir.clone(),
            trust: self.trust_policy()?,
            thresholds: parse_thresholds(self.threshold.as_deref().unwrap_or_default())?,
            on_failure,
            on_failure_default,
            failures_before_quarantine: within(
                "failures-before-quarantine",
                self.failures_before_quarantine,
                default.failures_before_quarantine,
                1..=1000,
            )?,
            rollout: self.rollout(default.rollout)?,
            guard: self.guard_limits(default.guard)?,
            shadow_share: share("shadow-share", self.shadow_share, default.shadow_share)?,
            canary_share: share("canary-share", self.canary_share, default.canary_share)?,
            save_interval: time_within(
                "save-interval",
                self.save_interval,
                default.save_interval,
                Duration::from_secs(1),
            )?,
            workers: instances,
            most_packages: within(
                "most-packages",
                self.most_packages,
                default.most_packages,
                2..=4096,
            )?,
        })
    }
}

/// What to say, in a sentence each, about settings for names that no detector has: most likely one is misspelt.
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
        .filter(|(_, name)| !known.contains(&name.as_str()))
        .map(|(setting, name)| {
            format!(
                "the setting `{setting}` names a detector `{name}`, and there is none of that name (there are: {list}); it will apply once one comes"
            )
        })
        .collect()
}

/// Reads `NAME=SCORE` entries.
fn parse_thresholds(entries: &[String]) -> Result<BTreeMap<String, f32>, ConfigError> {
    let mut thresholds = BTreeMap::new();
    for entry in entries {
        let parsed = entry
            .split_once('=')
            .and_then(|(name, score)| Some((name.trim(), score.trim().parse::<f32>().ok()?)))
            .filter(|(name, score)| !name.is_empty() && score.is_finite());
        let Some((name, score)) = parsed else {
            return Err(ConfigError::value(
                "threshold",
                format!("`{entry}` is not NAME=SCORE, e.g. iforest=0.62"),
            ));
        };
        thresholds.insert(name.to_owned(), score);
    }
    Ok(thresholds)
}

/// Reads `POLICY` and `NAME=POLICY` entries: those with a name, and the one without.
fn parse_policies(
    entries: &[String],
    default: FailurePolicy,
) -> Result<(BTreeMap<String, FailurePolicy>, FailurePolicy), ConfigError> {
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
    Ok((by_name, for_all.unwrap_or(default)))
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
        check("save-interval = \"0s\"", "not between 1s and 30d");
        check("failures-before-quarantine = 0", "not between 1 and 1000");
        check("most-packages = 1", "not between 2 and 4096");
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
