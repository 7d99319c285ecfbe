//! What every client is made with.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

/// Adds where the brokers are, and further settings of librdkafka by their names. What is set before can be set anew by them,
/// and what is set after cannot.
///
/// # Errors
/// When one of the names is among `ours`; `reason` says why these cannot be set.
pub fn add_settings(
    config: &mut ClientConfig,
    brokers: &str,
    settings: &[(String, String)],
    ours: &[&str],
    reason: &str,
) -> Result<(), String> {
    config
        .set("client.id", "netsage")
        .set("bootstrap.servers", brokers);
    for (name, value) in settings {
        if ours.contains(&name.as_str()) {
            return Err(format!("`{name}` {reason}; leave it out"));
        }
        config.set(name, value);
    }
    Ok(())
}

/// Has librdkafka look at names and values.
///
/// # Errors
/// Which setting librdkafka does not take, without the value, which may be a password.
pub fn check(config: &ClientConfig) -> Result<(), String> {
    let checked = config.create_native_config();
    checked.map(drop).map_err(|error| without_value(&error))
}

/// Whether two clients would be the same. The map of a configuration shows passwords as stars, equal ones and others.
pub fn is_same(one: &ClientConfig, other: &ClientConfig) -> bool {
    let names = one.config_map();
    names == other.config_map() && names.keys().all(|name| one.get(name) == other.get(name))
}

/// What an error says. Of a setting it says the name alone, since the value may be a password.
pub fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("librdkafka has no setting `{name}`")
        }
        KafkaError::ClientConfig(_, _, name, _) => format!("librdkafka does not take the value of `{name}`"),
        other => other.to_string(),
    }
}

/// Passes a line of librdkafka on to the log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "librdkafka"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_password_is_another_client() {
        let config = |password: &str| {
            let mut config = ClientConfig::new();
            config
                .set("sasl.username", "sensor")
                .set("sasl.password", password);
            config
        };
        assert!(is_same(&config("tulip"), &config("tulip")));
        assert!(!is_same(&config("tulip"), &config("rose")));
        assert!(!is_same(&config("tulip"), &ClientConfig::new()));
    }

    #[test]
    fn what_is_said_of_a_setting_does_not_show_its_value() {
        let check = |name: &str, expected: Result<(), &str>| {
            let mut config = ClientConfig::new();
            config.set(name, "tulip");
            assert_eq!(super::check(&config), expected.map_err(ToOwned::to_owned));
        };
        check("sasl.password", Ok(()));
        check("no.such", Err("librdkafka has no setting `no.such`"));
        check("acks", Err("librdkafka does not take the value of `acks`"));
        check(
            "security.protocol",
            Err("librdkafka does not take the value of `security.protocol`"),
        );
    }
}
