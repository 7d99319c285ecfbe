//! Rows whose values spread over what the columns can hold, so that trees are walked along many paths.

use netsage_schema::{Kind, Rows, UNSW_NB15};

pub(crate) fn rows(count: usize) -> Rows {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Rows::with_capacity(&UNSW_NB15, count);
    for _ in 0..count {
        let row: Vec<f64> = UNSW_NB15
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Nominal(vocabulary) => (random() * vocabulary.terms.len() as f64).floor(),
                Kind::Flag => random().round(),
                Kind::Count => 10_f64.powf(random() * 5.0).floor() - 1.0,
                Kind::Continuous => 10_f64.powf(random() * 8.0 - 4.0),
            })
            .collect();
        rows.push(&row);
    }
    rows
}
