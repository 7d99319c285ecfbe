//! Names in settings and messages.

use netsage_messages::syslog::Facility;
use netsage_messages::{EventKind, EventSeverity, Format, HeldBackBy, Reason};
use serde::Serialize;

#[test]
fn a_format_has_one_name() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        assert_eq!(format.to_string(), format.name());
    }
    let error = "xml".parse::<Format>().unwrap_err().to_string();
    for format in Format::ALL {
        assert!(error.contains(format.name()), "{error}");
    }
}

#[test]
fn names_are_those_of_json() {
    fn check<T: Serialize + Copy>(all: &[T], name: fn(T) -> &'static str) {
        for one in all {
            assert_eq!(serde_json::to_value(one).unwrap(), name(*one));
        }
    }
    check(&Reason::ALL, Reason::name);
    check(&HeldBackBy::ALL, HeldBackBy::name);
    check(&EventKind::ALL, EventKind::name);
    check(&EventSeverity::ALL, EventSeverity::name);
}

#[test]
fn facilities_have_the_numbers_of_the_standard() {
    let check = |name: &str, number: Option<u8>| {
        let facility = name.parse::<Facility>();
        assert_eq!(
            facility.as_ref().ok().map(|facility| facility.number()),
            number,
            "{name}"
        );
        if let Ok(facility) = facility {
            assert_eq!(facility.name(), name);
        }
    };
    check("kern", Some(0));
    check("daemon", Some(3));
    check("local0", Some(16));
    check("local7", Some(23));
    check("local8", None);
    check("", None);
}
