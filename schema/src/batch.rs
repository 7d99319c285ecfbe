//! Batches of flows, ready for detectors and stores.

use std::ops::Range;

use crate::{Beside, CommunityId, Identity, Provenance, Rows, Schema, UNSW_NB15};

/// Flows with their rows: row `i` of `rows` and entry `i` of each list belong together.
#[derive(Debug, Clone)]
pub struct FlowBatch {
    /// The feature rows.
    pub rows: Rows,
    /// Who talked to whom and when.
    pub identities: Vec<Identity>,
    /// The Community ID of each flow.
    pub community_ids: Vec<CommunityId>,
    /// The id of each flow that is more than its identity tells, such as one with an identifier of its meter.
    pub ids: Vec<Option<[u8; 16]>>,
    /// Where each flow comes from.
    pub provenances: Vec<Provenance>,
    /// What else is known of each flow.
    pub besides: Vec<Beside>,
}

impl FlowBatch {
    /// An empty batch of rows of that schema.
    pub fn new(schema: &'static Schema) -> Self {
        Self {
            rows: Rows::new(schema),
            identities: Vec::new(),
            community_ids: Vec::new(),
            ids: Vec::new(),
            provenances: Vec::new(),
            besides: Vec::new(),
        }
    }

    /// Number of flows.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// Forgets the flows and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.identities.clear();
        self.community_ids.clear();
        self.ids.clear();
        self.provenances.clear();
        self.besides.clear();
    }

    /// Appends a flow, whose id is made of its identity.
    ///
    /// # Panics
    /// When the row does not have the width of the schema: a defect of the caller, not of input.
    pub fn push(&mut self, row: &[f64], identity: Identity, community_id: CommunityId) {
        self.push_as(row, identity, community_id, None, Provenance::NONE);
    }

    /// Appends a flow that comes from somewhere, with an id; `None` where that is made of its identity.
    ///
    /// # Panics
    /// When the row does not have the width of the schema: a defect of the caller, not of input.
    pub fn push_as(
        &mut self,
        row: &[f64],
        identity: Identity,
        community_id: CommunityId,
        id: Option<[u8; 16]>,
        provenance: Provenance,
    ) {
        self.push_with(row, identity, community_id, id, provenance, Beside::NONE);
    }

    /// As [`Self::push_as`], of a flow of which more is known than its row says.
    ///
    /// # Panics
    /// As [`Self::push_as`].
    pub fn push_with(
        &mut self,
        row: &[f64],
        identity: Identity,
        community_id: CommunityId,
        id: Option<[u8; 16]>,
        provenance: Provenance,
        beside: Beside,
    ) {
        self.rows.push(row);
        self.identities.push(identity);
        self.community_ids.push(community_id);
        self.ids.push(id);
        self.provenances.push(provenance);
        self.besides.push(beside);
    }

    /// Appends copies of the flows at `places` of another batch of the same schema.
    ///
    /// # Panics
    /// When `places` reaches beyond the end of `other`, or its schema has another width: a defect of the caller.
    pub fn extend_from(&mut self, other: &Self, places: Range<usize>) {
        self.rows.extend_from(&other.rows, places.clone());
        self.identities
            .extend_from_slice(&other.identities[places.clone()]);
        self.community_ids
            .extend_from_slice(&other.community_ids[places.clone()]);
        self.ids.extend_from_slice(&other.ids[places.clone()]);
        self.provenances
            .extend_from_slice(&other.provenances[places.clone()]);
        self.besides.extend_from_slice(&other.besides[places]);
    }

    /// Moves the first flows, at most `most`, into another batch of the same schema in place of what it holds. Only the
    /// flows that stay are copied; both batches keep their memory.
    ///
    /// # Panics
    /// When there are more flows than `most` and the schema of `other` has another width: a defect of the caller.
    pub fn move_first_into(&mut self, most: usize, other: &mut Self) {
        other.clear();
        std::mem::swap(self, other);
        if other.len() > most {
            self.extend_from(other, most..other.len());
            other.rows.truncate(most);
            other.identities.truncate(most);
            other.community_ids.truncate(most);
            other.ids.truncate(most);
            other.provenances.truncate(most);
            other.besides.truncate(most);
        }
    }

    /// Moves the flows of another batch of the same schema behind those of this one.
    pub fn append(&mut self, other: &mut Self) {
        self.extend_from(other, 0..other.len());
        other.clear();
    }
}

/// A batch of the default schema, `unsw-nb15`.
impl Default for FlowBatch {
    fn default() -> Self {
        Self::new(&UNSW_NB15)
    }
}
