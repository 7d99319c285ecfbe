//! Limits that can be switched off, from any layer of settings.

use std::str::FromStr;

use serde::Deserialize;

/// A limit: a number above 0, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Most(pub usize);

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a limit; write a number above 0, or none for no limit")]
pub struct NotALimit(String);

/// A limit as a settings file may have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl FromStr for Most {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(usize::MAX)),
            number => match number.parse() {
                Ok(most @ 1..) => Ok(Self(most)),
                _ => Err(NotALimit(text.to_owned())),
            },
        }
    }
}

impl TryFrom<Written> for Most {
    type Error = NotALimit;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Number(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let check = |text: &str, expected: Option<usize>| {
            let read = text.parse::<Most>();
            assert_eq!(read.as_ref().ok().map(|most| most.0), expected, "{text}");
            if let Err(error) = read {
                assert!(error.to_string().contains("none for no limit"), "{error}");
            }
        };
        check("1", Some(1));
        check("1000", Some(1_000));
        check("none", Some(usize::MAX));
        for text in ["", "0", "-1", "1.5", "None", "all", "99999999999999999999"] {
            check(text, None);
        }
    }

    #[test]
    fn a_file_may_write_a_number_or_a_text() {
        #[derive(Deserialize)]
        struct File {
            most: Most,
        }
        let check = |text: &str, expected: Option<usize>| {
            let read = toml::from_str::<File>(text);
            assert_eq!(read.ok().map(|file| file.most.0), expected, "{text}");
        };
        check("most = 7", Some(7));
        check("most = \"7\"", Some(7));
        check("most = \"none\"", Some(usize::MAX));
        check("most = 0", None);
        check("most = true", None);
    }
}
