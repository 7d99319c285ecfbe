//! The feature schema that a session is opened with.

use crate::Error;

/// The schema of all rows of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its name, e.g. `flow-v1`.
    pub id: String,
    /// Its version, from 1.
    pub version: u32,
    /// Every column that can be asked for.
    pub columns: Vec<Column>,
}

/// A column of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Unique within the schema, e.g. `dur`.
    pub name: String,
    /// Unit of the values, e.g. `s`; empty where there is none.
    pub unit: String,
    /// What the values are.
    pub kind: Kind,
}

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Codes of these terms, in rising order.
    Nominal(Vec<Term>),
    /// Whole numbers of things, 0 or more.
    Count,
    /// Measured quantities.
    Continuous,
    /// 0 or 1.
    Flag,
}

/// A term of a nominal column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The number that stands for it in rows.
    pub code: u32,
    /// As people write it, e.g. `tcp`.
    pub name: String,
}

impl Schema {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether a model that was trained on `trained`, e.g. `flow-v1@1`, can score rows of this schema.
    ///
    /// # Errors
    /// [`Error::BadArtifact`] when the schema is another, or of another version.
    pub fn check_trained(&self, trained: &str) -> Result<(), Error> {
        let (id, version) = trained.rsplit_once('@').unwrap_or((trained, ""));
        if id == self.id && version.parse() == Ok(self.version) {
            return Ok(());
        }
        Err(Error::BadArtifact(format!(
            "it was trained on rows of {trained}, and these are of {}@{}",
            self.id, self.version
        )))
    }
}

impl Column {
    /// The code of a term, for a nominal column that has it.
    pub fn code_of(&self, term: &str) -> Option<u32> {
        let Kind::Nominal(terms) = &self.kind else {
            return None;
        };
        terms
            .iter()
            .find(|known| known.name == term)
            .map(|known| known.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_versions() {
        let tcp = Term {
            code: 6,
            name: "tcp".to_owned(),
        };
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            unit: String::new(),
            kind,
        };
        let schema = Schema {
            id: "flow-v1".to_owned(),
            version: 2,
            columns: vec![
                column("proto", Kind::Nominal(vec![tcp])),
                column("dur", Kind::Count),
            ],
        };
        let code = |name: &str, term: &str| schema.column(name).and_then(|column| column.code_of(term));
        assert_eq!(code("proto", "tcp"), Some(6));
        assert_eq!(code("proto", "udp"), None);
        assert_eq!(code("dur", "tcp"), None);
        assert_eq!(code("none", "tcp"), None);
        let check = |trained: &str, fits: bool| {
            assert_eq!(schema.check_trained(trained).is_ok(), fits, "{trained}");
        };
        check("flow-v1@2", true);
        check("flow-v1@1", false);
        check("flow@2", false);
        check("flow-v1", false);
        check("", false);
    }
}
