//! Time series, by aggregation along an index of the time.

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use netsage_api_types::SeriesName;

use super::documents::{SHOWN, integer};
use super::{COUNTED_ONLY, MongoStore};
use crate::reads::LONGEST_READ;
use crate::record::to_unsigned;
use crate::series::{NO_LABELS, Tally};
use crate::{StoreError, StoreSeries, StoreSeriesQuery};

const ACTION: &str = "read a time series";

impl MongoStore {
    pub(super) async fn read_series(&self, query: &StoreSeriesQuery) -> Result<Vec<StoreSeries>, StoreError> {
        let mut tally = Tally::new(query)?;
        match query.name {
            SeriesName::Flows | SeriesName::FlowsAlerted => {
                let axis = self.time_axis(query.since, query.until(), query.step).await?;
                for (time, flows, alerted) in axis {
                    let is_all = query.name == SeriesName::Flows;
                    tally.add(time, &NO_LABELS, if is_all { flows } else { alerted })?;
                }
            }
            SeriesName::FlowPackets => self.flow_sums(query, "packets", &mut tally).await?,
            SeriesName::FlowBytes => self.flow_sums(query, "bytes", &mut tally).await?,
            SeriesName::FlowSources => self.flow_sources(query, &mut tally).await?,
            SeriesName::AlertsBegun => self.alerts_begun(query, &mut tally).await?,
        }
        Ok(tally.finish())
    }

    /// How many flows ended and how many of them are alerted, with a time in the step for which this holds, in no order. Flows
    /// that are counted only come by themselves.
    pub(super) async fn time_axis(
        &self,
        since: i64,
        until: i64,
        step: i64,
    ) -> Result<Vec<(i64, u64, u64)>, StoreError> {
        let pipeline = vec![
            doc! { "$match": { "end": { "$gte": since, "$lt": until } } },
            doc! { "$group": {
                "_id": step_of("$end", since, step),
                "flows": { "$sum": 1_i64 },
                "alerted": { "$sum": { "$cond": ["$alerted", 1_i64, 0_i64] } },
            } },
        ];
        let mut axis = Vec::new();
        each(&self.reading.flows, pipeline, |row| {
            axis.push((
                integer_of(row, "_id"),
                count_of(row, "flows"),
                count_of(row, "alerted"),
            ));
            Ok(())
        })
        .await?;
        let counted_only: Vec<Document> = self
            .reading
            .database
            .collection(COUNTED_ONLY)
            .find(doc! { "_id": { "$gte": since, "$lt": until } })
            .projection(doc! { "flows": 1 })
            .max_time(LONGEST_READ)
            .await
            .map_err(StoreError::mongo(ACTION))?
            .try_collect()
            .await
            .map_err(StoreError::mongo(ACTION))?;
        let counted_only = counted_only.iter();
        axis.extend(counted_only.map(|row| (integer_of(row, "_id"), count_of(row, "flows"), 0)));
        Ok(axis)
    }

    async fn flow_sums(
        &self,
        query: &StoreSeriesQuery,
        field: &str,
        tally: &mut Tally<'_>,
    ) -> Result<(), StoreError> {
        let pipeline = vec![
            within("end", query),
            doc! { "$group": {
                "_id": step_of("$end", query.since, query.step),
                "count": { "$sum": format!("${field}") },
            } },
        ];
        self.count_flows(pipeline, tally).await
    }

    async fn flow_sources(&self, query: &StoreSeriesQuery, tally: &mut Tally<'_>) -> Result<(), StoreError> {
        let pipeline = vec![
            within("end", query),
            doc! { "$group": {
                "_id": { "time": step_of("$end", query.since, query.step), "source": "$source" },
            } },
            doc! { "$group": { "_id": "$_id.time", "count": { "$sum": 1_i64 } } },
        ];
        self.count_flows(pipeline, tally).await
    }

    async fn count_flows(&self, pipeline: Vec<Document>, tally: &mut Tally<'_>) -> Result<(), StoreError> {
        each(&self.reading.flows, pipeline, |row| {
            tally.add(integer_of(row, "_id"), &NO_LABELS, count_of(row, "count"))
        })
        .await
    }

    async fn alerts_begun(&self, query: &StoreSeriesQuery, tally: &mut Tally<'_>) -> Result<(), StoreError> {
        let pipeline = vec![
            within("first_seen", query),
            doc! { "$match": { "state": { "$in": SHOWN.to_vec() } } },
            doc! { "$group": {
                "_id": {
                    "time": step_of("$first_seen", query.since, query.step),
                    "detector": "$detector.name",
                    "network": { "$ifNull": ["$network", ""] },
                    "severity": "$severity",
                    "state": "$state",
                },
                "count": { "$sum": 1_i64 },
            } },
        ];
        each(&self.reading.alerts, pipeline, |row| {
            let Ok(group) = row.get_document("_id") else {
                return Ok(());
            };
            let text = |key| group.get_str(key).unwrap_or_default();
            let values = [text("detector"), text("network"), text("severity"), text("state")];
            tally.add(integer_of(group, "time"), &values, count_of(row, "count"))
        })
        .await
    }
}

/// The steps of a query, by a field of times.
fn within(time: &str, query: &StoreSeriesQuery) -> Document {
    doc! { "$match": { time: { "$gte": query.since, "$lt": query.until() } } }
}

/// The start of the step that a time from `since` on falls into; `step` is more than 0.
fn step_of(time: &str, since: i64, step: i64) -> Bson {
    let after = doc! { "$subtract": [time, since] };
    doc! { "$subtract": [time, { "$mod": [after, step] }] }.into()
}

fn integer_of(document: &Document, key: &str) -> i64 {
    integer(document, key).unwrap_or_default()
}

fn count_of(document: &Document, key: &str) -> u64 {
    to_unsigned(integer_of(document, key))
}

/// Gives each row of an aggregation.
async fn each<D: Send + Sync>(
    collection: &Collection<D>,
    pipeline: Vec<Document>,
    mut take: impl FnMut(&Document) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = StoreError::mongo(ACTION);
    let mut rows = collection
        .aggregate(pipeline)
        .max_time(LONGEST_READ)
        .await
        .map_err(&failed)?;
    while let Some(row) = rows.try_next().await.map_err(&failed)? {
        take(&row)?;
    }
    Ok(())
}
