//! JSON objects in objects, built by paths.

use serde_json::{Map, Value};

/// An object that grows by paths.
#[derive(Debug, Default)]
pub(crate) struct Tree(Map<String, Value>);

impl Tree {
    /// Puts a value at a path, as `source.port`. What says nothing is left out: null, and empty text.
    ///
    /// A path through something that is no object is a mistake of the caller; nothing is put then.
    pub(crate) fn put(&mut self, path: &str, value: impl Into<Value>) {
        let value = value.into();
        if value.is_null() || value.as_str() == Some("") {
            return;
        }
        let mut object = &mut self.0;
        let mut path = path;
        while let Some((first, rest)) = path.split_once('.') {
            let inner = object
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()))
                .as_object_mut();
            debug_assert!(inner.is_some(), "{first} is no object");
            let Some(inner) = inner else { return };
            (object, path) = (inner, rest);
        }
        object.insert(path.to_owned(), value);
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// The number in its shortest form, as the API writes it; null where it is none.
pub(crate) fn number(number: f32) -> Value {
    // By way of text: 0.93 as `f32` is 0.9300000071525574 as `f64`.
    let shortest = number.to_string().parse::<f64>();
    shortest.map_or(Value::Null, Value::from)
}

/// The count as a whole number of 64 bits with a sign, which is what receivers have.
pub(crate) fn long(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}
