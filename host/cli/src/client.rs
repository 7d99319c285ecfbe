//! Calls to the API of a running `netsage run`.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use netsage_api_types::Problem;
use netsage_gateway::config::{ConfigError, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::{Agent, RequestBuilder};

/// Address and token of the running program.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// Address of the running program
    #[arg(
        long,
        value_name = "URL",
        env = "NETSAGE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    /// Token of the running program, if it asks for one
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds its token; without either, the variables NETSAGE_TOKEN and NETSAGE_TOKEN_FILE are read
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A client of the API.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Client {
    /// # Errors
    /// When the token cannot be read.
    pub(crate) fn new(args: &ClientArgs, file: &Settings) -> Result<Self, ConfigError> {
        let config = Agent::config_builder()
            // The body of an error says more than its status.
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let layer = |token, token_file| Settings {
            token,
            token_file,
            ..Settings::default()
        };
        let flags = layer(args.token.clone(), args.token_file.clone());
        let variables = layer(
            env::var("NETSAGE_TOKEN").ok(),
            env::var_os("NETSAGE_TOKEN_FILE").map(PathBuf::from),
        );
        let token = flags.or(variables).or(file.clone()).server_token()?;
        Ok(Self {
            agent: config.new_agent(),
            base: format!("{}/api/v1", args.url.trim_end_matches('/')),
            authorization: token.map(|token| format!("Bearer {token}")),
        })
    }

    /// Reads a resource.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.read(self.authorized(request).call())
    }

    /// Posts JSON.
    pub(crate) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.post(path, "application/json", &serde_json::to_vec(body)?)
    }

    /// Posts a body as it is.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &str,
        body: &[u8],
    ) -> anyhow::Result<T> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("content-type", media_type);
        self.read(self.authorized(request).send(body))
    }

    /// Puts a value as JSON.
    pub(crate) fn put_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.agent.put(format!("{}{path}", self.base));
        let request = request.header("content-type", "application/json");
        self.read(self.authorized(request).send(serde_json::to_vec(body)?))
    }

    /// Deletes what is there.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        self.text(self.authorized(request).call()).map(drop)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<T> {
        let text = self.text(response)?;
        serde_json::from_str(&text).map_err(|error| {
            anyhow!(
                "the answer of {} is not one of NetSage's API: {error}; name another address with `--url`",
                self.base
            )
        })
    }

    /// The text of an answer that says that all went well.
    fn text(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<String> {
        let mut response = response.map_err(|error| {
            anyhow!(
                "cannot reach {}: {error}; is `netsage run` running there? name another address with `--url`",
                self.base
            )
        })?;
        let status = response.status();
        let text = response
            .body_mut()
            .read_to_string()
            .map_err(|error| anyhow!("the answer of {} broke off: {error}", self.base))?;
        if !status.is_success() {
            return Err(match serde_json::from_str::<Problem>(&text) {
                Ok(problem) => anyhow!("{} ({})", problem.detail, problem.status),
                Err(_) => anyhow!("{} answered {status}", self.base),
            });
        }
        Ok(text)
    }
}

/// `?name=value&...` of the values that are there.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    let given: Vec<String> = given.collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", given.join("&"))
    }
}

/// A text as a part of a URL: all but letters, digits and `-._~` as percent signs and digits (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_cannot_leave_its_place_in_the_url() {
        assert_eq!(encoded("../health?x=1"), "..%2Fhealth%3Fx%3D1");
        assert_eq!(encoded("zu früh"), "zu%20fr%C3%BCh");
        assert_eq!(
            query(&[("by", Some("ada & co")), ("why", None)]),
            "?by=ada%20%26%20co"
        );
        assert_eq!(query(&[("by", None)]), "");
    }
}
