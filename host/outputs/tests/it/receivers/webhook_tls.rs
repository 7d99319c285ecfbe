//! A webhook over TLS: whom it trusts, and as whom it appears.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use netsage_messages::Wording;
use netsage_outputs::receivers::webhook::{AddressPolicy, Webhook};
use netsage_outputs::{Failure, Output as _};
use netsage_testkit::certificates::Certificates;
use netsage_testkit::http_receiver::HttpReceiver;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::alerts;

fn server(certificates: &Certificates, asks: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("versions");
    let builder = match asks {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            roots
                .add(certificate(&certificates.certificate("authority")))
                .expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let chain = vec![certificate(&certificates.certificate("server"))];
    let key = PrivateKeyDer::from_pem_file(certificates.key("server")).expect("a key");
    Arc::new(builder.with_single_cert(chain, key).expect("a pair"))
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

fn start(certificates: &Certificates, asks: bool) -> HttpReceiver {
    HttpReceiver::at(IpAddr::V4(Ipv4Addr::LOCALHOST), Some(server(certificates, asks)))
}

fn webhook(url: &str, more: &str) -> Webhook {
    let options = toml::from_str(&format!("url = {url:?}\n{more}")).expect("options");
    Webhook::new(&options, Wording::default(), AddressPolicy::Any).expect("a webhook")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_receiver_of_that_name_is_spoken_to() {
    let certificates = match Certificates::new() {
        Ok(certificates) => certificates,
        Err(why) => return println!("skipped: {why}"),
    };
    let receiver = start(&certificates, false);
    let port = receiver.address().port();
    let authority = |name: &str| format!("ca-file = {:?}", certificates.certificate(name));
    let check = async |url: &str, more: &str, expected: bool| {
        let delivered = webhook(url, more).deliver(&alerts(1)).await;
        assert_eq!(delivered.is_ok(), expected, "{url} {more}: {delivered:?}");
        if let Err(error) = delivered {
            assert!(matches!(error.failure, Failure::Unavailable { .. }), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    };
    // By address, of which no name is sent, and by name.
    check(&receiver.url(), &authority("authority"), true).await;
    check(
        &format!("https://localhost:{port}/hook"),
        &authority("authority"),
        true,
    )
    .await;
    check(&receiver.url(), &authority("stranger"), false).await;
    check(&receiver.url(), "", false).await;
    assert_eq!(receiver.taken().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_pair_is_used_once_it_is_whole() {
    let certificates = match Certificates::new() {
        Ok(certificates) => certificates,
        Err(why) => return println!("skipped: {why}"),
    };
    let receiver = start(&certificates, true);
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate_file, key_file) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from, to).expect("copied");
    };
    copy(&certificates.certificate("client"), &certificate_file);
    copy(&certificates.key("client"), &key_file);
    let authority = format!("ca-file = {:?}", certificates.certificate("authority"));
    let pair = format!("{authority}\ncertificate-file = {certificate_file:?}\nkey-file = {key_file:?}");
    let mut output = webhook(&receiver.url(), &pair);
    let mut check = async |expected: &str| {
        output.deliver(&alerts(1)).await.expect("taken");
        let peer = receiver.taken().pop().expect("a post").peer;
        let expected = certificate(&certificates.certificate(expected));
        assert_eq!(peer.as_deref(), Some(expected.as_ref()));
    };
    check("client").await;
    copy(&certificates.certificate("renewed"), &certificate_file);
    check("client").await;
    std::fs::remove_file(&key_file).expect("removed");
    check("client").await;
    copy(&certificates.key("renewed"), &key_file);
    check("renewed").await;

    // Without a certificate the receiver takes nothing of this sender. It says so after the greeting, and may have closed
    // before that is read.
    let mut stranger = webhook(&receiver.url(), &authority);
    for _ in 0..100 {
        let failure = stranger.deliver(&alerts(1)).await.expect_err("not taken").failure;
        if matches!(failure, Failure::SenderRefused(_)) {
            assert_eq!(receiver.taken().len(), 4);
            return;
        }
    }
    panic!("the refusal was never read");
}
