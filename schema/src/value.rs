//! From values in files and requests to the numbers in rows.
//!
//! Values from a CSV and from the API are converted here, so that both accept and refuse the same values.

use crate::nearest::nearest;
use crate::{Column, Kind};

/// Why a value does not fit its column. The message names neither line nor column: the caller knows them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// The text is not a decimal number.
    #[error("`{value}` is not a number{}", if .value.contains(',') {
        "; write a point before the decimals, and nothing between the thousands"
    } else {
        ""
    })]
    NotANumber {
        /// The text.
        value: String,
    },
    /// NaN or infinite.
    #[error("`{value}` is not a finite number")]
    NotFinite {
        /// The text.
        value: String,
    },
    /// Features are counts, sizes and times: none is below zero.
    #[error("{} is negative", shown(*.value))]
    Negative {
        /// The number.
        value: f64,
    },
    /// A nominal column got a term that its vocabulary does not have.
    #[error("`{value}` is not a term of {vocabulary}{}", hint(.nearest))]
    UnknownTerm {
        /// The term.
        value: String,
        /// Name of the vocabulary.
        vocabulary: &'static str,
        /// The term that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A nominal column got a number that is no code of its vocabulary.
    #[error("{} is not a code of {vocabulary}, which has the codes 0 to {last}", shown(*.value))]
    UnknownCode {
        /// The number.
        value: f64,
        /// Name of the vocabulary.
        vocabulary: &'static str,
        /// The highest code.
        last: usize,
    },
}

/// The end of a message that suggests a name.
pub(crate) fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// A row's value as a detector gets it: the nearest `f32`, and the largest one of either sign for what lies beyond. `None`
/// for what is not a finite number, which costs the row.
///
/// Training, scoring and the browser narrow by this function and no other.
#[inline]
pub fn narrow(value: f64) -> Option<f32> {
    value
        .is_finite()
        .then(|| (value as f32).clamp(f32::MIN, f32::MAX))
}

impl Column {
    /// The value of a text as it stands in a CSV: a term of a nominal column in any case, a decimal number of any other; of
    /// flags and counts also `true` and `false`, `yes` and `no`.
    ///
    /// # Errors
    /// When the term is unknown, or the text is not a finite number of 0 or more.
    pub fn value_from_text(&self, text: &str) -> Result<f64, ValueError> {
        match self.kind {
            Kind::Nominal(vocabulary) => match vocabulary.code_of_any_case(text) {
                Some(code) => Ok(f64::from(code)),
                None => Err(ValueError::UnknownTerm {
                    value: shorten(text),
                    vocabulary: vocabulary.id,
                    nearest: nearest(text, vocabulary.terms.iter().copied()),
                }),
            },
            Kind::Count | Kind::Continuous | Kind::Flag => {
                let number = match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => number,
                    Ok(_) => return Err(ValueError::NotFinite { value: shorten(text) }),
                    Err(_) => match truth(text).filter(|_| self.kind != Kind::Continuous) {
                        Some(truth) => f64::from(u8::from(truth)),
                        None => return Err(ValueError::NotANumber { value: shorten(text) }),
                    },
                };
                self.value_from_number(number)
            }
        }
    }

    /// The value of a number: for a nominal column the code of a term.
    ///
    /// # Errors
    /// When the number is not finite, negative, or no code of the column's vocabulary.
    pub fn value_from_number(&self, number: f64) -> Result<f64, ValueError> {
        if !number.is_finite() {
            return Err(ValueError::NotFinite {
                value: number.to_string(),
            });
        }
        match self.kind {
            Kind::Nominal(vocabulary) => {
                let codes = vocabulary.terms.len();
                if number.fract() == 0.0 && (0.0..codes as f64).contains(&number) {
                    return Ok(number);
                }
                let last = codes.saturating_sub(1);
                Err(ValueError::UnknownCode {
                    value: number,
                    vocabulary: vocabulary.id,
                    last,
                })
            }
            Kind::Count | Kind::Continuous | Kind::Flag if number < 0.0 => {
                Err(ValueError::Negative { value: number })
            }
            Kind::Count | Kind::Continuous | Kind::Flag => Ok(number),
        }
    }

    /// The term of a nominal column's value; `None` for other columns and for numbers that are no code.
    pub fn term(&self, value: f64) -> Option<&'static str> {
        let vocabulary = self.vocabulary()?;
        // A float-to-integer cast saturates, and what has been cut off is compared afterwards.
        let code = value as u16;
        (f64::from(code) == value)
            .then(|| vocabulary.term(code))
            .flatten()
    }
}

/// What a word says that programs write in place of 1 and 0.
pub(crate) fn truth(word: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 2]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    match word {
        _ if is_one_of(["true", "yes"]) => Some(true),
        _ if is_one_of(["false", "no"]) => Some(false),
        _ => None,
    }
}

/// A number without hundreds of digits.
fn shown(number: f64) -> String {
    if number.abs() < 1e15 {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

/// A message stays readable when the value is not.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}
