//! Vocabularies of nominal columns.

/// A closed, versioned list of terms. A term's code is its position; terms are only ever appended.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Name and version, e.g. `unsw-nb15/proto@1`.
    pub id: &'static str,
    /// The terms, lower or upper case as the dataset writes them.
    pub terms: &'static [&'static str],
}

impl Vocabulary {
    /// The code of a term, matched exactly.
    pub fn code_of(&self, term: &str) -> Option<u16> {
        // Vocabularies are ordered by how often a term occurs, so the search is short in practice.
        let position = self.terms.iter().position(|&known| known == term)?;
        u16::try_from(position).ok()
    }

    /// The code of a term in capital or small letters; no two terms of a vocabulary differ in that alone.
    pub fn code_of_any_case(&self, term: &str) -> Option<u16> {
        self.code_of(term).or_else(|| {
            let mut terms = self.terms.iter();
            let position = terms.position(|known| known.eq_ignore_ascii_case(term))?;
            u16::try_from(position).ok()
        })
    }

    /// The term of a code.
    pub fn term(&self, code: u16) -> Option<&'static str> {
        self.terms.get(usize::from(code)).copied()
    }
}
