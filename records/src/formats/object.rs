//! The members of a JSON object that a format asks for, without a copy of any of them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;

/// The text of each member asked for; `None` for those that are not there or null.
pub(super) type Members<'a, const N: usize> = [Option<&'a RawValue>; N];

/// Reads an object. `place_of` says where a member goes, by its name, and `None` for the others, which may hold anything,
/// also bytes that are no UTF-8. Of a member that stands twice the last one counts.
///
/// # Errors
/// When the text is no JSON object.
pub(super) fn members<'a, const N: usize>(
    json: &'a [u8],
    place_of: impl Fn(&str) -> Option<usize>,
) -> Result<Members<'a, N>, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let members = deserializer.deserialize_map(Object(place_of));
    match (members, deserializer.end()) {
        (Ok(members), Ok(())) => Ok(members),
        _ => Err(Refusal::NotJson),
    }
}

/// The string or number that a member holds, as text.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    number(raw).map(Cow::Borrowed).or_else(|| string(raw))
}

/// The number that a member holds, as it is written.
pub(super) fn number(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        .then_some(text)
}

/// The string that a member holds. Only one with escapes is copied.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

struct Object<F, const N: usize>(F);

impl<'de, F: Fn(&str) -> Option<usize>, const N: usize> Visitor<'de> for Object<F, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = [None; N];
        while let Some(place) = map.next_key_seed(Name(&self.0))? {
            match place.and_then(|place| members.get_mut(place)) {
                Some(member) => *member = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// The place of a member, by its name.
struct Name<'f, F>(&'f F);

impl<'de, F: Fn(&str) -> Option<usize>> DeserializeSeed<'de> for Name<'_, F> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> Option<usize>> Visitor<'_> for Name<'_, F> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name() {
        let check = |json: &[u8], expected: Result<[Option<&str>; 2], Refusal>| {
            let read = members::<2>(json, |name| match name {
                "a" => Some(0),
                "b" => Some(1),
                _ => None,
            });
            let read = read.map(|members| members.map(|member| member.map(RawValue::get)));
            assert_eq!(read, expected, "{:?}", String::from_utf8_lossy(json));
        };
        check(b"{}", Ok([None, None]));
        check(
            br#"{"b": "x\n", "c": {"a": 7}, "a":-1.5e3}"#,
            Ok([Some("-1.5e3"), Some("\"x\\n\"")]),
        );
        check(br#"{"a": null, "\u0062": [1, 2]}"#, Ok([None, Some("[1, 2]")]));
        check(br#"{"a": 1, "a": 2}"#, Ok([Some("2"), None]));
        check(b"{\"c\": \"\xff\xfe\", \"a\": 1}", Ok([Some("1"), None]));
        for broken in [
            &b""[..],
            b"[]",
            b"{\"a\": 1",
            b"{\"a\": 1} x",
            b"{\"a\": 1}{}",
            b"1",
            b"null",
        ] {
            check(broken, Err(Refusal::NotJson));
        }
        let deep = format!("{{\"c\": {}, \"a\": 1}}", "[".repeat(9_000) + &"]".repeat(9_000));
        check(deep.as_bytes(), Ok([Some("1"), None]));
    }
}
