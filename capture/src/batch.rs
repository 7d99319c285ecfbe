//! Finished flow records, ready for detectors and stores.

use netsage_schema::{Identity, Rows, Schema, UNSW_NB15};

use crate::community_id::CommunityId;

/// Finished records: row `i` of `rows`, `identities[i]` and `community_ids[i]` belong together.
#[derive(Debug, Clone)]
pub struct FlowBatch {
    /// The feature rows, in the schema of the meter.
    pub rows: Rows,
    /// Who talked to whom and when.
    pub identities: Vec<Identity>,
    /// The Community ID of each record's flow.
    pub community_ids: Vec<CommunityId>,
}

impl FlowBatch {
    /// An empty batch for a meter of that schema.
    pub fn new(schema: &'static Schema) -> Self {
        Self {
            rows: Rows::new(schema),
            identities: Vec::new(),
            community_ids: Vec::new(),
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.identities.clear();
        self.community_ids.clear();
    }

    /// Moves the records of another batch of the same schema behind those of this one.
    pub(crate) fn append(&mut self, other: &mut Self) {
        for row in other.rows.iter() {
            self.rows.push(row);
        }
        self.identities.append(&mut other.identities);
        self.community_ids.append(&mut other.community_ids);
        other.rows.clear();
    }

    pub(crate) fn push(&mut self, row: &[f64], identity: Identity, community_id: CommunityId) {
        self.rows.push(row);
        self.identities.push(identity);
        self.community_ids.push(community_id);
    }
}

/// A batch of the default schema, `unsw-nb15`.
impl Default for FlowBatch {
    fn default() -> Self {
        Self::new(&UNSW_NB15)
    }
}
