//! A dashboard's data as a picture, for docs/: the panels in their order, drawn from the answers to their queries. Grafana draws
//! them otherwise.

use std::fmt::Write as _;

use serde_json::Value;

/// Colours that are told apart by most people.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c4033", "#666666",
];
/// Width of a picture, and of what lies between panels.
const WIDTH: f64 = 1_200.0;
const GAP: f64 = 16.0;
/// Most series that a panel names.
const MOST_NAMED: usize = 5;

/// A series: how it is named, and its points.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds since the epoch, and values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A panel with what its queries gave.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// `timeseries`, `stat` or `table`.
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
}

impl Panel {
    /// A panel of a dashboard, without data.
    pub(crate) fn of(panel: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            title: text(&panel["title"]),
            kind: text(&panel["type"]),
            unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
            lines: Vec::new(),
        }
    }

    /// Adds the series of an answer to `query_range`.
    pub(crate) fn add(&mut self, format: &str, answer: &Value) {
        let series = answer["data"]["result"].as_array().unwrap().iter();
        self.lines.extend(series.map(|series| {
            let points = series["values"].as_array().unwrap().iter();
            let number = |value: &Value| value.as_str().unwrap().parse().unwrap();
            Line {
                name: legend(format, &series["metric"]),
                points: points
                    .map(|point| (point[0].as_f64().unwrap(), number(&point[1])))
                    .collect(),
            }
        }));
    }
}

/// How a series is named: by the legend of its query, `{{label}}` filled in.
pub(crate) fn legend(format: &str, labels: &Value) -> String {
    let mut name = String::new();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((label, after)) = behind.split_once("}}") else {
            break;
        };
        name += before;
        name += labels[label.trim()].as_str().unwrap_or_default();
        rest = after;
    }
    name += rest;
    match (name.is_empty(), format.is_empty()) {
        // A series whose label is empty: what has no name of its own.
        (true, false) => "without a name".to_owned(),
        (true, true) => values(labels),
        (false, _) => name,
    }
}

/// The values of labels, the long ones cut as a table cuts them.
fn values(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let shown = labels.filter(|(name, _)| !matches!(name.as_str(), "__name__" | "job"));
    let values: Vec<String> = shown
        .map(|(_, value)| value.as_str().unwrap_or_default().chars().take(16).collect())
        .collect();
    values.join("  ")
}

/// A unit of Grafana as people write it.
fn unit(name: &str) -> &str {
    match name {
        "short" | "percentunit" => "",
        "cps" => "/s",
        name => name,
    }
}

/// The picture, as SVG.
pub(crate) fn draw(title: &str, panels: &[Panel]) -> String {
    let mut body = String::new();
    let (mut x, mut y, mut row) = (GAP, 56.0, 0.0_f64);
    for panel in panels {
        let (width, height) = match panel.kind.as_str() {
            "stat" => ((WIDTH - 7.0 * GAP) / 6.0, 84.0),
            "table" => (WIDTH - 2.0 * GAP, 40.0 + 20.0 * panel.lines.len() as f64),
            _ => ((WIDTH - 3.0 * GAP) / 2.0, 200.0),
        };
        if x + width > WIDTH {
            (x, y, row) = (GAP, y + row + GAP, 0.0);
        }
        draw_panel(&mut body, panel, (x, y), (width, height));
        (x, row) = (x + width + GAP, row.max(height));
    }
    let height = y + row + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f4f5f5\"/>\n{}{body}</svg>\n",
        text(GAP, 36.0, 20, "#222", title)
    )
}

fn draw_panel(body: &mut String, panel: &Panel, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let _ = writeln!(
        body,
        "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"3\" fill=\"#fff\" stroke=\"#ddd\"/>"
    );
    *body += &text(x + 10.0, y + 20.0, 13, "#222", &panel.title);
    match panel.kind.as_str() {
        "stat" => {
            for (number, line) in panel.lines.iter().take(3).enumerate() {
                let value = line.points.last().map_or(0.0, |point| point.1);
                let at = y + 42.0 + 16.0 * number as f64;
                *body += &text(
                    x + 10.0,
                    at,
                    13,
                    "#0072b2",
                    &format!("{} {}", shown(value), line.name),
                );
            }
        }
        "table" => {
            for (number, line) in panel.lines.iter().enumerate() {
                *body += &text(x + 10.0, y + 42.0 + 20.0 * number as f64, 12, "#444", &line.name);
            }
        }
        _ => draw_lines(body, panel, (x + 60.0, y + 32.0), (width - 76.0, height - 86.0)),
    }
}

fn draw_lines(body: &mut String, panel: &Panel, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let points = || {
        panel
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .filter(|point| point.1.is_finite())
    };
    let begin = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let end = points().map(|point| point.0).fold(begin + 1.0, f64::max);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let top = if most > 0.0 { most } else { 1.0 };
    for (value, at) in [(top, y), (0.0, y + height)] {
        let _ = writeln!(
            body,
            "<line x1=\"{x:.0}\" y1=\"{at:.0}\" x2=\"{:.0}\" y2=\"{at:.0}\" stroke=\"#e5e5e5\"/>",
            x + width
        );
        let label = format!(
            "{} {}",
            shown(value),
            if value > 0.0 { unit(&panel.unit) } else { "" }
        );
        *body += &text(x - 54.0, at + 4.0, 10, "#777", label.trim_end());
    }
    for (number, line) in panel.lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let place = |point: &(f64, f64)| {
            let across = x + (point.0 - begin) / (end - begin) * width;
            format!("{across:.1},{:.1}", y + height - point.1 / top * height)
        };
        let points: Vec<String> = line
            .points
            .iter()
            .filter(|point| point.1.is_finite())
            .map(place)
            .collect();
        let _ = writeln!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
    }
    let seconds = end - begin;
    *body += &text(
        x + width - 60.0,
        y + height + 16.0,
        10,
        "#777",
        &format!("{seconds:.0} s"),
    );
    for (number, line) in panel.lines.iter().take(MOST_NAMED).enumerate() {
        let (column, row) = ((number % 3) as f64, (number / 3) as f64);
        let (at_x, at_y) = (x - 50.0 + column * width / 3.0, y + height + 30.0 + row * 16.0);
        let colour = COLOURS[number % COLOURS.len()];
        *body += &text(
            at_x,
            at_y,
            11,
            colour,
            &line.name.chars().take(34).collect::<String>(),
        );
    }
    if panel.lines.len() > MOST_NAMED {
        let more = format!("and {} more", panel.lines.len() - MOST_NAMED);
        *body += &text(x - 50.0 + 2.0 * width / 3.0, y + height + 46.0, 11, "#777", &more);
    }
}

fn text(x: f64, y: f64, size: u32, colour: &str, text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!("<text x=\"{x:.0}\" y=\"{y:.0}\" font-size=\"{size}\" fill=\"{colour}\">{text}</text>\n")
}

/// A number in few digits.
fn shown(value: f64) -> String {
    let scaled = |by: f64, unit: &str| format!("{:.1}{unit}", value / by);
    match value.abs() {
        size if size >= 1e9 => scaled(1e9, "G"),
        size if size >= 1e6 => scaled(1e6, "M"),
        size if size >= 1e4 => scaled(1e3, "k"),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}

#[test]
fn numbers_and_names_are_short() {
    let check = |value: f64, expected: &str| assert_eq!(shown(value), expected);
    check(0.0, "0");
    check(3.25, "3.25");
    check(12_345.0, "12.3k");
    check(0.000_012, "1.2e-5");
    let labels = serde_json::json!({ "name": "iforest", "role": "active" });
    assert_eq!(legend("{{name}}, {{role}}{{none}}", &labels), "iforest, active");
    assert_eq!(legend("", &labels), "iforest  active");
    assert_eq!(legend("{{none}}", &labels), "without a name");
}
