//! A webhook and a file keep the contract, and what the other outputs need for it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netsage_messages::Wording;
use netsage_outputs::receivers::file::FileOutput;
use netsage_outputs::receivers::webhook::{AddressPolicy, Webhook};
use netsage_outputs::sending::Rules;
use netsage_outputs::{Begin, Cursor, Delivery, LEASE, Output, Pauses, handle};
use netsage_store::Change;
use netsage_testkit::backends::{mongodb, sqlite};
use netsage_testkit::http_receiver::{HttpReceiver, Manner};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::contract::{House, Subject, keeps_the_contract};

/// A receiver of the own JSON.
pub(crate) trait Receiver {
    fn output(&self) -> Box<dyn Output>;
    fn block(&mut self, is_blocked: bool);
    /// The documents that it has.
    fn documents(&self) -> Vec<Vec<u8>>;
}

/// An output that is fed from a store, and its receiver.
pub(crate) struct Fed<R> {
    receiver: R,
    delivery: Option<JoinHandle<()>>,
}

impl<R> Fed<R> {
    pub(crate) fn new(receiver: R) -> Self {
        Self {
            receiver,
            delivery: None,
        }
    }
}

impl<R: Receiver> Subject for Fed<R> {
    fn start(&mut self, house: &House) {
        let delivery = Delivery {
            output: self.receiver.output(),
            name: "fed".to_owned(),
            store: house.shared(),
            cursor: Cursor::Leased {
                name: "output fed".to_owned(),
                holder: "program".to_owned(),
                length: LEASE,
            },
            rules: Rules::default(),
            kept: None,
            orders: handle().1,
            begin: Begin::AtFirst,
            news: house.news.clone(),
            counters: Arc::clone(&house.counters),
            pauses: Pauses::new(Duration::from_millis(4), Duration::from_millis(64)),
        };
        self.delivery = Some(tokio::spawn(delivery.run()));
    }

    fn kill(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.abort();
        }
    }

    fn block(&mut self, is_blocked: bool) {
        self.receiver.block(is_blocked);
    }

    fn taken(&mut self) -> Vec<Change> {
        let change = |document: &Vec<u8>| {
            let json: serde_json::Value = serde_json::from_slice(document).ok()?;
            Some(Change {
                revision: json["revision"].as_u64()?,
                alert: serde_json::from_value(json["alert"].clone()).ok()?,
            })
        };
        self.receiver.documents().iter().filter_map(change).collect()
    }

    fn in_flight(&self) -> usize {
        0
    }
}

struct Posts(HttpReceiver);

impl Receiver for Posts {
    fn output(&self) -> Box<dyn Output> {
        let options = toml::from_str(&format!("url = {:?}", self.0.url())).expect("options");
        Box::new(Webhook::new(&options, Wording::default(), AddressPolicy::Any).expect("a webhook"))
    }

    fn block(&mut self, is_blocked: bool) {
        self.0.set(match is_blocked {
            true => Manner::Answers(503, "", String::new()),
            false => Manner::Takes("ok"),
        });
    }

    fn documents(&self) -> Vec<Vec<u8>> {
        self.0.taken().into_iter().map(|post| post.body).collect()
    }
}

/// A file in a folder that is moved away to block it, and something else put in its place.
struct Lines {
    whole: TempDir,
    is_blocked: bool,
}

impl Lines {
    fn folder(&self) -> PathBuf {
        self.whole.path().join("alerts")
    }

    fn aside(&self) -> PathBuf {
        self.whole.path().join("aside")
    }
}

impl Receiver for Lines {
    fn output(&self) -> Box<dyn Output> {
        let path = self.folder().join("alerts.jsonl");
        let options = toml::from_str(&format!("path = {path:?}")).expect("options");
        Box::new(FileOutput::new(&options, Wording::default()).expect("a file output"))
    }

    fn block(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
        if is_blocked {
            fs::rename(self.folder(), self.aside()).expect("moved");
            fs::write(self.folder(), "").expect("in the way");
        } else {
            fs::remove_file(self.folder()).expect("removed");
            fs::rename(self.aside(), self.folder()).expect("moved back");
        }
    }

    fn documents(&self) -> Vec<Vec<u8>> {
        let folder = if self.is_blocked {
            self.aside()
        } else {
            self.folder()
        };
        let bytes = fs::read(folder.join("alerts.jsonl")).unwrap_or_default();
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }
}

fn posts() -> Fed<Posts> {
    Fed::new(Posts(HttpReceiver::start()))
}

fn lines() -> Fed<Lines> {
    let whole = tempfile::tempdir().expect("a folder");
    let receiver = Lines {
        whole,
        is_blocked: false,
    };
    fs::create_dir(receiver.folder()).expect("made");
    Fed::new(receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_keeps_the_contract_on_sqlite() {
    keeps_the_contract(posts, || Ok(sqlite())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_keeps_the_contract_on_mongodb() {
    keeps_the_contract(posts, mongodb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_contract_on_sqlite() {
    keeps_the_contract(lines, || Ok(sqlite())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_contract_on_mongodb() {
    keeps_the_contract(lines, mongodb).await;
}
