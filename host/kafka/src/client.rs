//! What every client is made with.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

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
