//! How far sources and outputs have come.

use mongodb::Collection;
use mongodb::bson::{Binary, doc, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use super::MongoStore;
use crate::StoreError;

/// A document of the collection `positions`.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(rename = "_id")]
    name: String,
    position: Binary,
}

impl MongoStore {
    fn positions(&self) -> Collection<Position> {
        self.database.collection("positions")
    }

    pub(super) async fn read_position(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.positions()
            .find_one(doc! { "_id": name })
            .await
            .map(|found| found.map(|found| found.position.bytes))
            .map_err(StoreError::mongo("read a position"))
    }

    pub(super) async fn write_position(&self, name: &str, position: &[u8]) -> Result<(), StoreError> {
        let position = Position {
            name: name.to_owned(),
            position: Binary {
                subtype: BinarySubtype::Generic,
                bytes: position.to_vec(),
            },
        };
        self.positions()
            .replace_one(doc! { "_id": name }, position)
            .upsert(true)
            .await
            .map(drop)
            .map_err(StoreError::mongo("save a position"))
    }
}
