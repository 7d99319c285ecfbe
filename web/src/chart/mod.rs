//! Charts as plain SVG: sizes are units of the view box, colours are classes of the style sheet.

use leptos::prelude::*;
use netsage_api_types::OverviewPoint;
use netsage_web::{format, scale};

use crate::common::{local_offset, moment};

pub(crate) mod compared;
pub(crate) mod drift;
pub(crate) mod scores;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 950.0;

/// Flows as an area and alerted flows as bars below it, over time.
#[component]
pub(crate) fn FlowsOverTime(step: i64, points: Vec<OverviewPoint>) -> impl IntoView {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return ().into_any();
    };
    let (from, to) = (first.time, last.time.saturating_add(step.max(1)));
    let x = scale::Linear {
        domain: (from as f64, to as f64),
        range: (LEFT, RIGHT),
    };
    let flows_top = scale::ceiling(points.iter().map(|point| point.flows).max().unwrap_or(0) as f64);
    let alerts_top = scale::ceiling(points.iter().map(|point| point.alerted).max().unwrap_or(0) as f64);
    let flows_y = scale::Linear {
        domain: (0.0, flows_top),
        range: (150.0, 18.0),
    };
    let alerts_y = scale::Linear {
        domain: (0.0, alerts_top),
        range: (250.0, 190.0),
    };
    let width = (x.place((from + step) as f64) - LEFT).max(1.0);

    let mut line = String::new();
    for point in &points {
        let place = x.place(point.time as f64);
        let height = flows_y.place(point.flows as f64);
        line.push_str(&format!(
            "L{place:.1} {height:.1}L{:.1} {height:.1}",
            place + width
        ));
    }
    let area = format!("M{LEFT} 150{line}L{RIGHT:.1} 150Z");
    let outline = line.replacen('L', "M", 1);
    let sum = |count: fn(&OverviewPoint) -> u64| points.iter().map(count).sum::<u64>();
    let summary = format!(
        "Flows and alerted flows over time: {}, {} of them alerted, from {} to {}",
        format::plural(sum(|point| point.flows), "flow", "flows"),
        format::count(sum(|point| point.alerted)),
        moment(from),
        moment(to)
    );
    let bars = points.iter().filter(|point| point.alerted > 0).map(|point| {
        let top = alerts_y.place(point.alerted as f64);
        view! {
            <rect class="bar alert" x=format!("{:.1}", x.place(point.time as f64)) y=format!("{top:.1}")
                width=format!("{:.1}", (width - 1.0).max(1.2)) height=format!("{:.1}", 250.0 - top)/>
        }
    });
    let bars = bars.collect_view();
    // A transparent column per step carries the figures as a tooltip.
    let tips = points.iter().map(|point| {
        let text = format!(
            "{}: {}, {} alerted",
            moment(point.time),
            format::plural(point.flows, "flow", "flows"),
            format::count(point.alerted)
        );
        view! {
            <rect class="tip" x=format!("{:.1}", x.place(point.time as f64)) y="10" width=format!("{width:.1}") height="240">
                <title>{text}</title>
            </rect>
        }
    });
    let tips = tips.collect_view();
    view! {
        <svg class="chart" viewBox=format!("0 0 {WIDTH} 276") role="img" aria-label=summary>
            <text class="caption" x=LEFT y="10">"flows"</text>
            {levels(flows_y, 3)}
            <path class="area" d=area/>
            <path class="line" d=outline/>
            <text class="caption" x=LEFT y="180">"alerted flows"</text>
            {levels(alerts_y, 2)}
            {bars}
            {time_axis(x, 268.0)}
            {tips}
        </svg>
    }
    .into_any()
}

/// Horizontal lines with their values.
fn levels(y: scale::Linear, count: u32) -> impl IntoView {
    let levels = scale::ticks(y.domain.0, y.domain.1, count)
        .into_iter()
        .map(move |tick| {
            let place = format!("{:.1}", y.place(tick));
            view! {
                <line class="grid" x1=LEFT x2=RIGHT y1=place.clone() y2=place.clone()/>
                <text class="tick" x=LEFT - 6.0 y=place dy="4" text-anchor="end">{format::short(tick)}</text>
            }
        });
    levels.collect_view()
}

/// Local times along the bottom.
fn time_axis(x: scale::Linear, bottom: f64) -> impl IntoView {
    let offset = local_offset();
    // The domain was made from whole milliseconds.
    let (from, to) = (x.domain.0 as i64, x.domain.1 as i64);
    let by_day = to - from > 2 * 86_400_000;
    let seconds = to - from < 5 * 60_000;
    let labels = scale::time_ticks(from, to, 8, offset).into_iter().map(move |time| {
        let local = time.saturating_add(offset);
        let text = if by_day { format::day(local) } else { format::clock(local, seconds) };
        view! {
            <text class="tick" x=format!("{:.1}", x.place(time as f64)) y=bottom text-anchor="middle">{text}</text>
        }
    });
    labels.collect_view()
}
