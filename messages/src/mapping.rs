//! Where each field of an alert stands in ECS, OCSF and CEF: the table of `docs/messages.md`. A test changes each field in turn
//! and looks what changes in the documents.

/// Where one field of a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The field of the alert, as the API writes it; `[]` stands for every element of a list. `revision` and `reason` are of
    /// the message.
    pub field: &'static str,
    /// Fields of ECS; what begins with `netsage.` is the project's own.
    pub ecs: &'static [&'static str],
    /// Their type in Elasticsearch.
    pub ecs_type: &'static str,
    /// Attributes of OCSF's Detection Finding.
    pub ocsf: &'static [&'static str],
    /// Keys of CEF's extension, or `header.` and a field of the header.
    pub cef: &'static [&'static str],
}

const fn map(
    field: &'static str,
    ecs_type: &'static str,
    ecs: &'static [&'static str],
    ocsf: &'static [&'static str],
    cef: &'static [&'static str],
) -> Mapping {
    Mapping {
        field,
        ecs,
        ecs_type,
        ocsf,
        cef,
    }
}

/// Every field of an alert. Sentences and titles are made of several fields and stand in none of these lists:
/// [`COMPOSED`].
#[rustfmt::skip]
pub const MAPPINGS: &[Mapping] = &[
    map("id", "keyword", &["event.id"], &["finding_info.uid", "metadata.uid"], &["externalId"]),
    map("revision", "long", &["event.sequence"], &["metadata.sequence", "metadata.uid"], &["cn1"]),
    map("reason", "keyword", &["event.action"], &["activity_id", "activity_name", "type_uid", "type_name", "unmapped.reason"], &["act"]),
    map("first_seen", "date", &["event.start"], &["start_time", "finding_info.first_seen_time"], &["start"]),
    map("last_seen", "date", &["@timestamp", "event.end"], &["time", "end_time", "finding_info.last_seen_time"], &["end", "rt"]),
    map("count", "long", &["netsage.count"], &["count"], &["cnt"]),
    map("kind", "keyword", &["netsage.kind", "network.protocol"], &["finding_info.types[]"], &["cat", "app", "header.name"]),
    map("source", "keyword; ip", &["source.address", "source.ip", "related.ip[]", "network.type"], &["evidences[].src_endpoint.ip", "observables[].value", "anomaly_analyses[].analysis_targets[].name"], &["src", "c6a2", "c6a2Label"]),
    map("source_port", "long", &["source.port"], &["evidences[].src_endpoint.port"], &["spt"]),
    map("destination", "keyword; ip", &["destination.address", "destination.ip", "related.ip[]"], &["evidences[].dst_endpoint.ip", "observables[].value"], &["dst", "c6a3", "c6a3Label"]),
    map("destination_port", "long", &["destination.port"], &["evidences[].dst_endpoint.port"], &["dpt"]),
    map("protocol", "keyword", &["network.transport"], &["evidences[].connection_info.protocol_name"], &["proto"]),
    map("network", "keyword", &["network.name"], &["evidences[].src_endpoint.zone", "evidences[].dst_endpoint.zone"], &["cs3"]),
    map("sensor", "keyword", &["observer.name"], &["metadata.log_provider"], &["dvchost"]),
    map("community_id", "keyword", &["network.community_id"], &["evidences[].connection_info.community_uid"], &["cs1"]),
    map("score", "float", &["event.risk_score"], &["unmapped.score"], &["cfp1"]),
    map("threshold", "float", &["netsage.threshold"], &["unmapped.threshold"], &["cfp2"]),
    map("severity", "long; keyword", &["event.severity", "netsage.severity"], &["severity_id", "severity"], &["header.severity"]),
    map("detector.name", "keyword", &["rule.name"], &["finding_info.analytic.name"], &["header.signature"]),
    map("detector.version", "keyword", &["rule.version"], &["finding_info.analytic.version"], &["flexString1"]),
    map("detector.digest", "keyword", &["rule.uuid"], &["finding_info.analytic.uid"], &["cs2"]),
    map("detector.generation", "long", &["netsage.detector.generation"], &["unmapped.detector.generation"], &[]),
    map("schema", "keyword", &["rule.ruleset"], &["finding_info.data_sources[]"], &["cs4"]),
    map("contributions[].column", "keyword", &["netsage.contributions[].column"], &["anomaly_analyses[].anomalies[].observation_parameter", "anomaly_analyses[].baselines[].observation_parameter", "unmapped.contributions[].column"], &["cs6"]),
    map("contributions[].unit", "keyword", &["netsage.contributions[].unit"], &["unmapped.contributions[].unit"], &["cs6"]),
    map("contributions[].weight", "float", &["netsage.contributions[].weight"], &["unmapped.contributions[].weight"], &["cs6"]),
    map("contributions[].value", "keyword", &["netsage.contributions[].value"], &["anomaly_analyses[].anomalies[].observations[].value"], &["cs6"]),
    map("contributions[].typical", "keyword", &["netsage.contributions[].typical"], &["anomaly_analyses[].baselines[].observations[].value"], &["cs6"]),
    map("state", "keyword", &["netsage.state"], &["status_id", "status"], &["cs5"]),
    map("changed_by", "keyword", &["netsage.changed_by"], &["unmapped.changed_by"], &[]),
    map("changed_at", "date", &["netsage.changed_at"], &["finding_info.modified_time"], &["deviceCustomDate1"]),
    map("sources.count", "long", &["netsage.sources.count"], &["unmapped.sources.count"], &["cn2"]),
    map("sources.top[].source", "keyword; ip", &["netsage.sources.top[].address", "related.ip[]"], &["unmapped.sources.top[].source", "observables[].value"], &[]),
    map("sources.top[].score", "float", &["netsage.sources.top[].score"], &["unmapped.sources.top[].score"], &[]),
    map("sources.held_back", "long", &["netsage.sources.held_back"], &["unmapped.sources.held_back"], &["cn3"]),
    map("merged_into", "keyword", &["netsage.merged_into"], &["finding_info.related_events[].uid"], &["flexString2"]),
];

/// Fields that CEF has no place for, and why. ECS and OCSF have one for each.
pub const LEFT_OUT_OF_CEF: &[(&str, &str)] = &[
    (
        "detector.generation",
        "a number of this program alone; the digest of the package tells detectors apart",
    ),
    ("changed_by", "keys of users are those of users in flows"),
    (
        "sources.top[].source",
        "the format has no lists; `src` is the source with the highest score",
    ),
    ("sources.top[].score", "the format has no lists"),
];

/// Texts and links that are made of several fields: in ECS, OCSF and CEF.
pub const COMPOSED: &[&str] = &[
    "message",
    "event.url",
    "finding_info.title",
    "finding_info.src_url",
    "msg",
    "request",
];
