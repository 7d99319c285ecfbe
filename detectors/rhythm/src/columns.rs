//! Which columns of a schema are read.

/// How many columns are read.
pub const WIDTH: usize = 5;

/// What is read of the rows of a schema.
#[derive(Debug, PartialEq)]
pub struct Columns {
    /// In the order of a row: protocol, service, duration, what tells whether a record begins its connection, and bytes
    /// that the source sent.
    pub names: [&'static str; WIDTH],
    /// What the fourth is in a record of TCP that goes on with a connection that began before it.
    pub goes_on: f32,
}

/// Those of `flow-v1`: a record without SYN goes on.
static FLOW_V1: Columns = Columns {
    names: ["proto", "service", "duration", "syn_count", "src_payload"],
    goes_on: 0.0,
};

/// Those of `record-v1`, whose meters count neither SYN nor, most of them, payload: a record goes on in the state
/// `midstream`, and whole packets are counted.
static RECORD_V1: Columns = Columns {
    names: ["proto", "service", "duration", "state", "src_bytes"],
    goes_on: 6.0,
};

impl Columns {
    /// The columns of rows of a schema, given as its name with or without a version, e.g. `flow-v1@1`. Any but `record-v1`
    /// is taken to have those of `flow-v1`; whoever has the schema checks that.
    pub fn of(schema: &str) -> &'static Self {
        let id = schema.split_once('@').map_or(schema, |(id, _)| id);
        if id == "record-v1" { &RECORD_V1 } else { &FLOW_V1 }
    }
}
