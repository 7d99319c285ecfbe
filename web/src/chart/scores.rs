//! The Lab's charts: scores over time, and how they are distributed.

use leptos::prelude::*;
use netsage_web::{evaluation, format, scale};

use super::{LEFT, RIGHT, WIDTH, levels, time_axis};

/// Columns of the timeline.
const COLUMNS: usize = 240;
/// Bars of the histogram.
const BARS: usize = 60;

/// Highest and mean score over time, or over rows where the file has no times, with the threshold.
#[component]
pub(crate) fn Timeline(
    #[prop(into)] scores: Signal<Vec<f32>>,
    #[prop(into)] times: Signal<Vec<f64>>,
    #[prop(into)] extent: Signal<(f64, f64)>,
    #[prop(into)] threshold: Signal<f32>,
) -> impl IntoView {
    let y = move || scale::Linear {
        domain: extent.get(),
        range: (206.0, 22.0),
    };
    let has_times = move || times.with(|times| !times.is_empty());
    let columns = Memo::new(move |_| {
        scores.with(|scores| {
            if has_times() {
                times.with(|times| scale::envelope(times, scores, COLUMNS))
            } else {
                let places: Vec<f64> = (0u32..).map(f64::from).take(scores.len()).collect();
                scale::envelope(&places, scores, COLUMNS)
            }
        })
    });
    let width = (RIGHT - LEFT) / COLUMNS as f64;
    let bars = move || {
        let y = y();
        let bars = columns.get().into_iter().enumerate().filter_map(|(index, column)| {
            let (highest, mean) = column?;
            let place = LEFT + index as f64 * width;
            let (top, middle) = (y.place(f64::from(highest)), y.place(f64::from(mean)));
            // The part above the threshold takes the colour of an alert by its class alone.
            let class = move || if highest > threshold.get() { "peak alert" } else { "peak" };
            let text = format!("highest {}, mean {}", format::score(highest), format::score(mean));
            Some(view! {
                <rect class=class x=format!("{place:.1}") y=format!("{top:.1}") width=format!("{:.2}", width - 0.6)
                    height=format!("{:.1}", (206.0 - top).max(1.0))>
                    <title>{text}</title>
                </rect>
                <line class="mean" x1=format!("{place:.1}") x2=format!("{:.1}", place + width)
                    y1=format!("{middle:.1}") y2=format!("{middle:.1}")/>
            })
        });
        bars.collect_view()
    };
    let axis = move || {
        let time = times
            .with(|times| scale::extent(times.iter().copied()))
            .filter(|(from, to)| to > from);
        match time {
            Some(domain) => time_axis(
                scale::Linear {
                    domain,
                    range: (LEFT, RIGHT),
                },
                226.0,
            )
            .into_any(),
            None => row_axis(scores.with(Vec::len)).into_any(),
        }
    };
    let caption = move || {
        if has_times() {
            "score, by the time a flow ended"
        } else {
            "score, by row"
        }
    };
    let line = move || format!("{:.1}", y().place(f64::from(threshold.get())));
    view! {
        <svg class="chart" viewBox=format!("0 0 {WIDTH} 232") role="img" aria-label="Scores over time with the threshold">
            <text class="caption" x=LEFT y="10">{caption}</text>
            {move || levels(y(), 3)}
            {bars}
            <line class="threshold" x1=LEFT x2=RIGHT y1=line y2=line/>
            {axis}
        </svg>
    }
}

fn row_axis(rows: usize) -> impl IntoView {
    let x = scale::Linear {
        domain: (0.0, rows as f64),
        range: (LEFT, RIGHT),
    };
    let labels = scale::ticks(0.0, rows as f64, 8).into_iter().map(move |row| {
        let place = format!("{:.1}", x.place(row));
        view! { <text class="tick" x=place y="226" text-anchor="middle">{format::short(row)}</text> }
    });
    labels.collect_view()
}

/// How many rows have which score; attacks stand on ordinary rows where labels exist. Heights grow with the
/// square root of the number, so that a few attacks remain visible beside many ordinary rows.
#[component]
pub(crate) fn Histogram(
    #[prop(into)] scores: Signal<Vec<f32>>,
    #[prop(into)] labels: Signal<Vec<u8>>,
    #[prop(into)] extent: Signal<(f64, f64)>,
    #[prop(into)] threshold: Signal<f32>,
) -> impl IntoView {
    let counts = Memo::new(move |_| {
        let (from, to) = extent.get();
        scores.with(|scores| {
            labels.with(|labels| {
                let is_attack = |row: usize| labels.get(row) == Some(&evaluation::ATTACK);
                let part = |attack: bool| {
                    let rows = scores
                        .iter()
                        .enumerate()
                        .filter(move |(row, _)| is_attack(*row) == attack);
                    scale::histogram(rows.map(|(_, score)| *score), from, to, BARS)
                };
                (part(false), part(true))
            })
        })
    });
    let x = move || scale::Linear {
        domain: extent.get(),
        range: (LEFT, RIGHT),
    };
    let width = (RIGHT - LEFT) / BARS as f64;
    let bars = move || {
        let (ordinary, attacks) = counts.get();
        let most = ordinary
            .iter()
            .zip(&attacks)
            .map(|(one, other)| one + other)
            .max()
            .unwrap_or(0)
            .max(1);
        let height = move |number: u64| (number as f64 / most as f64).sqrt() * 150.0;
        let bars = ordinary.into_iter().zip(attacks).enumerate().map(move |(index, (ordinary, attacks))| {
            let place = format!("{:.1}", LEFT + index as f64 * width);
            let (whole, lower) = (height(ordinary + attacks), height(ordinary));
            let wide = format!("{:.2}", width - 1.5);
            let text = format!("{} rows, {} of them attacks", format::count(ordinary + attacks), format::count(attacks));
            view! {
                <g>
                    <title>{text}</title>
                    <rect class="bar ordinary" x=place.clone() y=format!("{:.1}", 172.0 - lower) width=wide.clone() height=format!("{lower:.1}")/>
                    <rect class="bar alert" x=place y=format!("{:.1}", 172.0 - whole) width=wide height=format!("{:.1}", whole - lower)/>
                </g>
            }
        });
        bars.collect_view()
    };
    let ticks =
        move || {
            let x = x();
            let labels = scale::ticks(x.domain.0, x.domain.1, 8).into_iter().map(move |tick| {
            let place = format!("{:.1}", x.place(tick));
            view! { <text class="tick" x=place y="190" text-anchor="middle">{format::short(tick)}</text> }
        });
            labels.collect_view()
        };
    let line = move || format!("{:.1}", x().place(f64::from(threshold.get())));
    view! {
        <svg class="chart" viewBox=format!("0 0 {WIDTH} 196") role="img" aria-label="Distribution of the scores">
            <text class="caption" x=LEFT y="10">"rows by score (square-root scale)"</text>
            <line class="grid" x1=LEFT x2=RIGHT y1="172" y2="172"/>
            {bars}
            <line class="threshold" x1=line x2=line y1="16" y2="172"/>
            {ticks}
        </svg>
    }
}
