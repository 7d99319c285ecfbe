//! What a webhook is made of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use netsage_messages::{Format, Template, TemplateError, Wording};
use serde::Deserialize;

use super::address::{AddressError, AddressPolicy};
use super::answer::Style;
use crate::quantity::{ByteSize, Time};
use crate::receivers::writing::{self, Writer};
use crate::receivers::{SecretError, TlsError};

/// Most messages of one post.
pub(super) const LARGEST_BATCH: usize = 100;

/// The options of a webhook, as its table in the settings file has them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookOptions {
    /// The address, where it is no secret; `url-file` otherwise.
    pub url: Option<String>,
    /// A file with the address.
    pub url_file: Option<PathBuf>,
    /// How messages are written: `json`, `ecs`, `ocsf`, `slack` or `teams`.
    #[serde(default = "writing::usual", deserialize_with = "writing::by_name")]
    pub format: Format,
    /// A file with a template, by which messages are written in place of `format`.
    pub template_file: Option<PathBuf>,
    /// A file with the key that posts are signed with, of at least 16 bytes; without it they are not signed.
    pub secret_file: Option<PathBuf>,
    /// A file with the value of the header `Authorization`, e.g. `Bearer` and a token.
    pub authorization_file: Option<PathBuf>,
    /// A file with the authorities that are trusted, in PEM; without it those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// A file with the certificate to appear with, in PEM, followed by those between it and its root.
    pub certificate_file: Option<PathBuf>,
    /// A file with the key of that certificate, in PEM.
    pub key_file: Option<PathBuf>,
    /// How long a post may take, from the look-up of the name to the end of the answer: 100ms to 5min.
    #[serde(default = "ten_seconds")]
    pub timeout: Time,
    /// How many messages a post holds at most, 1 to 100: with more than one the body is a JSON array.
    #[serde(default = "one")]
    pub batch: usize,
    /// Most bytes of a post, from 1KiB. Slack and Teams have a lower limit of their own, which is kept too.
    #[serde(default = "mebibyte")]
    pub max_size: ByteSize,
}

fn ten_seconds() -> Time {
    Time(Duration::from_secs(10))
}

fn one() -> usize {
    1
}

fn mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

/// Why options make no webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// There is no address, or there are two.
    #[error("a webhook has an address, either as `url` or in the file that `url-file` names")]
    OneAddress,
    /// The address is of no use.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file with a secret is of no use.
    #[error("`{option}`: {error}")]
    Secret {
        /// The option that names the file.
        option: &'static str,
        /// What is wrong.
        error: SecretError,
    },
    /// The key is too short to keep anybody from guessing it.
    #[error("`secret-file`: the secret has fewer than 16 bytes; make one with `openssl rand -hex 32`")]
    ShortSecret,
    /// The value of the header cannot be sent.
    #[error("`authorization-file`: a header has printable ASCII characters only")]
    Authorization,
    /// Files of TLS are of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A number is outside of its range.
    #[error("`{option}` is to be {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A webhook set through the API names a file.
    #[error("`{option}`: a webhook set through the API reads only files in the folder for its secrets")]
    FileOfOthers {
        /// The option.
        option: &'static str,
    },
    /// The file with the template cannot be read.
    #[error("`template-file`: {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What it holds is no template.
    #[error("`template-file`: {}: {error}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: TemplateError,
    },
    /// The format is for other receivers.
    #[error("`format`: {0} is no JSON; a webhook takes json, ecs, ocsf, slack or teams")]
    NoJson(Format),
    /// The format goes with one message a post only.
    #[error("`batch`: in this format a post holds one message; leave the option out")]
    NoBatch,
}

impl WebhookOptions {
    /// How the receiver says that it has taken a post.
    pub(super) fn style(&self) -> Style {
        match (self.format, &self.template_file) {
            (Format::Slack, None) => Style::Slack,
            (Format::Teams, None) => Style::Teams,
            _ => Style::Plain,
        }
    }

    /// What writes the posts.
    ///
    /// # Errors
    /// When the template cannot be read, or is none.
    pub(super) fn writer(&self, wording: Wording) -> Result<Writer, WebhookError> {
        let Some(path) = &self.template_file else {
            return Ok(Writer::format(self.format, wording));
        };
        let text = std::fs::read_to_string(path).map_err(|error| WebhookError::Unreadable {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let template = Template::parse(&text).map_err(|error| WebhookError::Template {
            path: path.clone(),
            error,
        })?;
        Ok(Writer::template(template, wording))
    }

    /// Looks at what needs no file.
    ///
    /// # Errors
    /// When a number is outside of its range, or options do not go together.
    pub(super) fn check(&self, policy: &AddressPolicy) -> Result<(), WebhookError> {
        let range = |option, range| Err(WebhookError::Range { option, range });
        if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&self.timeout.0) {
            return range("timeout", "100ms to 5min");
        }
        if !(1..=LARGEST_BATCH).contains(&self.batch) {
            return range("batch", "1 to 100");
        }
        if self.max_size.0 < 1 << 10 {
            return range("max-size", "1KiB and more");
        }
        let goes_in_arrays = matches!(self.format, Format::Json | Format::Ecs | Format::Ocsf);
        if self.batch > 1 && (self.template_file.is_some() || !goes_in_arrays) {
            return Err(WebhookError::NoBatch);
        }
        if self.format == Format::Cef {
            return Err(WebhookError::NoJson(self.format));
        }
        if self.url.is_some() == self.url_file.is_some() {
            return Err(WebhookError::OneAddress);
        }
        self.check_files(policy)
    }

    /// Whoever sets a webhook through the API must not have it send what lies in files of others.
    fn check_files(&self, policy: &AddressPolicy) -> Result<(), WebhookError> {
        let AddressPolicy::Checked { files, .. } = policy else {
            return Ok(());
        };
        let folder = files.as_deref().and_then(|folder| folder.canonicalize().ok());
        for (option, path) in self.files() {
            let lies_there =
                |folder: &PathBuf| path.canonicalize().is_ok_and(|path| path.starts_with(folder));
            if !folder.as_ref().is_some_and(lies_there) {
                return Err(WebhookError::FileOfOthers { option });
            }
        }
        Ok(())
    }

    /// The files that options name.
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let named = [
            ("url-file", &self.url_file),
            ("template-file", &self.template_file),
            ("secret-file", &self.secret_file),
            ("authorization-file", &self.authorization_file),
            ("ca-file", &self.ca_file),
            ("certificate-file", &self.certificate_file),
            ("key-file", &self.key_file),
        ];
        named
            .into_iter()
            .filter_map(|(option, path)| Some((option, path.as_deref()?)))
    }
}
