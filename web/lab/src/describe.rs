//! Rows and explanations in words, for the page.

use netsage_api_types::Contribution;
use netsage_schema::{Column, Summary};
use serde::{Deserialize, Serialize};

use crate::columns::Chosen;
use crate::dataset::{Dataset, UNKNOWN};

/// One row for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowView {
    /// Its number, from 0.
    pub row: u32,
    /// `source:port -> destination:port`, when the file says so.
    pub endpoints: Option<String>,
    /// `proto/service`.
    pub kind: String,
    /// State of the connection.
    pub state: String,
    /// Packets, both directions.
    pub packets: f64,
    /// Bytes, both directions.
    pub bytes: f64,
    /// Duration in seconds.
    pub duration: f64,
    /// Category of attack, or behaviour for the sample; empty when unknown.
    pub category: String,
    /// Whether it was an attack, when known.
    pub attack: Option<bool>,
}

/// The views of the rows that exist.
pub fn rows(data: &Dataset, rows: &[u32]) -> Vec<RowView> {
    rows.iter().filter_map(|&row| view(data, row)).collect()
}

fn view(data: &Dataset, row: u32) -> Option<RowView> {
    let index = usize::try_from(row)
        .ok()
        .filter(|&index| index < data.rows.len())?;
    let values = data.rows.row(index);
    let schema = data.rows.schema();
    let shown = Summary::of(schema);
    let total = |[source, destination]: [usize; 2]| values[source] + values[destination];
    let term = |position: usize| value_text(&schema.columns[position], values[position]);
    let endpoints = data.identities.get(index).map(|identity| {
        let source = endpoint(identity.source, identity.source_port);
        let destination = endpoint(identity.destination, identity.destination_port);
        format!("{source} → {destination}")
    });
    let category = data.categories.get(index);
    let category = category.and_then(|&category| data.category_names.get(usize::from(category)));
    Some(RowView {
        row,
        endpoints,
        kind: format!("{}/{}", term(shown.proto), term(shown.service)),
        state: term(shown.state),
        packets: total(shown.packets),
        bytes: total(shown.bytes),
        duration: values[shown.duration],
        category: category.cloned().unwrap_or_default(),
        attack: data
            .labels
            .get(index)
            .filter(|&&label| label != UNKNOWN)
            .map(|&label| label == 1),
    })
}

fn endpoint(address: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// The explanation of one row. `columns` are positions in `chosen`, context behind them. Of context only the name says
/// something to people.
pub fn contributions(
    data: &Dataset,
    chosen: &Chosen,
    row: usize,
    columns: &[u32],
    weights: &[f32],
    typical: &[f32],
) -> Vec<Contribution> {
    if row >= data.rows.len() {
        return Vec::new();
    }
    let values = data.rows.row(row);
    let entries = columns.iter().zip(weights).zip(typical);
    entries
        .filter_map(|((&column, &weight), &typical)| {
            let number = usize::try_from(column).ok()?;
            let Some(position) = chosen.column(number) else {
                return Some(Contribution {
                    column: chosen.context(number)?.to_owned(),
                    unit: String::new(),
                    weight,
                    value: String::new(),
                    typical: String::new(),
                });
            };
            let column = &data.rows.schema().columns[position];
            Some(Contribution {
                column: column.name.to_owned(),
                unit: column.unit.to_owned(),
                weight,
                value: value_text(column, values[position]),
                typical: value_text(column, f64::from(typical)),
            })
        })
        .collect()
}

/// A value as people write it: a term for a nominal column, otherwise at most four significant digits.
fn value_text(column: &Column, value: f64) -> String {
    if column.vocabulary().is_some() {
        return column
            .term(value.round())
            .map_or_else(|| value.to_string(), str::to_owned);
    }
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0);
    // Clamped to 0..=9 just before.
    let text = format!("{value:.*}", digits as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsage_schema::UNSW_NB15;

    fn check(column: &str, value: f64, expected: &str) {
        let column = &UNSW_NB15.columns[UNSW_NB15.index_of(column).unwrap()];
        assert_eq!(value_text(column, value), expected);
    }

    #[test]
    fn writes_values_for_people() {
        check("proto", 0.0, "tcp");
        check("service", 1.2, "dns");
        check("proto", 9e9, "9000000000");
        check("spkts", 12.0, "12");
        check("dur", 0.123_456, "0.1235");
        check("dur", 1234.567, "1235");
        check("dur", 1e-12, "0");
        check("sload", 2.5e18, "2500000000000000000");
    }

    #[test]
    fn leaves_out_what_does_not_exist() {
        let data = Dataset::empty("csv", &UNSW_NB15);
        assert!(rows(&data, &[0, 7]).is_empty());
        assert!(contributions(&data, &Chosen::default(), 0, &[0], &[1.0], &[1.0]).is_empty());
    }
}
