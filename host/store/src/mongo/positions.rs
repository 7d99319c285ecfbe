//! How far sources and outputs have come, and secrets that programs share.

use mongodb::Collection;
use mongodb::bson::{Binary, doc};
use serde::{Deserialize, Serialize};

use super::documents::binary;
use super::{MongoStore, answer, answered, is_duplicate_key};
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

    /// The secret of that name; `fresh` where there is none yet. Of several programs at one moment the first one wins.
    pub(super) async fn keep_secret(&self, name: &str, fresh: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let action = "keep a secret";
        let (id, fresh) = (format!("secret:{name}"), binary(fresh.to_vec()));
        self.begin(&id, doc! { "secret": fresh })
            .await
            .map_err(StoreError::mongo(action))?;
        let meta = self.meta();
        let kept = answer(action, meta.find_one(doc! { "_id": id })).await?;
        let kept = kept
            .as_ref()
            .and_then(|kept| kept.get_binary_generic("secret").ok());
        kept.map(|kept| Some(kept.clone()))
            .ok_or_else(|| StoreError::Damaged {
                detail: format!("the collection `meta` has no secret `{name}`"),
            })
    }

    pub(super) async fn write_position(&self, name: &str, position: &[u8]) -> Result<(), StoreError> {
        let position = Position {
            name: name.to_owned(),
            position: binary(position.to_vec()),
        };
        let positions = self.positions();
        let write = positions.replace_one(doc! { "_id": name }, position).upsert(true);
        answer("save a position", write).await.map(drop)
    }

    /// Whether the position was the expected one, and is the new one now.
    pub(super) async fn replace_position(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        position: &[u8],
    ) -> Result<bool, StoreError> {
        let action = "save a position";
        let position = Position {
            name: name.to_owned(),
            position: binary(position.to_vec()),
        };
        let positions = self.positions();
        match expected {
            Some(expected) => {
                let filter = doc! { "_id": name, "position": binary(expected.to_vec()) };
                let replaced = answer(action, positions.replace_one(filter, position)).await?;
                Ok(replaced.matched_count > 0)
            }
            None => match answered(positions.insert_one(position)).await? {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate_key(&error) => Ok(false),
                Err(error) => Err(StoreError::mongo(action)(error)),
            },
        }
    }
}
