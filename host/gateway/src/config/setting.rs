//! The declaration of a setting, and the macro that declares all settings.
//!
//! The macro is our own. `confique` merges layers and writes an example in TOML, but knows neither flags nor ranges nor
//! variables in a file; `conf` replaces the derive macros of clap, and with them the help of every command; `figment`
//! and `config` merge values without types. Each would have left most of an entry to be written beside it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{RangeFrom, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

use super::{ByteSize, ConfigError, Most, RolloutStage, StoreFlows, Time, Trust};

/// One setting: all that flags, variables, the settings file, the example files and the documentation say about it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in the settings file and, after two dashes, its flag: `flow-memory`.
    pub name: &'static str,
    /// Its environment variable: `NETSAGE_FLOW_MEMORY`.
    pub variable: &'static str,
    /// The heading it stands under.
    pub theme: &'static str,
    /// The lines of its doc comment: first the help of the flag, then, after an empty line, what only example files and
    /// documentation add.
    pub lines: &'static [&'static str],
    /// What stands for a value in the help: `SIZE`.
    pub value_name: &'static str,
    /// How its values are written.
    pub form: Form,
    /// The value that holds when no layer has one, as a flag would give it.
    pub default: Option<&'static str>,
    /// What holds when no layer has a value, in words, where that is not a value.
    pub otherwise: Option<&'static str>,
    /// A value for the example files where there is no default, as a flag would give it.
    pub example: Option<&'static str>,
    /// Which values are allowed, in words, where the kind does not say so.
    pub allowed: fn() -> Option<String>,
    /// Whether its value must not be shown.
    pub is_secret: bool,
    /// Reads a value from a flag or a variable.
    pub parser: fn() -> ValueParser,
}

/// How the values of a setting are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, which TOML puts in quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`; a flag without a value is `true`.
    Switch,
    /// Several texts: a flag may be repeated or separate them by commas, TOML has an array.
    List,
}

impl Setting {
    /// What it is, in a sentence without a full stop.
    pub fn summary(&self) -> String {
        self.paragraphs().remove(0)
    }

    /// What example files and documentation add.
    pub fn details(&self) -> Vec<String> {
        self.paragraphs().split_off(1)
    }

    fn paragraphs(&self) -> Vec<String> {
        let paragraphs = self.lines.split(|line| line.trim().is_empty());
        let joined = |lines: &[&str]| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        paragraphs.map(joined).collect()
    }

    /// Its flag, which reads the variable too. The command gives it a heading.
    pub(super) fn flag(&self) -> Arg {
        let mut help = self.summary();
        if self.form == Form::List {
            help += "; may be repeated";
        }
        if let Some(default) = self.default.or(self.otherwise) {
            help += &format!(" [default: {default}]");
        }
        let flag = Arg::new(self.name)
            .long(self.name)
            .env(self.variable)
            .value_name(self.value_name)
            .help(help)
            .hide_env_values(self.is_secret)
            .value_parser((self.parser)());
        match self.form {
            Form::Text | Form::Number => flag,
            Form::List => flag.action(ArgAction::Append).value_delimiter(','),
            Form::Switch => flag
                .num_args(0..=1)
                .default_missing_value("true")
                .require_equals(true),
        }
    }
}

/// A type that values of settings have.
pub(super) trait Value: Clone + Send + Sync + 'static {
    /// How they are written.
    const FORM: Form;

    /// Reads a value, or an entry of a list.
    fn parser() -> ValueParser;

    /// Reads what the declaration says.
    fn declared(text: &str) -> Self;

    /// The value that flag or variable gave; `None` too where the command has no such flag.
    fn given(matches: &ArgMatches, name: &str) -> Option<Self> {
        matches.try_get_one(name).ok().flatten().cloned()
    }
}

macro_rules! values {
    ($($type:ty: $form:ident),+ $(,)?) => {$(
        impl Value for $type {
            const FORM: Form = Form::$form;

            fn parser() -> ValueParser {
                clap::value_parser!($type).into()
            }

            fn declared(text: &str) -> Self {
                <$type>::from_str(text).expect("a test reads every declared value")
            }
        }
    )+};
}

values! {
    bool: Switch,
    u32: Number,
    u64: Number,
    usize: Number,
    f64: Number,
    String: Text,
    PathBuf: Text,
    SocketAddr: Text,
    ByteSize: Text,
    Time: Text,
    Trust: Text,
    StoreFlows: Text,
    Most: Text,
    RolloutStage: Text,
}

impl Value for Vec<String> {
    const FORM: Form = Form::List;

    fn parser() -> ValueParser {
        clap::value_parser!(String)
    }

    fn declared(text: &str) -> Self {
        text.split(',').map(str::to_owned).collect()
    }

    fn given(matches: &ArgMatches, name: &str) -> Option<Self> {
        let entries = matches.try_get_many(name).ok().flatten()?;
        Some(entries.cloned().collect())
    }
}

/// Which values of a setting are allowed.
pub(super) trait Allowed<T> {
    fn contains(&self, value: &T) -> bool;

    /// What is wrong with a value that is not.
    fn complaint(&self, value: &T) -> String;

    fn words(&self) -> String;

    fn check(&self, setting: &'static str, value: &T) -> Result<(), ConfigError> {
        if self.contains(value) {
            return Ok(());
        }
        Err(ConfigError::value(setting, self.complaint(value)))
    }
}

impl<T: PartialOrd + Display> Allowed<T> for RangeInclusive<T> {
    fn contains(&self, value: &T) -> bool {
        RangeInclusive::contains(self, value)
    }

    fn complaint(&self, value: &T) -> String {
        format!("{value} is not between {} and {}", self.start(), self.end())
    }

    fn words(&self) -> String {
        format!("{} to {}", self.start(), self.end())
    }
}

impl<T: PartialOrd + Display> Allowed<T> for RangeFrom<T> {
    fn contains(&self, value: &T) -> bool {
        RangeFrom::contains(self, value)
    }

    fn complaint(&self, value: &T) -> String {
        format!("{value} is too little; give it at least {}", self.start)
    }

    fn words(&self) -> String {
        format!("at least {}", self.start)
    }
}

/// A share of the flows.
pub(super) struct Share;

impl Allowed<f64> for Share {
    fn contains(&self, value: &f64) -> bool {
        *value > 0.0 && *value <= 1.0
    }

    fn complaint(&self, value: &f64) -> String {
        format!(
            "{value} is not a share; give a number above 0 and at most 1, e.g. 0.1 for a tenth of the flows"
        )
    }

    fn words(&self) -> String {
        "above 0, at most 1".to_owned()
    }
}

/// The name of a field as keys and flags have it or, with a prefix and in upper case, as variables have it.
pub(super) const fn spelled<const N: usize>(prefix: &str, field: &str, is_variable: bool) -> [u8; N] {
    let mut name = [0; N];
    let mut index = 0;
    while index < N {
        name[index] = match index.checked_sub(prefix.len()) {
            None => prefix.as_bytes()[index],
            Some(place) => match field.as_bytes()[place] {
                letter if is_variable => letter.to_ascii_uppercase(),
                b'_' => b'-',
                letter => letter,
            },
        };
        index += 1;
    }
    name
}

/// What [`spelled`] gave as text.
pub(super) const fn text(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(text) => text,
        Err(_) => panic!("names of fields are ASCII"),
    }
}

/// The name of a setting by that of its field.
macro_rules! name {
    ($field:ident) => {{
        const NAME: [u8; stringify!($field).len()] =
            $crate::config::setting::spelled("", stringify!($field), false);
        $crate::config::setting::text(&NAME)
    }};
}

/// The method that gives the value of a setting, checked, with the default filled in where the declaration has one.
macro_rules! checked_value {
    ($field:ident: $type:ty, default [], range []) => {};
    ($field:ident: $type:ty, default [], range [$range:expr]) => {
        pub(super) fn $field(&self) -> Result<Option<$type>, ConfigError> {
            let value = self.$field.clone();
            if let Some(value) = &value {
                $crate::config::setting::Allowed::<$type>::check(&$range, name!($field), value)?;
            }
            Ok(value)
        }
    };
    ($field:ident: $type:ty, default [$default:literal], range [$($range:expr)?]) => {
        pub(super) fn $field(&self) -> Result<$type, ConfigError> {
            let value = self
                .$field
                .clone()
                .unwrap_or_else(|| $crate::config::setting::Value::declared($default));
            $($crate::config::setting::Allowed::<$type>::check(&$range, name!($field), &value)?;)?
            Ok(value)
        }
    };
}

/// Declares settings: makes the struct `Settings`, of which a layer (flags and variables, or a file) fills a part, the
/// list `Settings::ALL`, and a method for each setting that has a default or a range.
macro_rules! settings {
    ($($theme:literal {$(
        $(#[doc = $line:literal])+
        $field:ident: $type:ty {
            value: $value_name:literal
            $(, default: $default:literal)?
            $(, otherwise: $otherwise:literal)?
            $(, example: $example:literal)?
            $(, range: $range:expr)?
            $(, one_of: $one_of:expr)?
            $(, secret: $secret:literal)?
        }
    )+})+) => {
        /// Settings as one layer gives them; what a layer does not say is `None`.
        #[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {$($(
            $(#[doc = $line])+
            pub $field: Option<$type>,
        )+)+
            /// Outputs, which have no flags: each is a table of the settings file.
            pub output: Option<$crate::config::OutputTables>,
        }

        impl Settings {
            /// Every setting, in the order of the help.
            pub const ALL: &'static [Setting] = &[$($(Setting {
                name: name!($field),
                variable: {
                    const PREFIX: &str = "NETSAGE_";
                    const NAME: [u8; PREFIX.len() + stringify!($field).len()] =
                        spelled(PREFIX, stringify!($field), true);
                    text(&NAME)
                },
                theme: $theme,
                lines: &[$($line),+],
                value_name: $value_name,
                form: <$type as Value>::FORM,
                default: [$(Some($default),)? None][0],
                otherwise: [$(Some($otherwise),)? None][0],
                example: [$(Some($example),)? None][0],
                allowed: || {
                    let ranges: &[String] = &[$(Allowed::<$type>::words(&$range))?];
                    ranges.first().cloned()
                },
                is_secret: [$($secret,)? false][0],
                parser: || {
                    let parsers: [ValueParser; _] = [$(ValueParser::from($one_of),)? <$type as Value>::parser()];
                    parsers[0].clone()
                },
            },)+)+];

            /// What the flags or the variables of a command say, as far as it has those of the settings.
            pub(super) fn given(matches: &clap::ArgMatches, by: clap::parser::ValueSource) -> Self {
                Self {$($(
                    // First, since clap does not say where a flag comes from that the command does not have.
                    $field: Value::given(matches, name!($field))
                        .filter(|_| matches.value_source(name!($field)) == Some(by)),
                )+)+
                    output: None,
                }
            }

            /// Fills each setting that this layer does not have from a weaker layer.
            pub(super) fn filled_from(self, weaker: Self) -> Self {
                Self {$($(
                    $field: self.$field.or(weaker.$field),
                )+)+
                    output: self.output.or(weaker.output),
                }
            }

            $($(
                checked_value!($field: $type, default [$($default)?], range [$($range)?]);
            )+)+
        }
    };
}

pub(super) use {checked_value, name, settings};
