//! A webhook: messages are posted to an address by HTTP.
//!
//! `docs/outputs/webhook.md` says what a receiver gets and what its answers mean. Beneath [`Webhook`], `connection.rs` reaches
//! the receiver, `address.rs` says where it may lie, `answer.rs` what it has said, and `signature.rs` signs.

mod address;
mod answer;
mod connection;
mod options;
mod signature;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use netsage_messages::{Document, Message, TooLarge, Wording};
use netsage_store::BoxFuture;
use rustls::ClientConfig;
use url::{Position, Url};

pub use address::{AddressError, AddressPolicy, Resolve, Shown, SystemResolver};
use answer::Style;
use connection::{Connector, NoAnswer, Posted};
pub use options::{WebhookError, WebhookOptions};

use super::parts::{self, Portion, Post};
use super::secret::SecretFile;
use super::tls::{Tls, TlsFiles};
use super::writing::Writer;
use crate::{Failure, Output, Undelivered};

/// Fewest characters of a part of an address that is taken out of what is shown.
const SECRET_PART: usize = 6;

/// An output that posts messages.
pub struct Webhook {
    receiver: Receiver,
    portion: Portion,
}

impl Webhook {
    /// A webhook by its options.
    ///
    /// # Errors
    /// When the options contradict each other, a file is of no use, or the policy forbids the address. A name is looked up
    /// when something is posted.
    pub fn new(
        options: &WebhookOptions,
        wording: Wording,
        policy: AddressPolicy,
    ) -> Result<Self, WebhookError> {
        Self::with_resolver(options, wording, policy, Arc::new(SystemResolver))
    }

    /// A webhook that looks names up by other means than those of the system.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_resolver(
        options: &WebhookOptions,
        wording: Wording,
        policy: AddressPolicy,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, WebhookError> {
        options.check(&policy)?;
        Ok(Self {
            receiver: Receiver::new(options, wording, policy, resolver)?,
            portion: Portion::of(options.batch),
        })
    }

    /// The address, as far as it may be shown.
    pub fn shown(&self) -> Shown {
        Shown::of(&self.receiver.url)
    }
}

impl Output for Webhook {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            self.receiver.refresh();
            parts::deliver(&mut self.receiver, messages, &mut self.portion).await
        })
    }
}

/// What posts.
struct Receiver {
    url: Url,
    url_file: Option<SecretFile>,
    /// What the file with the address held when it was last looked at.
    url_text: String,
    policy: AddressPolicy,
    secret: Option<SecretFile>,
    authorization: Option<SecretFile>,
    tls: Tls,
    used_tls: Arc<ClientConfig>,
    connector: Connector,
    timeout: Duration,
    limit: usize,
    posts_arrays: bool,
    writer: Writer,
    style: Style,
}

/// Why a post was not taken.
enum Rejection {
    /// It had so many bytes, which are too many.
    TooLarge { reason: String, size: usize },
    /// Something else.
    Other(Failure),
}

impl Receiver {
    fn new(
        options: &WebhookOptions,
        wording: Wording,
        policy: AddressPolicy,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, WebhookError> {
        let open = |option, path: &Option<_>| {
            let file = path.as_deref().map(SecretFile::open).transpose();
            file.map_err(|error| WebhookError::Secret { option, error })
        };
        let url_file = open("url-file", &options.url_file)?;
        let text = url_file.as_ref().map(SecretFile::kept).or(options.url.as_deref());
        let url_text = text.ok_or(WebhookError::OneAddress)?.to_owned();
        let url = address::parse(&url_text, &policy)?;
        let secret = open("secret-file", &options.secret_file)?;
        if secret
            .as_ref()
            .is_some_and(|secret| secret.kept().len() < signature::SHORTEST_SECRET)
        {
            return Err(WebhookError::ShortSecret);
        }
        let authorization = open("authorization-file", &options.authorization_file)?;
        if authorization
            .as_ref()
            .is_some_and(|value| HeaderValue::from_str(value.kept()).is_err())
        {
            return Err(WebhookError::Authorization);
        }
        let mut tls = Tls::open(TlsFiles {
            authorities: options.ca_file.clone(),
            certificate: options.certificate_file.clone(),
            key: options.key_file.clone(),
        })?;
        Ok(Self {
            url,
            url_file,
            url_text,
            connector: Connector::new(policy.clone(), resolver),
            policy,
            secret,
            authorization,
            used_tls: tls.config(),
            tls,
            timeout: options.timeout.0,
            limit: options.max_size.0,
            posts_arrays: options.batch > 1,
            style: options.style(),
            writer: options.writer(wording)?,
        })
    }

    /// Reads again what lies in files.
    fn refresh(&mut self) {
        if let Some(secret) = &mut self.secret {
            secret.read();
        }
        if let Some(authorization) = &mut self.authorization {
            authorization.read();
        }
        let Some(text) = self.url_file.as_mut().map(SecretFile::read) else {
            return;
        };
        if text == self.url_text {
            return;
        }
        text.clone_into(&mut self.url_text);
        match address::parse(text, &self.policy) {
            Ok(url) => self.url = url,
            Err(error) => {
                tracing::warn!(%error, "address has changed and is of no use, the one before is used");
            }
        }
    }

    /// Posts, and has what is too large for the receiver written shorter or in more parts, until it is taken or cannot be
    /// shorter.
    async fn try_post(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let mut limit = self.limit;
        let mut last_reason = None;
        loop {
            let documents = self.documents(messages, limit);
            let documents = documents.map_err(|error| {
                let receiver_says = last_reason.take();
                Failure::Refused(receiver_says.unwrap_or_else(|| error.to_string()))
            })?;
            match self.post_documents(&documents).await {
                Err(Rejection::TooLarge { reason, size }) if self.may_shrink(messages) => {
                    limit = size / 2;
                    last_reason = Some(reason);
                }
                Err(Rejection::TooLarge { reason, .. }) => return Err(Failure::Refused(reason)),
                Err(Rejection::Other(failure)) => return Err(failure),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Whether a lower limit makes posts smaller. Of several messages it is a smaller part that helps.
    fn may_shrink(&self, messages: &[Message]) -> bool {
        match messages {
            [Message::Digest(digest)] if self.posts_arrays => digest.alerts.len() <= 1,
            [_] => true,
            _ => false,
        }
    }

    fn documents(&self, messages: &[Message], limit: usize) -> Result<Vec<Document>, TooLarge> {
        let documents = messages
            .iter()
            .map(|message| self.writer.documents(message, limit));
        let documents: Result<Vec<_>, _> = documents.collect();
        Ok(documents?.into_iter().flatten().collect())
    }

    async fn post_documents(&mut self, documents: &[Document]) -> Result<(), Rejection> {
        if self.posts_arrays {
            return self.post_body(documents, array(documents)).await;
        }
        for document in documents {
            let body = document.text.clone().into_bytes();
            self.post_body(std::slice::from_ref(document), body).await?;
        }
        Ok(())
    }

    async fn post_body(&mut self, documents: &[Document], body: Vec<u8>) -> Result<(), Rejection> {
        let size = body.len();
        if self.posts_arrays && size > self.limit {
            let reason = format!("{size} bytes are more than `max-size` allows");
            return Err(Rejection::TooLarge { reason, size });
        }
        let posted = self.posted(documents, body).map_err(Rejection::Other)?;
        let tls = self.tls.config();
        if !Arc::ptr_eq(&tls, &self.used_tls) {
            self.connector.forget();
            self.used_tls = Arc::clone(&tls);
        }
        let answered =
            tokio::time::timeout(self.timeout, self.connector.post(&self.url, &tls, &posted)).await;
        let failure = match answered {
            Err(_) => Failure::unavailable(format!("no answer within {:?}", self.timeout)),
            Ok(Err(NoAnswer::Forbidden(error))) => {
                return Err(Rejection::Other(Failure::SenderRefused(error.to_string())));
            }
            Ok(Err(NoAnswer::Stranger(reason))) => Failure::SenderRefused(reason),
            Ok(Err(NoAnswer::Broken(reason))) => Failure::unavailable(reason),
            Ok(Ok(answer)) => match answer.judge(self.style, SystemTime::now()) {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(reason)) if answer.is_too_large() => {
                    let reason = self.redacted(&reason);
                    return Err(Rejection::TooLarge { reason, size });
                }
                Err(failure) => failure,
            },
        };
        Err(Rejection::Other(self.shown(failure)))
    }

    fn posted(&self, documents: &[Document], body: Vec<u8>) -> Result<Posted, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wrong = |_: hyper::http::Error| {
            Failure::SenderRefused(format!("a header for {} cannot be made", Shown::of(&self.url)))
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(USER_AGENT, concat!("netsage/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", signature::repeat_key(documents));
        if let [document] = documents {
            request = request
                .header("x-netsage-id", signature::label(&document.id))
                .header("x-netsage-revision", document.revision);
        }
        if let Some(secret) = &self.secret {
            let signed = signature::sign(secret.kept().as_bytes(), now.as_secs(), &body);
            request = request.header(HeaderName::from_static(signature::SIGNATURE), signed);
        }
        if let Some(authorization) = &self.authorization {
            let mut value =
                HeaderValue::from_str(authorization.kept()).map_err(|error| wrong(error.into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let (head, ()) = request.body(()).map_err(wrong)?.into_parts();
        Ok(Posted {
            head,
            body: body.into(),
        })
    }

    /// A failure that names the receiver and holds nothing that must not be shown.
    fn shown(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unavailable { reason, retry_after } => Failure::Unavailable {
                reason: self.redacted(&reason),
                retry_after,
            },
            Failure::Refused(reason) => Failure::Refused(self.redacted(&reason)),
            Failure::SenderRefused(reason) => Failure::SenderRefused(self.redacted(&reason)),
            Failure::Gone => Failure::Gone,
        }
    }

    /// Names the receiver, and takes out of a reason what must not be shown, which a receiver may have written into its answer.
    fn redacted(&self, reason: &str) -> String {
        let mut text = reason.to_owned();
        for secret in self.secrets() {
            text = text.replace(secret, "\u{2026}");
        }
        format!("{}: {text}", Shown::of(&self.url))
    }

    /// Everything that must not be shown, the longest first.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let whole = &self.url[Position::BeforePath..];
        let parts = whole.split(['/', '?', '&', '=']);
        let files = [&self.secret, &self.authorization];
        let files = files.into_iter().flatten().flat_map(|file| {
            // Of `Bearer TOKEN` the token too.
            [file.kept()].into_iter().chain(file.kept().split_whitespace())
        });
        [self.url.as_str(), whole]
            .into_iter()
            .chain(parts)
            .chain(files)
            .filter(|secret| secret.len() >= SECRET_PART)
    }
}

impl Post for Receiver {
    fn post<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.try_post(messages))
    }
}

/// Documents as a JSON array.
fn array(documents: &[Document]) -> Vec<u8> {
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    format!("[{}]", texts.join(",")).into_bytes()
}
