//! Signed packages: an older one takes the place of a newer one only for somebody who asks for that.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use netsage_api_types::{Stage, Step, StepRequest};
use netsage_lifecycle::{
    Lifecycle, LifecycleConfig, LifecycleError, NewPackage, Rollout, Start, TrustPolicy,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::life::{PATIENCE, active, config, package, reopen, stage, step, wait_for};

/// What somebody publishes: packages of one name, signed at a time.
struct Publisher {
    keys: Ed25519KeyPair,
    number: u8,
    name: &'static str,
}

/// A package with its signature.
struct Signed {
    bytes: Vec<u8>,
    signature: String,
}

/// What minisign writes of a key or a signature: the algorithm, the number of the key, and the bytes.
fn line(number: u8, bytes: &[u8]) -> String {
    STANDARD.encode([&b"Ed"[..], &[number; 8], bytes].concat())
}

impl Publisher {
    fn new(number: u8, name: &'static str) -> Self {
        let keys = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
        Self { keys, number, name }
    }

    fn key(&self) -> String {
        line(self.number, self.keys.public_key().as_ref())
    }

    /// A package, signed as minisign does it: the second signature is of the first one and the trusted comment.
    fn signed(&self, version: u8, comment: &str) -> Signed {
        let bytes = package(self.name, version);
        let signature = self.keys.sign(&bytes);
        let all = self.keys.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        let signature = format!(
            "untrusted comment: signature from minisign secret key\n{}\ntrusted comment: {comment}\n{}\n",
            line(self.number, signature.as_ref()),
            STANDARD.encode(all)
        );
        Signed { bytes, signature }
    }

    /// As `minisign -S` signs it at this second.
    fn signed_at(&self, version: u8, second: u64) -> Signed {
        self.signed(version, &format!("timestamp:{second}\tfile:a.wasm\thashed"))
    }
}

fn trusting(folder: &Path, publishers: &[&Publisher]) -> LifecycleConfig {
    LifecycleConfig {
        trust: TrustPolicy::Signed(publishers.iter().map(|publisher| publisher.key()).collect()),
        ..config(folder)
    }
}

/// Stages a package and waits until it is warm.
fn warm(life: &Lifecycle, signed: Signed) -> String {
    let new = NewPackage {
        signature: Some(signed.signature),
        ..NewPackage::from_api(signed.bytes)
    };
    let info = life.stage(&new, &StepRequest::default(), Stage::Warm).unwrap();
    let digest = info.detector.digest;
    life.wait(&digest, Stage::Warm, PATIENCE).unwrap();
    digest
}

fn promote_on_purpose(life: &Lifecycle, digest: &str) -> Result<Stage, LifecycleError> {
    let request = StepRequest {
        downgrade: true,
        ..StepRequest::default()
    };
    life.step(digest, Step::Promote, &request).map(|info| info.stage)
}

#[track_caller]
fn assert_is_downgrade(refused: Result<Stage, LifecycleError>) {
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("a later signature by the same key"), "{error}");
}

fn is_active(life: &Lifecycle, digest: &str) -> bool {
    active(life).iter().any(|(active, _)| active == digest)
}

#[test]
fn an_older_package_is_taken_only_by_name() {
    let publisher = Publisher::new(1, "guest");
    let folder = tempfile::tempdir().unwrap();
    let open = || reopen(&trusting(folder.path(), &[&publisher]));
    let life = open();
    let newer = warm(&life, publisher.signed_at(2, 2_000));
    step(&life, &newer, Step::Promote).unwrap();
    let older = warm(&life, publisher.signed_at(1, 1_999));
    let undated = warm(&life, publisher.signed(3, "a comment of one's own"));
    for digest in [&older, &undated] {
        for downgrade in [Step::Promote, Step::Canary] {
            assert_is_downgrade(step(&life, digest, downgrade));
        }
    }
    // Nothing of it is forgotten when the program is started again.
    drop(life);
    let life = open();
    assert!(is_active(&life, &newer));
    for digest in [&older, &undated] {
        assert_is_downgrade(step(&life, digest, Step::Promote));
        assert!(is_active(&life, &newer));
    }
    assert_eq!(promote_on_purpose(&life, &older).unwrap(), Stage::Active);
    assert!(is_active(&life, &older));
    // Both have been active, so that both may be again: by rollback, and by promotion.
    step(&life, "guest", Step::Rollback).unwrap();
    assert!(is_active(&life, &newer));
    step(&life, &older, Step::Promote).unwrap();
    assert!(is_active(&life, &older));
    // What was signed between the two is still older than the newest that ran, whatever runs now.
    let between = warm(&life, publisher.signed_at(4, 1_999));
    assert_is_downgrade(step(&life, &between, Step::Promote));
    let same_second = warm(&life, publisher.signed_at(5, 2_000));
    step(&life, &same_second, Step::Promote).unwrap();
    drop(life);
    assert!(is_active(&open(), &same_second));
}

#[test]
fn other_keys_and_other_names_are_no_downgrade() {
    let (publisher, other) = (Publisher::new(1, "guest"), Publisher::new(2, "guest"));
    let folder = tempfile::tempdir().unwrap();
    let life = reopen(&trusting(folder.path(), &[&publisher, &other]));
    let newer = warm(&life, publisher.signed_at(2, 2_000));
    step(&life, &newer, Step::Promote).unwrap();
    let others = warm(&life, other.signed_at(1, 1_000));
    step(&life, &others, Step::Promote).unwrap();
    let name = Publisher {
        name: "second",
        ..publisher
    };
    let second = warm(&life, name.signed_at(1, 1_000));
    step(&life, &second, Step::Promote).unwrap();
    assert!(is_active(&life, &others) && is_active(&life, &second));
}

/// Puts a package into the watched folder, its signature first.
fn put(folder: &Path, name: &str, signed: &Signed) {
    fs::write(folder.join(format!("{name}.wasm.minisig")), &signed.signature).unwrap();
    fs::write(folder.join(format!("{name}.wasm")), &signed.bytes).unwrap();
}

#[test]
fn an_older_package_in_the_watched_folder_stays_warm() {
    let publisher = Publisher::new(1, "guest");
    let (folder, watched) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = || -> Arc<Lifecycle> {
        let life = reopen(&LifecycleConfig {
            watched_folder: Some(watched.path().to_path_buf()),
            rollout: Rollout {
                until: Stage::Active,
                ..LifecycleConfig::default().rollout
            },
            ..trusting(folder.path(), &[&publisher])
        });
        life.begin(Start::default()).unwrap();
        life
    };
    let digest_of = |signed: &Signed| netsage_package::Digest::of(&signed.bytes).to_string();
    let (newer, older) = (publisher.signed_at(2, 2_000), publisher.signed_at(1, 1_000));
    let (new, old) = (digest_of(&newer), digest_of(&older));
    let life = open();
    put(watched.path(), "newer", &newer);
    wait_for("the first of its name to be active", || is_active(&life, &new));
    put(watched.path(), "older", &older);
    let stays_warm = |life: &Arc<Lifecycle>| {
        life.wait(&old, Stage::Warm, PATIENCE).unwrap();
        wait_for("the older one to come to rest", || {
            life.info(&old).unwrap().under_way.is_none()
        });
        assert_eq!(stage(life, &old), Stage::Warm);
        assert!(!is_active(life, &old));
    };
    wait_for("the older one to be taken", || life.info(&old).is_ok());
    stays_warm(&life);
    // Neither when nothing else of its name is active, nor when the program is started again.
    step(&life, &new, Step::Retire).unwrap();
    stays_warm(&life);
    drop(life);
    let life = open();
    stays_warm(&life);
    assert_eq!(promote_on_purpose(&life, &old).unwrap(), Stage::Active);
    assert!(is_active(&life, &old));
}
