//! Listeners of a broker with TLS and SASL, under a certificate that `openssl` makes for the test.

use std::path::PathBuf;

use crate::certificates::Certificates;
use crate::server::free_port;

/// The user that the broker knows by each mechanism.
pub const USER: &str = "sensor";
/// Its password.
pub const PASSWORD: &str = "tulip-harbour-19";

/// Where a broker listens with TLS.
pub struct Secured {
    tls: u16,
    sasl: u16,
    certificates: Certificates,
}

impl Secured {
    /// Makes an authority, a certificate of it for the broker, and an authority that nobody has asked for one.
    pub(super) fn new() -> Result<Self, String> {
        let certificates = Certificates::new()?;
        certificates.issue("broker")?;
        let secured = Self {
            tls: free_port()?,
            sasl: free_port()?,
            certificates,
        };
        // Kafka takes the key and the certificate from one file.
        let read = |name| std::fs::read(secured.certificates.file(name)).map_err(|error| error.to_string());
        let both = [read("broker.key")?, read("broker.pem")?].concat();
        std::fs::write(secured.certificates.file("both.pem"), both).map_err(|error| error.to_string())?;
        Ok(secured)
    }

    /// Where it speaks TLS.
    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls)
    }

    /// Where it speaks TLS and wants to know who asks.
    pub fn sasl(&self) -> String {
        format!("127.0.0.1:{}", self.sasl)
    }

    /// The certificate of the authority that has signed the broker's.
    pub fn authority(&self) -> PathBuf {
        self.certificates.file("authority.pem")
    }

    /// The certificate of another authority of the same name.
    pub fn stranger(&self) -> PathBuf {
        self.certificates.file("stranger.pem")
    }

    /// What the broker's storage is to be made with.
    pub(super) fn users() -> [String; 4] {
        let user = |mechanism: &str| format!("{mechanism}=[name={USER},password={PASSWORD}]");
        let flag = || "--add-scram".to_owned();
        [flag(), user("SCRAM-SHA-256"), flag(), user("SCRAM-SHA-512")]
    }

    /// Further listeners, and the settings that they need.
    pub(super) fn settings(&self) -> (String, String) {
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        (
            format!(",SSL://{},SASL_SSL://{}", self.tls(), self.sasl()),
            format!(
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram}
",
                self.certificates.file("both.pem").display()
            ),
        )
    }
}
