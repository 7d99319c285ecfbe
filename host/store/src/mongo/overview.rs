//! The overview, by aggregation over indexes.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use netsage_api_types::{OverviewPoint, TopSource};

use super::documents::{SHOWN, integer};
use super::{COUNTED_ONLY, MongoStore};
use crate::overview::{Axis, round_step, step_start};
use crate::reads::LONGEST_READ;
use crate::record::to_unsigned;
use crate::{StoreError, StoreOverview};

const ACTION: &str = "read the overview";

impl MongoStore {
    pub(super) async fn read_overview(
        &self,
        step_ms: i64,
        max_points: u32,
    ) -> Result<StoreOverview, StoreError> {
        let (oldest, newest) = (self.ends(1).await?, self.ends(-1).await?);
        let points = match (oldest.into_iter().min(), newest.into_iter().max()) {
            (Some(oldest), Some(newest)) => {
                self.points(Axis::new(step_ms, max_points, oldest, newest))
                    .await?
            }
            _ => Vec::new(),
        };
        let failed = StoreError::mongo(ACTION);
        Ok(StoreOverview {
            step: round_step(step_ms),
            points,
            top_sources: self.top_sources().await?,
            alerts_new: self
                .reading
                .alerts
                .count_documents(doc! { "state": "new" })
                .max_time(LONGEST_READ)
                .await
                .map_err(&failed)?,
            alerts_total: self
                .reading
                .alerts
                .count_documents(doc! { "state": { "$in": SHOWN.to_vec() } })
                .max_time(LONGEST_READ)
                .await
                .map_err(&failed)?,
        })
    }

    /// The first times in a direction of sorting: of the flows that are kept and of those that are counted only.
    async fn ends(&self, direction: i32) -> Result<Vec<i64>, StoreError> {
        let mut ends = Vec::new();
        for (collection, key) in [("flows", "end"), (COUNTED_ONLY, "_id")] {
            let found = self
                .reading
                .database
                .collection::<Document>(collection)
                .find_one(doc! {})
                .sort(doc! { key: direction })
                .projection(doc! { "_id": i32::from(key == "_id"), key: 1 })
                .max_time(LONGEST_READ)
                .await
                .map_err(StoreError::mongo(ACTION))?;
            ends.extend(found.and_then(|document| integer(&document, key)));
        }
        Ok(ends)
    }

    async fn points(&self, axis: Axis) -> Result<Vec<OverviewPoint>, StoreError> {
        let mut known: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for (time, flows, alerted) in self.time_axis(axis.first, axis.end(), axis.step).await? {
            let point = known.entry(step_start(time, axis.step)).or_default();
            point.0 += flows;
            point.1 += alerted;
        }
        Ok(axis.points(&known))
    }

    async fn top_sources(&self) -> Result<Vec<TopSource>, StoreError> {
        let failed = StoreError::mongo(ACTION);
        let rows: Vec<Document> = self
            .reading
            .alerts
            .aggregate(vec![
                // Those of one source, that is.
                doc! { "$match": { "state": { "$in": SHOWN.to_vec() }, "sources": null } },
                doc! { "$group": {
                    "_id": { "source": "$source", "network": { "$ifNull": ["$network", ""] } },
                    "alerts": { "$sum": 1_i64 },
                    "flows": { "$sum": "$count" },
                    "score": { "$max": "$score" },
                } },
                doc! { "$sort": { "flows": -1, "_id.source": 1, "_id.network": 1 } },
                doc! { "$limit": 10_i64 },
            ])
            .max_time(LONGEST_READ)
            .await
            .map_err(&failed)?
            .try_collect()
            .await
            .map_err(&failed)?;
        let mut sources = Vec::with_capacity(rows.len());
        for row in rows {
            let host = row.get_document("_id").ok();
            let text = |key| host.and_then(|host| host.get_str(key).ok());
            let Some(source) = text("source") else { continue };
            sources.push(TopSource {
                source: source.to_owned(),
                network: text("network").unwrap_or_default().to_owned(),
                alerts: to_unsigned(integer(&row, "alerts").unwrap_or(0)),
                flows: to_unsigned(integer(&row, "flows").unwrap_or(0)),
                // Scores are stored from `f32`, so nothing is lost on the way back.
                score: row.get_f64("score").unwrap_or_default() as f32,
            });
        }
        Ok(sources)
    }
}
