//! The report as one page: no script, no picture and no font from elsewhere; readable on a screen, in the dark and on
//! paper. It is well-formed XML, so that programs can read it too.

use std::fmt::Write as _;

use super::svg::escape;
use super::{
    Columns, Condition, Figures, Kind, Outcome, Report, pictures, result_tables, shown, shown_count,
};

/// The style of the page.
const STYLE: &str = include_str!("page.css");

/// A page that grows.
pub(super) struct Page(String);

impl Page {
    pub(super) fn add(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.0.write_fmt(arguments).expect("a string takes every write");
        self.0.push('\n');
    }
}

impl Report {
    /// The report as a page of HTML.
    pub fn html(&self) -> String {
        let mut page = Page(String::new());
        let file = escape(&self.data.file);
        page.add(format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"/>\n<title>Detectors measured on {file}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>"
        ));
        self.header(&mut page);
        self.summary(&mut page);
        self.curves(&mut page);
        page.add(format_args!("<h2>Detector by detector</h2>"));
        for (index, result) in self.results.iter().enumerate() {
            self.result(&mut page, index, result);
        }
        self.data(&mut page);
        self.methods(&mut page);
        page.add(format_args!("</body>\n</html>"));
        page.0
    }

    fn header(&self, page: &mut Page) {
        let data = &self.data;
        let of_kind = |kind| self.results.iter().filter(|result| result.kind == kind).count();
        let detectors = of_kind(Kind::Detector);
        let plural = if detectors == 1 { "" } else { "s" };
        page.add(format_args!(
            "<header>\n<h1>Detectors measured on {}</h1>\n<p class=\"lead\">{detectors} detector{plural} on {} rows, {} of \
             them attacks. No detector saw a label in training; labels were read for the figures alone.</p>\n<p \
             class=\"soft\">{}, {}. Columns: {}.</p>\n</header>",
            escape(&data.file),
            shown_count(data.rows as f64),
            shown_count(data.attacks as f64),
            escape(&self.made_by),
            escape(&self.date),
            escape(&data.schema)
        ));
    }

    fn summary(&self, page: &mut Page) {
        page.add(format_args!(
            "<h2>Summary</h2>\n<div class=\"scroll\">\n<table>\n<caption>In each cell: on all rows, and below it on \
             distinct rows. TPR at FPR is the share of attacks found at the threshold that takes at most that share of \
             the ordinary rows for attacks. The percentiles are those of held-out ordinary training rows: thresholds that \
             were fixed before these rows were seen, with the FPR that they really have here. The best detector of a \
             column is bold.</caption>\n<thead><tr><th class=\"word\">detector</th><th class=\"word\">columns</th>\
             <th>AUROC</th><th>AUPRC</th><th>TPR at<br/>FPR 5 %</th><th>TPR at<br/>FPR 1 %</th><th>TPR at<br/>FPR 0.1 \
             %</th><th>F1 at 95th<br/>percentile</th><th>FPR<br/>there</th><th>F1 at 99th<br/>percentile</th><th>FPR<br/>\
             there</th><th>rows/s</th></tr></thead>\n<tbody>"
        ));
        for result in &self.results {
            for (position, condition) in result.conditions.iter().enumerate() {
                self.summary_row(page, result, position, condition);
            }
        }
        page.add(format_args!("</tbody>\n</table>\n</div>"));
        if self.results.iter().any(|result| result.steered.is_some()) {
            page.add(format_args!(
                "<p><span class=\"steered\">*</span> Labelled rows steered a choice in the making of this detector, as \
                 its card declares; its figures are no measure of what can be had without labels.</p>"
            ));
        }
    }

    fn summary_row(&self, page: &mut Page, result: &Outcome, position: usize, condition: &Condition) {
        let class = match (position, result.kind) {
            (0, Kind::Baseline) => "first base",
            (0, _) => "first",
            (_, Kind::Baseline) => "base",
            _ => "",
        };
        let name = if position == 0 {
            result_name(result)
        } else {
            String::new()
        };
        let mut cells = String::new();
        for figure in &SUMMARY {
            let value = (figure.of)(&condition.all);
            let is_best = result.kind != Kind::Baseline
                && value.is_some()
                && value == self.best(figure, condition.columns);
            let class = if is_best { " class=\"best\"" } else { "" };
            let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
            let distinct = text((figure.of)(&condition.distinct));
            write!(cells, "<td{class}>{}<small>{distinct}</small></td>", text(value))
                .expect("a string takes every write");
        }
        let speed = condition
            .rows_per_second
            .map_or_else(|| "-".to_owned(), shown_count);
        let columns = condition.columns.words();
        page.add(format_args!(
            "<tr class=\"{class}\"><th class=\"word\" scope=\"row\">{name}</th><td \
             class=\"word\">{columns}<small>distinct</small></td>{cells}<td>{speed}</td></tr>"
        ));
    }

    /// The best value of a figure on all rows among what is no baseline.
    fn best(&self, figure: &Summary, columns: Columns) -> Option<f64> {
        let rivals = self
            .results
            .iter()
            .filter(|result| figure.is_merit && result.kind != Kind::Baseline);
        let conditions = rivals.flat_map(|result| &result.conditions);
        conditions
            .filter(|condition| condition.columns == columns)
            .filter_map(|condition| (figure.of)(&condition.all))
            .max_by(f64::total_cmp)
    }

    fn curves(&self, page: &mut Page) {
        page.add(format_args!(
            "<h2>Curves</h2>\n{}",
            pictures::overview(self, Columns::All)
        ));
        let without = self.results.iter().flat_map(|result| &result.conditions);
        if without
            .into_iter()
            .any(|condition| condition.columns == Columns::WithoutTtl)
        {
            page.add(format_args!("{}", pictures::overview(self, Columns::WithoutTtl)));
        }
    }

    fn result(&self, page: &mut Page, index: usize, result: &Outcome) {
        page.add(format_args!(
            "<section id=\"result-{index}\">\n<h3>{}</h3>",
            result_name(result)
        ));
        page.add(format_args!("<p>{}</p>", escape(&result.about)));
        if let Some(detector) = &result.detector {
            page.add(format_args!(
                "<p class=\"soft\">Version {}, package <code>{}</code>.</p>",
                escape(&detector.version),
                escape(&detector.digest)
            ));
        }
        for condition in &result.conditions {
            let speed = condition.rows_per_second.map_or_else(String::new, |speed| {
                format!(", scores {} rows a second", shown_count(speed))
            });
            page.add(format_args!(
                "<p class=\"soft\">With {}: reads {} columns{speed}.</p>",
                match condition.columns {
                    Columns::All => "all columns",
                    Columns::WithoutTtl => "the model trained without TTL",
                },
                condition.reads
            ));
        }
        if let Some(steered) = &result.steered {
            page.add(format_args!(
                "<p><span class=\"steered\">Steered by labels:</span> {}</p>",
                escape(steered)
            ));
        }
        if let Some(why) = &result.not_without_ttl {
            page.add(format_args!("<p class=\"soft\">{}</p>", escape(why)));
        }
        page.add(format_args!("{}", pictures::of_result(result)));
        result_tables::figures(page, result);
        result_tables::operating_points(page, result, self.flows_per_day);
        result_tables::recalls(page, result);
        if !result.notes.is_empty() {
            page.add(format_args!(
                "<h4>Notes of its card</h4>\n<ul class=\"text soft\">"
            ));
            for note in &result.notes {
                page.add(format_args!("<li>{}</li>", escape(note)));
            }
            page.add(format_args!("</ul>"));
        }
        page.add(format_args!("</section>"));
    }

    fn data(&self, page: &mut Page) {
        let data = &self.data;
        page.add(format_args!(
            "<section id=\"data\">\n<h2>The data</h2>\n<p>{} has {} rows, {} of them attacks. Counted once, {} rows are \
             left, {} of them attacks; {} vectors occur with both labels. Two rows are the same when all columns of {} and \
             the label are equal; a vector with both labels stays once on each side.</p>",
            escape(&data.file),
            shown_count(data.rows as f64),
            shown_count(data.attacks as f64),
            shown_count(data.distinct_rows as f64),
            shown_count(data.distinct_attacks as f64),
            shown_count(data.with_both_labels as f64),
            escape(&data.schema)
        ));
        if !self.training.is_empty() {
            page.add(format_args!(
                "<p>Ordinary training rows for baselines and for training again: {}.</p>",
                escape(&self.training.join(", "))
            ));
        }
        if !data.categories.is_empty() {
            page.add(format_args!(
                "<table>\n<thead><tr><th class=\"word\">kind of attack</th><th>rows</th><th>distinct</th></tr></thead>\n<tbody>"
            ));
            for kind in &data.categories {
                page.add(format_args!(
                    "<tr><td class=\"word\">{}</td><td>{}</td><td>{}</td></tr>",
                    escape(&kind.category),
                    shown_count(kind.rows as f64),
                    shown_count(kind.distinct as f64)
                ));
            }
            page.add(format_args!("</tbody>\n</table>"));
        }
        page.add(format_args!("<h3>What is odd about it</h3>\n<ol class=\"text\">"));
        for artefact in &self.artefacts {
            page.add(format_args!("<li>{}</li>", escape(artefact)));
        }
        page.add(format_args!("</ol>\n</section>"));
    }

    fn methods(&self, page: &mut Page) {
        page.add(format_args!(
            "<section id=\"methods\">\n<h2>How the figures are made</h2>\n<div class=\"text\">\n<p>Each detector runs as \
             the WebAssembly component that a sensor runs, over all rows in the order of the file. A row is taken for an \
             attack when its score is above the threshold; rows of equal score are taken together. AUROC counts ties half, \
             AUPRC is average precision; both are scikit-learn's. Figures on distinct rows use the scores of the first of \
             each kind.</p>"
        ));
        if self.bootstrap.samples > 0 {
            page.add(format_args!(
                "<p>Intervals are 95 % percentile bootstrap intervals over rows: {} samples, each with as many attacks and \
                 ordinary rows as there are, seed {}. They cover the chance in the choice of these rows. They do not cover \
                 another training, another network, or that flows of one attack resemble each other. Whiskers at the \
                 recalls are Wilson intervals.</p>",
                shown_count(f64::from(self.bootstrap.samples)),
                self.bootstrap.seed
            ));
        }
        page.add(format_args!(
            "<p>“Without TTL” is the same method with the same options and seed, trained again without sttl, dttl and \
             ct_state_ttl on the same rows. The best single column is an oracle: labels choose it. The Mahalanobis distance \
             (all principal components, covariance by Ledoit and Wolf) is fitted on four fifths of the ordinary training \
             rows; its thresholds come from the other fifth. The fused verdict is the mean or the maximum of the calibrated \
             scores of the detectors above it.</p>\n<p>False alerts a day are ordinary flows above the threshold before any \
             grouping, at {} ordinary flows a day. Rows per second are those of one core in this run.</p>\n</div>\n<h3>To \
             make this report again</h3>\n<pre>{}</pre>\n</section>\n<footer>{}</footer>",
            shown_count(self.flows_per_day),
            escape(&self.command),
            escape(&self.made_by)
        ));
    }
}

/// A figure of the summary.
struct Summary {
    of: fn(&Figures) -> Option<f64>,
    /// Whether more of it is better; the false-positive rate of a threshold is what it is.
    is_merit: bool,
}

const fn merit(of: fn(&Figures) -> Option<f64>) -> Summary {
    Summary { of, is_merit: true }
}

const fn rate(of: fn(&Figures) -> Option<f64>) -> Summary {
    Summary { of, is_merit: false }
}

const SUMMARY: [Summary; 9] = [
    merit(|figures| Some(figures.evaluation.auroc)),
    merit(|figures| Some(figures.evaluation.auprc)),
    merit(|figures| Some(figures.evaluation.at_fpr_5.tpr)),
    merit(|figures| Some(figures.evaluation.at_fpr_1.tpr)),
    merit(|figures| Some(figures.evaluation.at_fpr_0_1.tpr)),
    merit(|figures| figures.evaluation.at_p95.map(|point| point.f1)),
    rate(|figures| figures.evaluation.at_p95.map(|point| point.fpr)),
    merit(|figures| figures.evaluation.at_p99.map(|point| point.f1)),
    rate(|figures| figures.evaluation.at_p99.map(|point| point.fpr)),
];

fn result_name(result: &Outcome) -> String {
    let mark = if result.steered.is_some() {
        " <span class=\"steered\">*</span>"
    } else {
        ""
    };
    format!("{}{mark}", escape(&result.name))
}
