//! What all detectors said about the flow with the highest score of an alert.

use leptos::prelude::*;
use netsage_api_types::{Alert, Flow, Page};
use netsage_web::format;

use crate::api::{self, Asked, Remote};

/// Every detector's score of the flow and the fused verdict. Nothing at all once the flow is no longer kept.
#[component]
pub(crate) fn AlertFlow(alert: Alert) -> impl IntoView {
    let flows = Asked::<Page<Flow>>::new();
    let (community_id, detector, score) = (alert.community_id, alert.detector, alert.score);
    let network = alert.network.clone();
    let is_it = move |flow: &Flow| {
        let scored = flow
            .scores
            .iter()
            .any(|entry| entry.detector == detector && entry.score >= score);
        flow.community_id == community_id && flow.network == network && scored
    };
    let path = move |cursor| {
        let query = api::query(&[
            ("source", Some(alert.source.clone())),
            ("network", Some(alert.network.clone())),
            ("min_score", Some(score.to_string())),
            ("since", Some(alert.first_seen.to_string())),
            ("until", Some(alert.last_seen.saturating_add(1).to_string())),
            ("cursor", cursor),
        ]);
        format!("/flows{query}")
    };
    let has_it = is_it.clone();
    flows.look_for(path, move |page| page.iter().any(&has_it));
    let found = Memo::new(move |_| match flows.get() {
        Remote::Ready(page) => page.items.into_iter().find(&is_it),
        _ => None,
    });
    move || {
        let flow = found.get()?;
        let scores = flow.scores.into_iter().map(|entry| {
            let name = format!("{} {}", entry.detector.name, entry.detector.version);
            view! { <dt>{name}</dt><dd>{format::score(entry.score)}</dd> }
        });
        let fused = flow.fused.map(|fused| {
            let percentile = |share: f32| format::percent(Some(f64::from(share)));
            view! {
                <dt>"All together"</dt>
                <dd class="fused">
                    {format!("beyond {} of ordinary flows on average, {} at most", percentile(fused.mean), percentile(fused.max))}
                </dd>
            }
        });
        let late = flow.late.then(|| {
            view! {
                <p class="muted late">
                    "The record of this flow came late, behind flows that ended after it: they were counted without it."
                </p>
            }
        });
        Some(view! {
            <h3>"What the detectors say"</h3>
            <dl class="verdicts">{scores.collect_view()}{fused}</dl>
            {late}
        })
    }
}
