//! Zeek's JSON form: one object a line, its members named as the columns.
//!
//! Streams of several logs say which log a record is of by a member `_path`, or by an object of one member around it, whose
//! name is the log. Without either, a record of `conn.log` is known by the members that no other log has.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Values, WIDTH, column, column_of, other_log};
use crate::formats::object::{self, Members};
use crate::formats::refusal::{PassedOver, Refusal, Skip};

/// Members beside the columns.
const PATH: usize = WIDTH;
const CONN: usize = WIDTH + 1;
const MEMBERS: usize = WIDTH + 2;

pub(super) fn values(json: &[u8]) -> Result<Values<'_>, Skip> {
    let members: Members<'_, MEMBERS> = members(json)?;
    if member(&members, column::TS).is_none() {
        if let Some(inner) = member(&members, CONN) {
            return flow(&self::members(inner.get().as_bytes())?);
        }
        if let Some(log) = wrapped_log(json) {
            return Err(Skip::Passed(PassedOver::Log(log)));
        }
    }
    flow(&members)
}

fn members(json: &[u8]) -> Result<Members<'_, MEMBERS>, Refusal> {
    object::members(json, |name| match name {
        "_path" => Some(PATH),
        "conn" => Some(CONN),
        _ => column_of(name.as_bytes()),
    })
}

fn member<'a>(members: &Members<'a, MEMBERS>, place: usize) -> Option<&'a RawValue> {
    members.get(place).copied().flatten()
}

fn flow<'a>(members: &Members<'a, MEMBERS>) -> Result<Values<'a>, Skip> {
    match member(members, PATH).and_then(object::string) {
        Some(path) => {
            if let Some(log) = other_log(path.as_bytes()) {
                return Err(Skip::Passed(PassedOver::Log(log)));
            }
        }
        None => {
            let of_conn = [column::CONN_STATE, column::ORIG_PKTS, column::ORIG_IP_BYTES];
            let is_conn = of_conn.into_iter().any(|place| member(members, place).is_some());
            if !is_conn && member(members, column::TS).is_some() {
                return Err(Skip::Passed(PassedOver::Log("other")));
            }
        }
    }
    let mut values = Values {
        has_service: true,
        ..Values::default()
    };
    for (value, raw) in values.values.iter_mut().zip(members) {
        *value = raw.map(|raw| match object::text(raw) {
            Some(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            // Not what any column holds: it is refused as what it is.
            None => Cow::Borrowed(raw.get().as_bytes()),
        });
    }
    Ok(values)
}

/// The log whose name is the only member of an object around a record.
fn wrapped_log(json: &[u8]) -> Option<&'static str> {
    let inner = json.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let inner = inner.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inner)?;
    let (name, behind) = inner.split_at_checked(end)?;
    let behind = behind
        .strip_prefix(b"\"")?
        .trim_ascii_start()
        .strip_prefix(b":")?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let record = behind.trim_ascii_start();
    (record.starts_with(b"{") && name.iter().all(is_name))
        .then(|| object::members::<1>(record.strip_suffix(b"}")?, |name| (name == "ts").then_some(0)).ok())
        .flatten()
        .filter(|[ts]| ts.is_some())
        .and_then(|_| other_log(name))
}
