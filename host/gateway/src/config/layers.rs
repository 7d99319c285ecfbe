//! From flags, variables and a file to one set of settings.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::setting::Setting;
use super::{ConfigError, DEFAULT_FILE, Settings};

/// Flags, which read variables too.
impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let flag = |setting: &Setting| setting.flag().help_heading(setting.theme);
        command.args(Self::ALL.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = Self::given(matches, ValueSource::CommandLine);
        Ok(flags.or(Self::given(matches, ValueSource::EnvVariable)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Settings {
    /// The flags of one theme, for a command that has few settings else.
    pub(super) fn flags_of(theme: &str) -> impl Iterator<Item = Arg> {
        let of_theme = Self::ALL.iter().filter(move |setting| setting.theme == theme);
        of_theme.map(Setting::flag)
    }

    /// Takes the settings that this layer does not have from a weaker layer.
    ///
    /// The source is one choice: a stronger layer that names an interface silences the weaker one's file or broker. So is
    /// a secret, whether it stands in a setting or in a file.
    pub fn or(self, weaker: Settings) -> Settings {
        let mut weaker = weaker;
        if self.sources().next().is_some() {
            (weaker.pcap, weaker.records, weaker.interface) = (None, None, None);
            (weaker.kafka, weaker.netflow) = (None, None);
        }
        if self.token.is_some() || self.token_file.is_some() {
            (weaker.token, weaker.token_file) = (None, None);
        }
        if self.store.is_some() || self.store_url_file.is_some() {
            (weaker.store, weaker.store_url_file) = (None, None);
        }
        self.filled_from(weaker)
    }

    /// The settings that name a source.
    pub(super) fn sources(&self) -> impl Iterator<Item = &'static str> {
        [
            ("pcap", self.pcap.is_some()),
            ("records", self.records.is_some()),
            ("interface", self.interface.is_some()),
            ("kafka", self.kafka.is_some()),
            ("netflow", self.netflow.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
    }

    /// Reads a settings file: the one named, otherwise [`DEFAULT_FILE`] in the working folder if it is there.
    ///
    /// # Errors
    /// When the file is named and cannot be read, or holds what no setting is.
    pub fn from_file(named: Option<&Path>) -> Result<Settings, ConfigError> {
        let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_path_buf);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Settings::default());
            }
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Self::from_toml(&path, &text)
    }

    /// Reads the text of a settings file; `path` is for messages.
    ///
    /// # Errors
    /// When it is not TOML, has an unknown key, or names two sources.
    pub fn from_toml(path: &Path, text: &str) -> Result<Settings, ConfigError> {
        let settings: Settings = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_path_buf(),
            message: complaint(&error, text),
        })?;
        if settings.sources().nth(1).is_some() {
            return Err(ConfigError::TwoSources {
                path: path.to_path_buf(),
            });
        }
        Ok(settings)
    }
}

/// Where and what is wrong, without the line itself: a line may hold a secret, also one whose key is misspelt. What the
/// parser says of a value is left out where the value is a secret.
fn complaint(error: &toml::de::Error, text: &str) -> String {
    let Some(span) = error.span() else {
        return error.message().to_owned();
    };
    let before = text.get(..span.start).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let key = line
        .split('=')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches(['"', '\'']);
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    let place = format!("line {number}, column {column}");
    match Settings::ALL.iter().find(|setting| setting.name == key) {
        Some(setting) if setting.is_secret => {
            format!("{place}: the value of `{key}` cannot be read; write it as text in quotes, on one line")
        }
        Some(_) => format!("{place}, `{key}`: {}", error.message()),
        None => format!("{place}: {}", error.message()),
    }
}
