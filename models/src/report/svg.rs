//! Line charts and bars as SVG, drawn with the colours of the page around them.

use std::fmt::Write as _;

/// Space left of the axes, for the numbers there.
const LEFT: f64 = 46.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// The values along one side of a chart.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) logarithmic: bool,
    /// Values with a line and what stands there.
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) label: String,
}

impl Axis {
    /// Shares from 0 to 1.
    pub(super) fn shares(label: &str) -> Self {
        let ticks = (0..=5).map(|step| f64::from(step) / 5.0);
        Self {
            low: 0.0,
            high: 1.0,
            logarithmic: false,
            ticks: ticks.map(|tick| (tick, format!("{tick:.1}"))).collect(),
            label: label.to_owned(),
        }
    }

    /// Small shares, from 0.01 % to 1.
    pub(super) fn small_shares(label: &str) -> Self {
        let ticks = [
            (1e-4, "0.01 %"),
            (1e-3, "0.1 %"),
            (1e-2, "1 %"),
            (0.1, "10 %"),
            (1.0, "100 %"),
        ];
        Self {
            low: 1e-4,
            high: 1.0,
            logarithmic: true,
            ticks: ticks.map(|(tick, text)| (tick, text.to_owned())).to_vec(),
            label: label.to_owned(),
        }
    }

    /// Where a value lies, 0 to 1.
    fn position(&self, value: f64) -> f64 {
        let position = if self.logarithmic {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        position.clamp(0.0, 1.0)
    }
}

/// A chart that grows by what is drawn on it.
#[derive(Debug)]
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    width: f64,
    height: f64,
    body: String,
}

/// Text for an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML knows no other control characters.
            '\t' | '\n' | '\r' => escaped.push(' '),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Points of a line that lie closer than this, in pixels, cannot be told apart: a curve over tens of thousands of rows
/// would make the page megabytes long.
const CLOSE: f64 = 0.8;

impl Chart {
    /// Axes and grid. Lengths are in the units of the picture, which the page scales.
    pub(super) fn new(x: Axis, y: Axis, width: f64, height: f64) -> Self {
        let mut chart = Self {
            x,
            y,
            width,
            height,
            body: String::new(),
        };
        chart.grid();
        chart
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.position(x) * (self.width - LEFT - RIGHT);
        let down = TOP + (1.0 - self.y.position(y)) * (self.height - TOP - BOTTOM);
        (across, down)
    }

    fn draw(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("a string takes every write");
        self.body.push('\n');
    }

    fn grid(&mut self) {
        let (left, bottom) = self.at(self.x.low, self.y.low);
        let (right, top) = self.at(self.x.high, self.y.high);
        for (value, text) in self.x.ticks.clone() {
            let (x, _) = self.at(value, self.y.low);
            self.draw(format_args!(
                r#"<line class="grid" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#
            ));
            let y = bottom + 14.0;
            let text = escape(&text);
            self.draw(format_args!(
                r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{text}</text>"#
            ));
        }
        for (value, text) in self.y.ticks.clone() {
            let (_, y) = self.at(self.x.low, value);
            self.draw(format_args!(
                r#"<line class="grid" x1="{left:.1}" y1="{y:.1}" x2="{right:.1}" y2="{y:.1}"/>"#
            ));
            let (x, y) = (left - 5.0, y + 3.5);
            let text = escape(&text);
            self.draw(format_args!(
                r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end">{text}</text>"#
            ));
        }
        let (middle, below) = ((left + right) / 2.0, bottom + 32.0);
        let label = escape(&self.x.label);
        self.draw(format_args!(
            r#"<text class="axis" x="{middle:.1}" y="{below:.1}" text-anchor="middle">{label}</text>"#
        ));
        let middle = (top + bottom) / 2.0;
        let label = escape(&self.y.label);
        self.draw(format_args!(
            r#"<text class="axis" transform="translate(12 {middle:.1}) rotate(-90)" text-anchor="middle">{label}</text>"#
        ));
    }

    /// A line through points. Those too close to be told apart, and those on the way straight up or across, are left
    /// out.
    pub(super) fn line(&mut self, class: &str, title: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for (x, y) in points {
            let point = self.at(x, y);
            let near =
                |last: &(f64, f64)| (last.0 - point.0).abs() < CLOSE && (last.1 - point.1).abs() < CLOSE;
            if kept.last().is_some_and(near) {
                continue;
            }
            if let &[.., first, second] = kept.as_slice()
                && is_on_the_way(first, second, point)
            {
                kept.pop();
            }
            kept.push(point);
        }
        for (index, (x, y)) in kept.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            write!(path, "{command}{x:.1} {y:.1}").expect("a string takes every write");
        }
        let title = escape(title);
        self.draw(format_args!(
            r#"<path class="line {class}" d="{path}"><title>{title}</title></path>"#
        ));
    }

    /// A dashed line from bottom to top at a value, with a word beside it, so many lines of text below the top.
    pub(super) fn mark(&mut self, value: f64, text: &str, line: u8) {
        let (x, bottom) = self.at(value, self.y.low);
        let (_, top) = self.at(value, self.y.high);
        self.draw(format_args!(
            r#"<line class="mark" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/>"#
        ));
        // On the side that has more room.
        let (x, anchor) = if x > self.width * 0.75 {
            (x - 4.0, "end")
        } else {
            (x + 4.0, "start")
        };
        let (y, text) = (top + 9.0 + 12.0 * f64::from(line), escape(text));
        self.draw(format_args!(
            r#"<text class="marked" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// Filled steps: equally wide bars of these heights, side by side over the whole width.
    pub(super) fn area(&mut self, class: &str, title: &str, heights: &[f64]) {
        let bars = heights.len().max(1) as f64;
        let span = self.x.high - self.x.low;
        let (left, bottom) = self.at(self.x.low, self.y.low);
        let mut path = format!("M{left:.1} {bottom:.1}");
        for (index, &height) in (0_u32..).zip(heights) {
            let (from, top) = self.at(self.x.low + span * f64::from(index) / bars, height);
            let (to, _) = self.at(self.x.low + span * f64::from(index + 1) / bars, height);
            write!(path, "L{from:.1} {top:.1}L{to:.1} {top:.1}").expect("a string takes every write");
        }
        let (right, _) = self.at(self.x.high, self.y.low);
        let title = escape(title);
        self.draw(format_args!(
            r#"<path class="area {class}" d="{path}L{right:.1} {bottom:.1}Z"><title>{title}</title></path>"#
        ));
    }

    /// The picture, with a sentence for those who cannot see it.
    pub(super) fn finish(self, description: &str) -> String {
        let (width, height, description) = (self.width, self.height, escape(description));
        format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{description}\">\n{}</svg>\n",
            self.body
        )
    }
}

/// Whether the middle point lies straight above or beside both others.
fn is_on_the_way(first: (f64, f64), second: (f64, f64), third: (f64, f64)) -> bool {
    let same = |a: f64, b: f64, c: f64| (a - b).abs() < 0.02 && (a - c).abs() < 0.02;
    same(first.0, second.0, third.0) || same(first.1, second.1, third.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_corners_alone() {
        let mut chart = Chart::new(Axis::shares("x"), Axis::shares("y"), 400.0, 300.0);
        let steps = (0..=1000_u32).map(|step| f64::from(step) / 1000.0);
        let points = steps.clone().map(|y| (0.0, y)).chain(steps.map(|x| (x, 1.0)));
        chart.line("a", "<b>", points);
        let svg = chart.finish("a corner");
        let path = svg.lines().find(|line| line.contains("<path")).unwrap();
        assert_eq!(path.matches('L').count(), 2, "{path}");
        assert!(path.contains("&lt;b&gt;"), "{path}");
    }

    #[test]
    fn a_bend_stays_a_bend() {
        let mut chart = Chart::new(Axis::shares("x"), Axis::shares("y"), 400.0, 300.0);
        let points = (0..=100_000_u32).map(|step| f64::from(step) / 100_000.0);
        chart.line("a", "", points.map(|x| (x, x.sqrt())));
        let svg = chart.finish("a bend");
        let path = svg.lines().find(|line| line.contains("<path")).unwrap();
        assert!((200..2_000).contains(&path.matches('L').count()), "{path}");
    }
}
