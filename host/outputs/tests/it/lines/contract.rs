//! MQTT, syslog by TCP and a topic of Kafka keep the contract, each with a real receiver behind a proxy, which blocks it.

use std::collections::BTreeSet;

use netsage_outputs::Output;
use netsage_testkit::backends::sqlite;
use netsage_testkit::mosquitto::{Door, Mosquitto, Subscriber};
use netsage_testkit::proxy::Proxy;
use netsage_testkit::syslog::{Program, SyslogServer, Transport};

use crate::contract::keeps_the_contract;
use crate::receivers::contract::{Fed, Receiver};

fn set(proxy: &Proxy, is_blocked: bool) {
    match is_blocked {
        true => proxy.close(),
        false => proxy.open(),
    }
}

struct Published {
    _broker: Mosquitto,
    subscriber: Subscriber,
    proxy: Proxy,
}

impl Receiver for Published {
    fn output(&self) -> Box<dyn Output> {
        Box::new(super::mqtt::output(&self.proxy.address(), ""))
    }

    fn block(&mut self, is_blocked: bool) {
        set(&self.proxy, is_blocked);
    }

    fn documents(&self) -> Vec<Vec<u8>> {
        let documents = super::mqtt::documents(&self.subscriber).into_iter();
        documents.map(String::into_bytes).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_keeps_the_contract() {
    if super::mqtt::broker().is_none() {
        return;
    }
    let published = || {
        let broker = super::mqtt::broker().expect("a broker like the first");
        Fed::new(Published {
            subscriber: broker.subscribe("reader").unwrap(),
            proxy: Proxy::of_bytes(&broker.place(Door::Open)),
            _broker: broker,
        })
    };
    keeps_the_contract(published, || Ok(sqlite())).await;
}

struct Logged {
    server: SyslogServer,
    proxy: Proxy,
}

impl Receiver for Logged {
    fn output(&self) -> Box<dyn Output> {
        let place = self.proxy.address();
        let options = super::syslog::options(&self.server, Transport::Tcp, Some(&place), "");
        Box::new(super::syslog::output(&options))
    }

    fn block(&mut self, is_blocked: bool) {
        set(&self.proxy, is_blocked);
    }

    /// Without the last messages that come again after each broken connection, which the receiver acknowledges nowhere.
    fn documents(&self) -> Vec<Vec<u8>> {
        let mut known = BTreeSet::new();
        let texts = super::syslog::texts(&self.server)
            .into_iter()
            .map(String::into_bytes);
        texts.filter(|text| known.insert(text.clone())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_by_tcp_keeps_the_contract() {
    if super::syslog::server(Program::Rsyslog).is_none() {
        return;
    }
    let logged = || {
        let server = super::syslog::server(Program::Rsyslog).expect("a receiver like the first");
        let proxy = Proxy::of_bytes(&server.place(Transport::Tcp));
        Fed::new(Logged { server, proxy })
    };
    keeps_the_contract(logged, || Ok(sqlite())).await;
}

#[cfg(feature = "kafka")]
mod by_topic {
    use netsage_testkit::kafka::KafkaServer;

    use super::{Fed, Output, Proxy, Receiver, keeps_the_contract, set, sqlite};

    struct Topic {
        server: KafkaServer,
        proxy: Proxy,
        name: String,
        /// What the topic held when the only way to the broker was closed, which is that of the test, too.
        before: Option<Vec<Vec<u8>>>,
    }

    impl Receiver for Topic {
        fn output(&self) -> Box<dyn Output> {
            let address = self.proxy.address();
            Box::new(crate::lines::kafka::output(&address, &self.name, "timeout = 1"))
        }

        fn block(&mut self, is_blocked: bool) {
            self.before = is_blocked.then(|| self.documents());
            set(&self.proxy, is_blocked);
        }

        fn documents(&self) -> Vec<Vec<u8>> {
            let read = || {
                let documents = crate::lines::kafka::documents(&self.server, &self.name).into_iter();
                documents.map(String::into_bytes).collect()
            };
            self.before.clone().unwrap_or_else(read)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_keeps_the_contract() {
        if let Err(reason) = KafkaServer::start() {
            eprintln!("skipped: {reason}");
            return;
        }
        let topic = || {
            let (server, proxy) = KafkaServer::start_behind_proxy().expect("a broker like the first");
            Fed::new(Topic {
                name: server.topic("alerts", 1),
                server,
                proxy,
                before: None,
            })
        };
        keeps_the_contract(topic, || Ok(sqlite())).await;
    }
}
