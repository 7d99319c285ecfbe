//! Which flows the store keeps, from any layer of settings.

use std::num::NonZeroU32;
use std::str::FromStr;

use netsage_store::KeptFlows;
use serde::Deserialize;

/// Which flows the store keeps: `all`, `alerted`, or `1/N` for those with an alert and one in N of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StoreFlows(pub KeptFlows);

/// Why a text does not say which flows to keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say which flows to keep; write all, alerted, or 1/N, e.g. 1/100")]
pub struct NotFlows(String);

impl FromStr for StoreFlows {
    type Err = NotFlows;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self(KeptFlows::All)),
            "alerted" => Ok(Self(KeptFlows::Alerted)),
            share => {
                let number = share.strip_prefix("1/").and_then(|number| number.parse().ok());
                let number: NonZeroU32 = number.ok_or_else(|| NotFlows(text.to_owned()))?;
                Ok(Self(KeptFlows::OneIn(number)))
            }
        }
    }
}

impl TryFrom<String> for StoreFlows {
    type Error = NotFlows;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_flows_are_kept_is_read() {
        let one_in = |number| Some(KeptFlows::OneIn(NonZeroU32::new(number).unwrap()));
        let check = |text: &str, expected: Option<KeptFlows>| {
            let read = text.parse::<StoreFlows>();
            assert_eq!(read.as_ref().ok().map(|flows| flows.0), expected, "{text}");
            if let Err(error) = read {
                assert!(error.to_string().contains("1/100"), "{error}");
            }
        };
        check("all", Some(KeptFlows::All));
        check("alerted", Some(KeptFlows::Alerted));
        check("1/100", one_in(100));
        check("1/1", one_in(1));
        for text in ["", "none", "1/0", "2/3", "1/-1", "1/", "100", "1/5000000000"] {
            check(text, None);
        }
    }
}
