//! Templates: how the records of a set are laid out.

use super::element::Element;
use super::wire::{Bytes, Version};
use super::{PassedOver, Refusal};

/// The length of a field whose length stands in each record, in IPFIX.
const VARIABLE: u16 = u16::MAX;
/// Most fields of a template; the largest ones seen in the field have about 300.
const MOST_FIELDS: usize = 1_024;
/// Bytes for a template beside its fields.
const OVERHEAD: usize = 96;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    element: Element,
    length: u16,
}

/// The layout of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    fields: Box<[Field]>,
    /// Whether its records are about the exporter, not about flows.
    pub(super) is_options: bool,
    /// Bytes of a record; the least, where `varies`.
    length: usize,
    varies: bool,
    /// Whether its times count from the start of the exporter, and it does not say when that was.
    from_boot: bool,
}

/// What stands at the start of a template set.
pub(super) enum Definition {
    Template(u16, Template),
    /// Nothing to use; the next definition can be read.
    Skipped(PassedOver),
    Refused(Refusal),
}

impl Template {
    /// Reads the next definition of a set; `None` at its end.
    pub(super) fn read(bytes: &mut Bytes<'_>, version: Version, is_options: bool) -> Option<Definition> {
        // A definition begins with an id of 256 or more, padding does not.
        if bytes.0.len() < 4 || bytes.0.iter().all(|&byte| byte == 0) {
            return None;
        }
        let defined = Self::definition(bytes, version, is_options).unwrap_or_else(|| {
            bytes.0 = &[];
            Definition::Refused(Refusal::CutTemplate)
        });
        Some(defined)
    }

    fn definition(bytes: &mut Bytes<'_>, version: Version, is_options: bool) -> Option<Definition> {
        let (id, first) = (bytes.u16()?, bytes.u16()?);
        if version == Version::Ipfix && first == 0 {
            return Some(Definition::Skipped(PassedOver::Withdrawal));
        }
        // How many fields there are, and how many of these are the scope.
        let (count, scope) = match (is_options, version) {
            (false, _) => (usize::from(first), 0),
            (true, Version::Ipfix) => (usize::from(first), usize::from(bytes.u16()?)),
            (true, _) => {
                let (scope, others) = (usize::from(first) / 4, usize::from(bytes.u16()?) / 4);
                (scope + others, scope)
            }
        };
        let mut fields: Vec<Field> = Vec::with_capacity(count.min(64));
        let (mut length, mut varies) = (0, false);
        for place in 0..count {
            let (number, size) = (bytes.u16()?, bytes.u16()?);
            let is_enterprise = version == Version::Ipfix && number & 0x8000 != 0;
            let enterprise = if is_enterprise { bytes.u32()? } else { 0 };
            let number = if is_enterprise { number & 0x7fff } else { number };
            // The scopes of v9 have numbers of their own.
            let element = if version == Version::V9 && place < scope {
                Element::Other
            } else {
                Element::of(number, enterprise)
            };
            if size == VARIABLE && version == Version::Ipfix {
                // At least the byte that says how long the field is.
                (length, varies) = (length + 1, true);
            } else {
                length += usize::from(size);
            }
            let field = Field {
                element,
                length: size,
            };
            match fields.last_mut() {
                // What is skipped is skipped at once.
                Some(last) if element == Element::Other && last.skips_with(&field) => {
                    last.length += field.length;
                }
                _ => fields.push(field),
            }
        }
        if id < 256 {
            return Some(Definition::Refused(Refusal::TemplateId));
        }
        // Records of no bytes would never end.
        if length == 0 {
            return Some(Definition::Refused(Refusal::EmptyTemplate));
        }
        if count > MOST_FIELDS {
            return Some(Definition::Refused(Refusal::WideTemplate));
        }
        Some(Definition::Template(
            id,
            Self::new(fields, is_options, length, varies),
        ))
    }

    fn new(fields: Vec<Field>, is_options: bool, length: usize, varies: bool) -> Self {
        let has = |elements: &[Element]| fields.iter().any(|field| elements.contains(&field.element));
        let from_boot = !is_options
            && has(&[Element::StartUptime, Element::EndUptime])
            && !has(&[
                Element::BootMilliseconds,
                Element::StartSeconds,
                Element::StartMilliseconds,
                Element::StartNtp,
                Element::StartDelta,
            ]);
        Self {
            fields: fields.into_boxed_slice(),
            is_options,
            length,
            varies,
            from_boot,
        }
    }

    /// A layout that never changes.
    pub(super) fn fixed(fields: &[(Element, u16)]) -> Self {
        let length = fields.iter().map(|&(_, length)| usize::from(length)).sum();
        let field = |&(element, length): &(Element, u16)| Field { element, length };
        Self::new(fields.iter().map(field).collect(), false, length, false)
    }

    /// Whether times can be told only once the exporter has told when it started. Headers of NetFlow tell that.
    pub(super) fn needs_boot(&self, version: Version) -> bool {
        self.from_boot && version == Version::Ipfix
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        OVERHEAD + size_of_val(&*self.fields)
    }

    /// Takes one record and gives its fields to `each`; `None` when what is left is less than a record: padding, or what
    /// was cut off.
    pub(super) fn take(&self, bytes: &mut Bytes<'_>, mut each: impl FnMut(Element, &[u8])) -> Option<()> {
        if bytes.0.len() < self.length {
            return None;
        }
        let mut rest = *bytes;
        for field in &self.fields {
            let length = if field.length == VARIABLE && self.varies {
                match rest.u8()? {
                    u8::MAX => usize::from(rest.u16()?),
                    length => usize::from(length),
                }
            } else {
                usize::from(field.length)
            };
            let value = rest.take(length)?;
            if field.element != Element::Other {
                each(field.element, value);
            }
        }
        *bytes = rest;
        Some(())
    }

    /// How many records a set has.
    pub(super) fn count(&self, set: &[u8]) -> u32 {
        if !self.varies {
            // A set has fewer than 2^16 bytes.
            return u32::try_from(set.len() / self.length).unwrap_or(u32::MAX);
        }
        let (mut bytes, mut count) = (Bytes(set), 0);
        while self.take(&mut bytes, |_, _| ()).is_some() {
            count += 1;
        }
        count
    }
}

impl Field {
    fn skips_with(&self, next: &Self) -> bool {
        let is_plain = |field: &Self| field.length != VARIABLE && field.element == Element::Other;
        is_plain(self)
            && is_plain(next)
            && self
                .length
                .checked_add(next.length)
                .is_some_and(|sum| sum < VARIABLE)
    }
}
