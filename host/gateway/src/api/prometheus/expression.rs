//! The part of Prometheus's language that is understood: numbers and their sum, a plain selector, and the sum of a selector
//! by labels.

use netsage_api_types::{SeriesLabel, SeriesName};
use netsage_store::SeriesMatcher;

use super::NAME;
use super::reply::Failure;

/// Longest text that is looked at, bytes.
const LONGEST: usize = 16 << 10;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A number.
    Number(f64),
    /// Series of the store.
    Selection(Selection),
    /// What no series is.
    Nothing,
}

/// Series of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    /// What is counted.
    pub(super) name: SeriesName,
    /// The labels that a sum keeps; `None` without a sum.
    pub(super) by: Option<Vec<SeriesLabel>>,
    /// Conditions.
    pub(super) matchers: Vec<SeriesMatcher>,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Expression, Failure> {
    if text.len() > LONGEST {
        return Err(Failure::bad_data(format!(
            "the query is longer than {LONGEST} bytes"
        )));
    }
    let mut parser = Parser { text, rest: text };
    if let Some(number) = parser.numbers()? {
        return Ok(Expression::Number(number));
    }
    let found = parser.sum_or_selector()?;
    match parser.skip().is_empty() {
        true => Ok(found),
        false => Err(parser.refuse("the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// What is not read yet.
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn refuse(&self, expected: &str) -> Failure {
        Failure::bad_data(format!(
            "parse error at character {}: expected {expected}; here a plain selector is understood, `name{{label=\"value\",label=~\"one|other\"}}`, and `sum by (label) (selector)`",
            self.text.chars().count() - self.rest.chars().count() + 1
        ))
    }

    /// Passes over white space.
    fn skip(&mut self) -> &'t str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Takes a sign when it comes next.
    fn takes(&mut self, sign: &str) -> bool {
        match self.skip().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, sign: &str) -> Result<(), Failure> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(self.refuse(&format!("`{sign}`"))),
        }
    }

    /// A name of a series or a label; empty when none comes next.
    fn word(&mut self) -> &'t str {
        let rest = self.skip();
        let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | ':');
        let end = rest.find(|sign| !is_part(sign)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        self.rest = behind;
        word
    }

    /// The sum of numbers that are all there is; `None` when no number comes first.
    fn numbers(&mut self) -> Result<Option<f64>, Failure> {
        if !self
            .skip()
            .starts_with(|sign: char| sign.is_ascii_digit() || sign == '.')
        {
            return Ok(None);
        }
        let mut sum = 0.0;
        for part in self.rest.split('+') {
            match part.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => sum += number,
                _ => return Err(self.refuse("numbers with `+` between them")),
            }
        }
        Ok(Some(sum))
    }

    fn sum_or_selector(&mut self) -> Result<Expression, Failure> {
        let before = self.rest;
        if self.word() != "sum" {
            self.rest = before;
            return self.selector();
        }
        let mut by = self.by()?;
        self.take("(")?;
        let found = self.selector()?;
        self.take(")")?;
        if by.is_none() {
            by = self.by()?;
        }
        Ok(match found {
            Expression::Selection(selection) => {
                let known = |label: &SeriesLabel| selection.name.labels().contains(label);
                let by = by.unwrap_or_default().into_iter().filter(known).collect();
                Expression::Selection(Selection {
                    by: Some(by),
                    ..selection
                })
            }
            other => other,
        })
    }

    /// `by (label, label)`; labels that no series has are left out, as they are empty.
    fn by(&mut self) -> Result<Option<Vec<SeriesLabel>>, Failure> {
        let before = self.rest;
        if self.word() != "by" {
            self.rest = before;
            return Ok(None);
        }
        self.take("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            let word = self.word();
            if word.is_empty() {
                return Err(self.refuse("the name of a label"));
            }
            let label = SeriesLabel::ALL.into_iter().find(|label| label.name() == word);
            labels.extend(label.filter(|label| !labels.contains(label)));
            if !self.takes(",") {
                self.take(")")?;
                break;
            }
        }
        Ok(Some(labels))
    }

    fn selector(&mut self) -> Result<Expression, Failure> {
        let mut name = Some(self.word())
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        let mut matchers = Vec::new();
        let mut is_nothing = false;
        if self.takes("{") {
            while !self.takes("}") {
                let label = self.word();
                if label.is_empty() {
                    return Err(self.refuse("the name of a label"));
                }
                let (is_wanted, values) = self.condition()?;
                if label == NAME {
                    name = match values {
                        Values::Among(values) if is_wanted && values.len() == 1 && name.is_none() => {
                            values.into_iter().next()
                        }
                        _ => return Err(self.refuse("one name of a series")),
                    };
                } else if let Some(label) = SeriesLabel::ALL.into_iter().find(|known| known.name() == label) {
                    matchers.push(values.matcher(label, is_wanted));
                } else {
                    // A label that no series has is empty.
                    is_nothing |= values.has("") != is_wanted;
                }
                if !self.takes(",") {
                    self.take("}")?;
                    break;
                }
            }
        } else if name.is_none() {
            return Err(self.refuse("the name of a series"));
        }
        let Some(name) = name else {
            return Err(self.refuse("the name of a series"));
        };
        let known = SeriesName::ALL.into_iter().find(|known| known.name() == name);
        Ok(match known {
            Some(name) if !is_nothing => Expression::Selection(Selection {
                name,
                by: None,
                matchers,
            }),
            _ => Expression::Nothing,
        })
    }

    /// What stands behind the name of a label: whether its value is wanted, and which ones are meant.
    fn condition(&mut self) -> Result<(bool, Values), Failure> {
        let (is_wanted, is_pattern) = if self.takes("=~") {
            (true, true)
        } else if self.takes("!~") {
            (false, true)
        } else if self.takes("!=") {
            (false, false)
        } else if self.takes("=") {
            (true, false)
        } else {
            return Err(self.refuse("one of `=`, `!=`, `=~` and `!~`"));
        };
        let text = self.string()?;
        let values = match is_pattern {
            true => alternatives(&text)
                .ok_or_else(|| self.refuse("a pattern of plain texts with `|` between them"))?,
            false => Values::Among(vec![text]),
        };
        Ok((is_wanted, values))
    }

    /// A text in quotes.
    fn string(&mut self) -> Result<String, Failure> {
        let Some(quote) = self
            .skip()
            .chars()
            .next()
            .filter(|sign| matches!(sign, '"' | '\'' | '`'))
        else {
            return Err(self.refuse("a text in quotes"));
        };
        let mut text = String::new();
        let mut signs = self.rest.char_indices().skip(1);
        while let Some((place, sign)) = signs.next() {
            match sign {
                sign if sign == quote => {
                    self.rest = &self.rest[place + 1..];
                    return Ok(text);
                }
                '\\' if quote != '`' => match signs.next().map(|(_, sign)| sign) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(sign @ ('\\' | '"' | '\'')) => text.push(sign),
                    _ => {
                        return Err(
                            self.refuse("one of \\\\, \\\", \\', \\n, \\r and \\t behind a backslash")
                        );
                    }
                },
                sign => text.push(sign),
            }
        }
        Err(self.refuse("the end of a text in quotes"))
    }
}

/// The values that a condition names.
#[derive(Debug, PartialEq, Eq)]
enum Values {
    /// These.
    Among(Vec<String>),
    /// Every one.
    Any,
    /// Every one but the empty one.
    Some,
}

impl Values {
    fn has(&self, value: &str) -> bool {
        match self {
            Self::Among(values) => values.iter().any(|known| known == value),
            Self::Any => true,
            Self::Some => !value.is_empty(),
        }
    }

    fn matcher(self, label: SeriesLabel, is_wanted: bool) -> SeriesMatcher {
        let (is_one_of, values) = match self {
            Self::Among(values) => (is_wanted, values),
            // None of no values is any, and one of no values is none.
            Self::Any => (!is_wanted, Vec::new()),
            Self::Some => (!is_wanted, vec![String::new()]),
        };
        SeriesMatcher {
            label,
            is_one_of,
            values,
        }
    }
}

/// The plain texts of a pattern, in parentheses or not; `None` for any other pattern.
fn alternatives(pattern: &str) -> Option<Values> {
    let inner = pattern
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(pattern);
    match inner {
        ".*" => return Some(Values::Any),
        ".+" => return Some(Values::Some),
        _ => {}
    }
    let mut values = vec![String::new()];
    let mut signs = inner.chars();
    while let Some(sign) = signs.next() {
        let sign = match sign {
            '|' => {
                values.push(String::new());
                continue;
            }
            '\\' => signs.next().filter(|sign| sign.is_ascii_punctuation())?,
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            sign => sign,
        };
        values.last_mut()?.push(sign);
    }
    Some(Values::Among(values))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;
    use SeriesLabel::{Detector, Network, Severity, State};

    fn one_of(label: SeriesLabel, is_one_of: bool, values: &[&str]) -> SeriesMatcher {
        SeriesMatcher {
            label,
            is_one_of,
            values: values.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn numbers_are_added_up() {
        let check = |text: &str, expected: Option<f64>| match (parse(text), expected) {
            (Ok(Expression::Number(found)), Some(expected)) => {
                assert!((found - expected).abs() < 1e-9, "{text}");
            }
            (Err(_), None) => {}
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("1+1", Some(2.0));
        check(" 1 + 2.5+ .5", Some(4.0));
        check("7", Some(7.0));
        for wrong in ["1+", "1-1", "1+x", "1e999", "1 1"] {
            check(wrong, None);
        }
    }

    #[test]
    fn selectors_are_read() {
        let check = |text: &str, name: SeriesName, by: Option<&[SeriesLabel]>, matchers: &[SeriesMatcher]| {
            let expected = Selection {
                name,
                by: by.map(<[_]>::to_vec),
                matchers: matchers.to_vec(),
            };
            match parse(text) {
                Ok(Expression::Selection(found)) => assert_eq!(found, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        };
        use SeriesName::{AlertsBegun, Flows};
        check("netsage_store_flows", Flows, None, &[]);
        check(" netsage_store_flows{ } ", Flows, None, &[]);
        check("{__name__=\"netsage_store_flows\"}", Flows, None, &[]);
        let alerts = |conditions: &str| format!("netsage_store_alerts_begun{{{conditions}}}");
        for (conditions, expected) in [
            ("severity=\"high\"", one_of(Severity, true, &["high"])),
            ("severity != 'high' ,", one_of(Severity, false, &["high"])),
            (
                "severity=~\"high|critical\"",
                one_of(Severity, true, &["high", "critical"]),
            ),
            (
                "severity!~\"(high|critical)\"",
                one_of(Severity, false, &["high", "critical"]),
            ),
            (
                "detector=~\"half\\\\-space\\\\.a\"",
                one_of(Detector, true, &["half-space.a"]),
            ),
            ("detector=`a\\b`", one_of(Detector, true, &["a\\b"])),
            ("network=\"a\\\"}\\n\"", one_of(Network, true, &["a\"}\n"])),
            ("network=~\".*\"", one_of(Network, false, &[])),
            ("network!~\".+\"", one_of(Network, true, &[""])),
            ("network=~\"|a\"", one_of(Network, true, &["", "a"])),
            ("network=\"Zürich\"", one_of(Network, true, &["Zürich"])),
        ] {
            check(&alerts(conditions), AlertsBegun, None, &[expected]);
        }
        // A label that no series has.
        check(&alerts("job=\"\",instance!=\"a\""), AlertsBegun, None, &[]);
        let two = [one_of(State, true, &["new"]), one_of(Severity, false, &["low"])];
        check(
            &alerts("state=\"new\",severity!=\"low\""),
            AlertsBegun,
            None,
            &two,
        );
        for text in [
            "sum by (severity,detector) (netsage_store_alerts_begun)",
            "sum(netsage_store_alerts_begun) by (severity, job, detector, )",
        ] {
            check(text, AlertsBegun, Some(&[Severity, Detector]), &[]);
        }
        check("sum(netsage_store_alerts_begun)", AlertsBegun, Some(&[]), &[]);
        check("sum by (severity) (netsage_store_flows)", Flows, Some(&[]), &[]);
    }

    #[test]
    fn what_no_series_is_gives_nothing() {
        for text in [
            "up",
            "netsage_flows_total{job=\"a\"}",
            "netsage_store_flows{job=\"a\"}",
            "sum(netsage_store_flows{job!=\"\"})",
        ] {
            assert_eq!(parse(text).ok(), Some(Expression::Nothing), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "{}",
            "{severity=\"a\"}",
            "netsage_store_flows[5m]",
            "rate(netsage_store_flows[5m])",
            "netsage_store_flows offset 5m",
            "netsage_store_flows + 1",
            "netsage_store_flows{severity}",
            "netsage_store_flows{severity=high}",
            "netsage_store_flows{severity=\"high}",
            "netsage_store_flows{severity=\"\\x\"}",
            "netsage_store_flows{severity=~\"h.*\"}",
            "netsage_store_flows{severity=~\"a(b|c)\"}",
            "netsage_store_flows{,}",
            "netsage_store_flows{__name__=\"netsage_store_flows\"}",
            "{__name__=~\"netsage.*\"}",
            "sum by severity (netsage_store_flows)",
            "sum by (severity) netsage_store_flows",
            "avg(netsage_store_flows)",
            &"a".repeat(LONGEST + 1),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", tail in "[a-z_{}()=~!\"'`|,\\\\ 0-9+]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&tail);
            let _ = parse(&format!("netsage_store_flows{{{tail}"));
        }

        #[test]
        fn any_value_is_read_as_it_was(value in any::<String>()) {
            let quoted = serde_json::to_string(&value.replace(char::is_control, "")).expect("JSON");
            let text = format!("netsage_store_alerts_begun{{network={quoted}}}");
            let found = parse(&text);
            prop_assert!(matches!(
                &found,
                Ok(Expression::Selection(selection))
                    if selection.matchers[0].values == [value.replace(char::is_control, "")]
            ), "{text}: {found:?}");
        }
    }
}
