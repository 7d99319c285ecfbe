//! Reading: each format by tables, all of them by properties, and the records of real meters.

mod argus;
mod flow_json;
mod meters;
mod properties;
mod reader;
mod suricata;
mod zeek;

use netsage_records::Record;
use netsage_records::formats::{Format, Items, Options, Reader};

/// What comes of a text that is given whole.
fn read(format: Format, text: impl AsRef<[u8]>) -> (Items, Reader) {
    read_with(format, &Options::default(), text)
}

fn read_with(format: Format, options: &Options, text: impl AsRef<[u8]>) -> (Items, Reader) {
    let mut reader = Reader::new(format, options);
    let mut items = Items::default();
    let text = text.as_ref();
    assert_eq!(reader.read(text, true, &mut items), text.len());
    (items, reader)
}

/// The only record of a text.
fn record(format: Format, text: impl AsRef<[u8]>) -> Record {
    let (mut items, reader) = read(format, text);
    assert_eq!(items.records.len(), 1, "{}", reader.counts());
    items.records.remove(0)
}

/// How the items of a text are counted, as a sentence.
fn counted(format: Format, text: impl AsRef<[u8]>) -> String {
    read(format, text).1.counts().to_string()
}
