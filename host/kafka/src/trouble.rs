//! What keeps a client from its work, in one sentence that says what to do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What keeps a client from its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    text: String,
    /// Whether it is known what to do: trying again alone will not help.
    is_refusal: bool,
    /// Whether it was the broker that has refused, and who asks that it has refused.
    is_of_sender: bool,
}

impl Trouble {
    /// What librdkafka gives as an error, with its own words beside it where there are some.
    pub fn of(error: &KafkaError, reason: Option<&str>) -> Self {
        // It adds how long a connection has lasted, and how often it has said the same.
        let reason = reason.map(|reason| reason.split(" (after ").next().unwrap_or(reason));
        let is_tls = error.rdkafka_error_code() == Some(RDKafkaErrorCode::SSL);
        match advice(error) {
            Some(advice) => Self {
                text: format!(
                    "{}; {advice}",
                    reason.map_or_else(|| error.to_string(), str::to_owned)
                ),
                is_refusal: true,
                is_of_sender: !is_tls,
            },
            None => Self {
                text: reason.map_or_else(|| error.to_string(), |reason| format!("{error}: {reason}")),
                is_refusal: false,
                is_of_sender: false,
            },
        }
    }

    /// The same, of a partition.
    pub fn of_partition(partition: i32, error: &KafkaError) -> Self {
        let trouble = Self::of(error, None);
        Self {
            text: format!("partition {partition}: {}", trouble.text),
            ..trouble
        }
    }

    /// What keeps it, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the broker, or the client in the broker's name, has refused: trying again alone will not help.
    pub fn is_refusal(&self) -> bool {
        self.is_refusal
    }

    /// Whether brokers have refused this user: a password or a right is missing. What is wrong with TLS may be wrong on the way.
    pub fn is_of_sender(&self) -> bool {
        self.is_of_sender
    }

    /// Whether it is to be told in place of what is told now. A client whose brokers have all refused says next that all are
    /// down, which would hide why.
    pub fn is_news_beside(&self, told: Option<&Self>) -> bool {
        told.is_none_or(|told| told != self && (self.is_refusal || !told.is_refusal))
    }
}

/// What to do about an error, where trying again will not help.
fn advice(error: &KafkaError) -> Option<&'static str> {
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::UnsupportedSASLMechanism => Some(
            "check `sasl.username`, `sasl.password` and `sasl.mechanism` in the file with the settings of Kafka",
        ),
        RDKafkaErrorCode::SSL => Some(
            "check that `ssl.ca.location` names the certificate of the authority that has signed the broker's",
        ),
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            Some("let this user read and write the topic, or name another one in `sasl.username`")
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            Some("let this user read as that consumer group, or name another one in `sasl.username`")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(code: RDKafkaErrorCode, reason: &str) -> Trouble {
        Trouble::of(&KafkaError::Global(code), Some(reason))
    }

    #[test]
    fn a_cause_is_not_hidden_by_what_follows_from_it() {
        let refused = trouble(
            RDKafkaErrorCode::Authentication,
            "sasl_ssl://a:1: SASL authentication error: bad (after 3ms in state AUTH_REQ, 4 identical error(s) suppressed)",
        );
        assert!(
            refused
                .text()
                .starts_with("sasl_ssl://a:1: SASL authentication error: bad; check `sasl.username`"),
            "{refused:?}"
        );
        let down = trouble(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let unknown = trouble(RDKafkaErrorCode::SSL, "ssl://a:1: SSL handshake failed");
        let check = |new: &Trouble, told: Option<&Trouble>, expected: bool| {
            assert_eq!(new.is_news_beside(told), expected, "{new:?} beside {told:?}");
        };
        check(&down, None, true);
        check(&refused, Some(&down), true);
        check(&down, Some(&refused), false);
        check(&refused, Some(&refused), false);
        check(&unknown, Some(&refused), true);
        check(&down, Some(&down), false);
    }
}
