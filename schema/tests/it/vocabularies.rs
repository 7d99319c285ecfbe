//! What every schema and vocabulary must hold to.

use netsage_schema::Schema;

#[test]
fn names_and_terms_are_distinct_plain_words() {
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b'`'))
    };
    for schema in Schema::ALL {
        for (position, column) in schema.columns.iter().enumerate() {
            assert!(plain(column.name), "{:?}", column.name);
            assert_eq!(
                schema.index_of(column.name),
                Some(position),
                "{} stands twice",
                column.name
            );
            let Some(vocabulary) = column.vocabulary() else {
                continue;
            };
            for (code, term) in vocabulary.terms.iter().enumerate() {
                assert!(plain(term), "{} has the term {term:?}", vocabulary.id);
                assert_eq!(
                    vocabulary.code_of(term).map(usize::from),
                    Some(code),
                    "{term} stands twice"
                );
                for spelling in [term.to_ascii_lowercase(), term.to_ascii_uppercase()] {
                    assert_eq!(
                        vocabulary.code_of_any_case(&spelling).map(usize::from),
                        Some(code)
                    );
                }
            }
        }
    }
}

#[test]
fn the_dataset_has_42_columns() {
    assert_eq!(netsage_schema::UNSW_NB15.width(), 42);
}
