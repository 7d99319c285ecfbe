//! Alerts are made to follow from what happened in a cell.

use netsage_alerts::{AlertRecord, Cell, HitOfFlow, Id, Summary};
use netsage_api_types::AlertState;
use rusqlite::{OptionalExtension, params};

use super::super::rows::{ALERT_COLUMNS, StoredAlert, alert, state_code};
use super::{Happened, Raised, Recorder, StoredCell, read_raised, to_json};
use crate::record::{severity_rank, to_signed};

const INSERT_ALERT: &str = "INSERT INTO alerts (id, first_seen_ms, last_seen_ms, count, kind, source, source_port, \
     destination, destination_port, protocol, community_id, score, threshold, severity, detector, schema, \
     contributions, best_flow, touched_ms, revision, detector_name, state, sources, cell, sensor, network) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26) \
     ON CONFLICT (id) DO UPDATE SET first_seen_ms = ?2, last_seen_ms = ?3, count = ?4, source = ?6, source_port = ?7, \
     destination = ?8, destination_port = ?9, protocol = ?10, community_id = ?11, score = ?12, threshold = ?13, \
     severity = ?14, detector = ?15, schema = ?16, contributions = ?17, best_flow = ?18, touched_ms = ?19, \
     revision = ?20, state = ?22, sources = ?23, merged_into = NULL, cell = ?24, sensor = ?25";

impl<'a> Recorder<'_, '_, '_, 'a> {
    /// Brings the alerts of a cell up to date with what happened in it.
    pub(super) fn follow(
        &mut self,
        key: &Cell<'_>,
        cell: &StoredCell,
        happened: &Happened<'_, 'a>,
    ) -> rusqlite::Result<()> {
        let last = self.last_shown(cell)?;
        let is_shown = |id: &Id| last.is_none_or(|last| *id <= last);
        for (id, into) in &happened.emptied {
            self.merge_alert(id, Some(into))?;
        }
        for (id, (raised, fresh)) in &happened.counted {
            if is_shown(id) && !happened.shrunk.contains_key(id) {
                self.count_in_alert(key, cell, raised, fresh)?;
            }
        }
        for (id, raised) in happened.shrunk.iter().chain(&happened.targets) {
            if is_shown(id) {
                self.show(key, cell, raised)?;
            }
        }
        for (id, hit) in &happened.of_sources {
            let has_parts = happened.counted.contains_key(id) || !happened.emptied.contains_key(id);
            if is_shown(id) && has_parts {
                self.kept.insert(&hit.flow.id);
            }
        }
        if let Some(summary) = &cell.summary {
            self.hold_back(key, cell, summary, last)?;
        }
        if std::mem::take(&mut self.has_merged) {
            self.forget_merged(cell)?;
        }
        Ok(())
    }

    /// The last alert of a cell that is shown, by id; `None` when all are.
    fn last_shown(&self, cell: &StoredCell) -> rusqlite::Result<Option<Id>> {
        let most = self.limits.alerts as u64;
        if cell.raised <= most {
            return Ok(None);
        }
        // With a limit of none, nothing is smaller than this id.
        let Some(offset) = most.checked_sub(1) else {
            return Ok(Some([0; 16]));
        };
        self.transaction
            .prepare_cached("SELECT id FROM raised WHERE cell = ?1 ORDER BY id LIMIT 1 OFFSET ?2")?
            .query_row(params![cell.number, to_signed(offset)], |row| row.get(0))
            .optional()
    }

    /// Shows and holds back what has changed its side since, and says how much is held back.
    fn hold_back(
        &mut self,
        key: &Cell<'_>,
        cell: &StoredCell,
        summary: &Summary,
        last: Option<Id>,
    ) -> rusqlite::Result<()> {
        let rest = key.id_of_rest();
        let last = last.unwrap_or([u8::MAX; 16]);
        let beyond: Vec<(i64, Id)> = self
            .transaction
            .prepare_cached("SELECT number, id FROM raised WHERE cell = ?1 AND id > ?2 AND is_shown = 1")?
            .query_map(params![cell.number, last], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (number, id) in beyond {
            self.transaction
                .prepare_cached("UPDATE raised SET is_shown = 0 WHERE number = ?1")?
                .execute([number])?;
            self.merge_alert(&id, Some(&rest))?;
        }
        let within: Vec<Raised> = self
            .transaction
            .prepare_cached(
                "SELECT number, id, summary FROM raised WHERE cell = ?1 AND id <= ?2 AND is_shown = 0",
            )?
            .query_map(params![cell.number, last], read_raised)?
            .collect::<rusqlite::Result<_>>()?;
        for raised in within {
            self.show(key, cell, &raised)?;
        }
        match cell.raised.saturating_sub(self.limits.alerts as u64) {
            0 => self.merge_alert(&rest, None),
            held_back => self.put_alert(cell, &rest, summary.alert(&rest, Some(held_back))),
        }
    }

    /// Counts hits in the alert of a source.
    fn count_in_alert(
        &mut self,
        key: &Cell<'_>,
        cell: &StoredCell,
        raised: &Raised,
        fresh: &[HitOfFlow<'a>],
    ) -> rusqlite::Result<()> {
        match self.stored(&raised.id)? {
            Some(stored) if stored.record.alert.state != AlertState::Merged => {
                let Some(record) = AlertRecord::extend(Some(stored.record), &raised.id, fresh) else {
                    return Ok(());
                };
                self.write_alert(cell, &raised.id, record)
            }
            // A scan is new with thousands of parts: what they come to is known without reading them again.
            _ if raised.is_new => self.show_as(cell, raised, AlertRecord::extend(None, &raised.id, fresh)),
            _ => self.show(key, cell, raised),
        }
    }

    /// Shows an alert as its parts or its summary have it.
    fn show(&mut self, key: &Cell<'_>, cell: &StoredCell, raised: &Raised) -> rusqlite::Result<()> {
        let record = match &raised.summary {
            Some(summary) => Some(summary.alert(&raised.id, None)),
            None => {
                let parts = self.members(key, "p.raised = ?1", [raised.number])?;
                let parts = parts.into_iter().map(|(_, part)| part.record);
                parts.reduce(AlertRecord::join)
            }
        };
        self.show_as(cell, raised, record)
    }

    fn show_as(
        &mut self,
        cell: &StoredCell,
        raised: &Raised,
        record: Option<AlertRecord>,
    ) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("UPDATE raised SET is_shown = 1 WHERE number = ?1 AND is_shown = 0")?
            .execute([raised.number])?;
        match record {
            Some(record) => self.put_alert(cell, &raised.id, record),
            None => Ok(()),
        }
    }

    fn stored(&self, id: &Id) -> rusqlite::Result<Option<StoredAlert>> {
        self.transaction
            .prepare_cached(&format!("SELECT {ALERT_COLUMNS} WHERE a.id = ?1"))?
            .query_row([id], alert)
            .optional()
    }

    /// Makes an alert what it should be, if it is not; the state that a person gave it stays.
    fn put_alert(&mut self, cell: &StoredCell, id: &Id, mut record: AlertRecord) -> rusqlite::Result<()> {
        if let Some(stored) = self.stored(id)? {
            let alert = stored.record.alert.clone();
            record.alert.state = match alert.state {
                AlertState::Merged => stored.state_before,
                state => state,
            };
            (record.alert.changed_by, record.alert.changed_at) = (alert.changed_by, alert.changed_at);
            if record == stored.record {
                return Ok(());
            }
        }
        self.write_alert(cell, id, record)
    }

    fn write_alert(&mut self, cell: &StoredCell, id: &Id, record: AlertRecord) -> rusqlite::Result<()> {
        let AlertRecord { alert, best_flow } = record;
        let detector = self.numbers.find(&alert.detector)?;
        let sources = alert.sources.as_ref().map(to_json).transpose()?;
        self.revision += 1;
        self.transaction.prepare_cached(INSERT_ALERT)?.execute(params![
            id,
            alert.first_seen,
            alert.last_seen,
            to_signed(alert.count),
            alert.kind,
            alert.source,
            alert.source_port,
            alert.destination,
            alert.destination_port,
            alert.protocol,
            alert.community_id,
            alert.score,
            alert.threshold,
            severity_rank(alert.severity),
            detector,
            alert.schema,
            to_json(&alert.contributions)?,
            best_flow,
            self.now,
            self.revision,
            alert.detector.name,
            state_code(alert.state),
            sources,
            cell.number,
            alert.sensor,
            alert.network,
        ])?;
        self.changed.insert(*id, alert);
        Ok(())
    }

    /// Marks an alert as merged, if it is there and shown. A reader of the changes is told so.
    fn merge_alert(&mut self, id: &Id, into: Option<&Id>) -> rusqlite::Result<()> {
        let merged = state_code(AlertState::Merged);
        let changed = self
            .transaction
            .prepare_cached(
                "UPDATE alerts SET state_before = state, state = ?2, merged_into = ?3, touched_ms = ?4, revision = ?5 \
                 WHERE id = ?1 AND state <> ?2",
            )?
            .execute(params![id, merged, into, self.now, self.revision + 1])?;
        if changed == 0 {
            return Ok(());
        }
        self.revision += 1;
        if let Some(stored) = self.stored(id)? {
            self.changed.insert(*id, stored.record.alert);
        }
        self.has_merged = true;
        Ok(())
    }

    /// Deletes the merged alerts beyond those that are kept for readers of the changes.
    fn forget_merged(&self, cell: &StoredCell) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "DELETE FROM alerts WHERE number IN (SELECT number FROM alerts WHERE cell = ?1 AND state = 3 \
                 ORDER BY revision DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![cell.number, to_signed(self.limits.merged as u64)])
            .map(drop)
    }
}
