//! Where flows are forwarded to, from any layer of settings.

use netsage_forward::{HttpsOptions, Target};

use super::{ConfigError, Settings};

/// Where flows are forwarded to, and how much of them waits.
#[derive(Debug, Clone)]
pub struct ForwardSettings {
    /// The receiver.
    pub target: Target,
    /// Most bytes of the spool.
    pub spool: u64,
}

impl Settings {
    /// Where flows are forwarded to; `None` when nothing is named.
    ///
    /// # Errors
    /// When the address is none, a file that it needs cannot be read, or a setting is there that another one needs.
    pub(super) fn forward_settings(&self) -> Result<Option<ForwardSettings>, ConfigError> {
        let Some(url) = &self.forward else {
            if self.no_score()? {
                return Err(ConfigError::value(
                    "no-score",
                    "nothing would become of flows; name where they go with --forward, or leave it out",
                ));
            }
            return Ok(None);
        };
        let target = match url.strip_prefix("kafka://") {
            Some(rest) => self.topic_of(rest)?,
            None => {
                let options = HttpsOptions {
                    url: url.clone(),
                    token_file: self.forward_token_file.clone(),
                    ca: self.forward_ca.clone(),
                    certificate: self.forward_certificate.clone(),
                    key: self.forward_key.clone(),
                };
                options
                    .check()
                    .map_err(|error| ConfigError::value("forward", error.to_string()))?;
                Target::Https(options)
            }
        };
        Ok(Some(ForwardSettings {
            target,
            spool: self.forward_spool()?.0 as u64,
        }))
    }

    /// The topic behind `kafka://`.
    #[cfg(feature = "kafka")]
    fn topic_of(&self, rest: &str) -> Result<Target, ConfigError> {
        use netsage_sources::kafka::ProducerOptions;

        use super::kafka::client_settings_of;

        let named = rest.split_once('/');
        let (brokers, topic) = named
            .filter(|(brokers, topic)| !brokers.is_empty() && !topic.is_empty() && !topic.contains('/'))
            .ok_or_else(|| {
                let reason =
                    format!("`kafka://{rest}` is no topic; name one as kafka://localhost:9092/flows");
                ConfigError::value("forward", reason)
            })?;
        let settings = client_settings_of(
            ["forward-settings-file", "forward-setting"],
            self.forward_settings_file.as_deref(),
            self.forward_setting.as_deref().unwrap_or_default(),
        )?;
        Ok(Target::Topic(ProducerOptions {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            // Of `produce`, and of Java clients.
            partitioner: "murmur2".to_owned(),
            settings,
        }))
    }

    #[cfg(not(feature = "kafka"))]
    fn topic_of(&self, _: &str) -> Result<Target, ConfigError> {
        Err(ConfigError::value(
            "forward",
            "this program was built without Kafka; build it with the feature `kafka`, or name an address with https://",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Resolved;
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let text = format!("data-dir = \"/data\"\n{text}");
        let settings = Settings::from_toml(Path::new("netsage.toml"), &text).unwrap();
        match (Resolved::new(settings), expected) {
            (Ok(resolved), Ok(expected)) => {
                let shown = resolved.forward.map(|forward| forward.target.to_string());
                assert_eq!(shown.unwrap_or_default(), expected);
            }
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error}");
            }
            (found, expected) => panic!("{:?} in place of {expected:?}", found.map(|found| found.forward)),
        }
    }

    #[test]
    fn flows_are_forwarded_to_a_topic_or_an_address() {
        check("", Ok(""));
        check("no-score = true", Err("--forward"));
        check(
            "forward = \"https://central.example/api/v1/flows?x=secret\"",
            Ok("https://central.example"),
        );
        check(
            "forward = \"http://central.example/api/v1/flows\"",
            Err("not encrypted"),
        );
        check("forward = \"central\"", Err("no address to post to"));
        check(
            "forward = \"https://central/\"\nforward-ca = \"/nowhere/ca.pem\"",
            Err("cannot read /nowhere/ca.pem"),
        );
        check(
            "forward = \"https://central/\"\nforward-spool = \"1KiB\"",
            Err("at least"),
        );
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_topic_is_named_with_its_brokers() {
        let whole = "forward = \"kafka://a:1,b:2/flows\"";
        check(whole, Ok("kafka://a:1,b:2/flows"));
        check(&format!("{whole}\nno-score = true"), Ok("kafka://a:1,b:2/flows"));
        for wrong in ["kafka://a:1", "kafka:///flows", "kafka://a:1/", "kafka://a:1/b/c"] {
            check(&format!("forward = \"{wrong}\""), Err("no topic"));
        }
        check(
            &format!("{whole}\nforward-setting = [\"none\"]"),
            Err("`forward-setting`"),
        );
    }
}
