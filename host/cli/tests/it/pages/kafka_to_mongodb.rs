//! `docs/kafka-to-mongodb.md`.

use std::fs;

use netsage_testkit::{backends, kafka::KafkaServer};

use super::{Variables, follow, missing};
use crate::support::{Home, free_address, packages_built};

const PAGE: &str = include_str!("../../../../../docs/kafka-to-mongodb.md");

/// The servers of the page and its variables; why there are none.
fn prepare(home: &Home) -> Result<(KafkaServer, Variables), String> {
    missing(&["bash", "curl", "jq"])?;
    let broker = KafkaServer::start().map_err(|reason| format!("no Kafka: {reason}"))?;
    let store = backends::mongodb().map_err(|reason| format!("no MongoDB: {reason}"))?;
    let commands = home.path().join("kafka");
    fs::create_dir(&commands).unwrap();
    broker.write_commands(&commands).unwrap();
    let variables = vec![
        ("BROKER", broker.address()),
        ("KAFKA", commands.display().to_string()),
        ("MONGODB_URI", store.url.clone()),
        ("FIRST", free_address()),
        ("SECOND", free_address()),
    ];
    Ok((broker, variables))
}

#[test]
fn the_page_from_kafka_to_mongodb_is_true() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    match prepare(&home) {
        Ok((_broker, variables)) => follow(PAGE, home, variables),
        Err(reason) => eprintln!("skipped: {reason}"),
    }
}
