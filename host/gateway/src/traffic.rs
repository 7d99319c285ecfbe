//! Figures from the stored flows: flows a day, and the alerts that a threshold would have raised.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netsage_alerts::{AlertLimits, AlertWindow, Key, Raised};
use netsage_api_types::{Flow, FlowQuery, Yesterday};
use netsage_calibration::fused;
use netsage_lifecycle::{Loaded, ThresholdQuestion};
use netsage_store::{Store, StoreError};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Shortest traffic that says anything about a day, minutes.
const FEWEST_MINUTES: usize = 10;
/// Flows read at once.
const PAGE: u32 = 500;
/// Flows looked at to say what a threshold would have raised: a second or two of reading.
const MOST_FLOWS: u64 = 200_000;

/// Flows per day: those of the 24 hours before the newest stored flow, or of as much of them as there is; `None` with
/// less than ten minutes.
///
/// # Errors
/// Those of the store.
pub async fn flows_per_day(store: &dyn Store) -> Result<Option<f64>, StoreError> {
    let minutes = u32::try_from(DAY_MS / MINUTE_MS).unwrap_or(u32::MAX);
    let overview = store.overview(MINUTE_MS, minutes).await?;
    let Some(first) = overview.points.iter().position(|point| point.flows > 0) else {
        return Ok(None);
    };
    let points = &overview.points[first..];
    let flows: u64 = points.iter().map(|point| point.flows).sum();
    let days = points.len() as f64 * overview.step as f64 / DAY_MS as f64;
    Ok((points.len() >= FEWEST_MINUTES).then(|| (flows as f64 / days).round()))
}

/// What a threshold would have raised in the 24 hours before the newest stored flow; `None` where nothing is stored.
///
/// # Errors
/// Those of the store.
pub async fn yesterday(
    store: &dyn Store,
    question: &ThresholdQuestion,
) -> Result<Option<Yesterday>, StoreError> {
    let newest = FlowQuery {
        limit: Some(1),
        ..FlowQuery::default()
    };
    let Some(until) = store.flows(&newest).await?.items.first().map(|flow| flow.end) else {
        return Ok(None);
    };
    let from = until.saturating_sub(DAY_MS);
    let mut judge = Judge::new(question, store.alert_window(), store.alert_limits());
    let mut query = FlowQuery {
        since: Some(from),
        until: Some(until.saturating_add(1)),
        limit: Some(PAGE),
        ..FlowQuery::default()
    };
    let mut read = 0;
    let complete = loop {
        let page = store.flows(&query).await?;
        read += page.items.len() as u64;
        page.items.iter().for_each(|flow| judge.look_at(flow));
        match page.next {
            None => break true,
            Some(_) if read >= MOST_FLOWS => break false,
            next => query.cursor = next,
        }
    };
    Ok(Some(Yesterday {
        from,
        until,
        flows: judge.raised.flows(),
        above: judge.raised.above(),
        alerts: judge.raised.alerts(),
        complete,
    }))
}

/// Judges flows by a threshold as the pipeline would.
struct Judge<'a> {
    packages: HashMap<&'a str, &'a Loaded>,
    is_fused: bool,
    window: AlertWindow,
    raised: Raised<'a>,
}

impl<'a> Judge<'a> {
    fn new(question: &'a ThresholdQuestion, window: AlertWindow, limits: AlertLimits) -> Self {
        let is_fused = question.info.name == fused::NAME;
        // Scores of another package of the name have another scale.
        let judged = if is_fused { usize::MAX } else { 1 };
        let packages = question.packages.iter().take(judged);
        Self {
            packages: packages
                .map(|loaded| (loaded.reference.digest.as_str(), &**loaded))
                .collect(),
            is_fused,
            window,
            raised: Raised::new(
                &question.info.name,
                question.info.score.unwrap_or(f32::MAX),
                limits,
            ),
        }
    }

    fn look_at(&mut self, flow: &Flow) {
        let scores = flow.scores.iter();
        let mut judged = scores
            .filter_map(|score| Some((*self.packages.get(score.detector.digest.as_str())?, score.score)));
        let score = if self.is_fused {
            let surprises: Vec<f64> = judged
                .filter_map(|(loaded, score)| loaded.surprise(score))
                .collect();
            let several = surprises.len() > 1;
            fused::surprise(surprises.into_iter())
                .filter(|_| several)
                .map(|surprise| surprise as f32)
        } else {
            judged.next().map(|(_, score)| score)
        };
        let Some(score) = score else { return };
        self.raised.judge(score, || {
            // What a store gives out is an address.
            let address = |text: &str| text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let source = address(&flow.source);
            let target = SocketAddr::new(address(&flow.destination), flow.destination_port);
            let key = Key::new(source, &flow.protocol, &flow.service, flow.start, self.window)
                .in_network(&flow.network);
            (key, target)
        });
    }
}
