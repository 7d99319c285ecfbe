//! The one definition of all settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use netsage_schema::Schema;
use serde::Deserialize;

use super::{ByteSize, RolloutStage, Time, Trust};

/// Settings as one layer gives them; what a layer does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Replay this capture (pcap or pcapng, also gzipped)
    #[arg(long, value_name = "FILE", env = "NETSAGE_PCAP", help_heading = "Source")]
    pub pcap: Option<PathBuf>,
    /// Capture live on this interface; may be repeated
    #[arg(
        long,
        value_name = "IF",
        env = "NETSAGE_INTERFACE",
        value_delimiter = ',',
        help_heading = "Source"
    )]
    pub interface: Option<Vec<String>>,
    /// Capture only what passes this filter, in the language of tcpdump
    #[arg(long, value_name = "FILTER", env = "NETSAGE_BPF", help_heading = "Source")]
    pub bpf: Option<String>,
    /// Leave the interfaces to packets for this machine [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_NO_PROMISCUOUS", help_heading = "Source", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub no_promiscuous: Option<bool>,
    /// Go on as this user once the interfaces are open; only CAP_NET_RAW stays, for opening them again
    #[arg(long, value_name = "NAME", env = "NETSAGE_USER", help_heading = "Source")]
    pub user: Option<String>,

    /// Where flows and alerts are kept: `sqlite:PATH` or `mongodb://...` [default: netsage.sqlite in the data folder]
    #[arg(long, value_name = "URL", env = "NETSAGE_STORE", help_heading = "Store")]
    pub store: Option<String>,
    /// The data folder: the store and the cache of compiled detectors [default: $XDG_DATA_HOME/netsage]
    #[arg(long, value_name = "DIR", env = "NETSAGE_DATA_DIR", help_heading = "Store")]
    pub data_dir: Option<PathBuf>,

    /// Detector package to score with, a file or the name of a bundled one; may be repeated [default: iforest-generated; for flow-v1 iforest-flow-v1 and rhythm-flow-v1]
    #[arg(
        long,
        value_name = "PKG",
        env = "NETSAGE_DETECTOR",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub detector: Option<Vec<String>>,
    /// Alert by this threshold instead of that in the model card: alerts per day (NAME=10/day), false-positive rate (NAME=fpr:0.001 or 0.1%), percentile (NAME=p99.9) or score (NAME=0.62); of the name fused it has the verdict of all detectors together raise alerts; may be repeated
    #[arg(
        long,
        value_name = "NAME=RULE",
        env = "NETSAGE_THRESHOLD",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub threshold: Option<Vec<String>>,

    /// Flows in a window of drift, 100 or more [default: 5000]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_DRIFT_FLOWS",
        help_heading = "Detectors"
    )]
    pub drift_flows: Option<u32>,
    /// Watch this folder: a package that is put there is staged, checked and warmed [default: none is watched]
    #[arg(
        long,
        value_name = "DIR",
        env = "NETSAGE_DETECTORS_DIR",
        help_heading = "Detectors"
    )]
    pub detectors_dir: Option<PathBuf>,
    /// Which packages are taken [default: any]
    #[arg(
        long,
        value_name = "POLICY",
        env = "NETSAGE_TRUST",
        help_heading = "Detectors"
    )]
    pub trust: Option<Trust>,
    /// With `--trust signed`: a minisign key, the second line of its `.pub` file; may be repeated
    #[arg(
        long,
        value_name = "KEY",
        env = "NETSAGE_TRUSTED_KEY",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub trusted_key: Option<Vec<String>>,
    /// With `--trust pinned`: the SHA-256 digest of a package that is taken; may be repeated
    #[arg(
        long,
        value_name = "DIGEST",
        env = "NETSAGE_PINNED_DIGEST",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub pinned_digest: Option<Vec<String>>,
    /// What becomes of flows that a detector fails to score: closed, open or reload, for all or by name; may be repeated [default: reload]
    #[arg(
        long,
        value_name = "[NAME=]POLICY",
        env = "NETSAGE_ON_FAILURE",
        value_delimiter = ',',
        help_heading = "Detectors"
    )]
    pub on_failure: Option<Vec<String>>,
    /// With the policy reload: failures in a row before the detector is quarantined [default: 5]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_FAILURES_BEFORE_QUARANTINE",
        help_heading = "Detectors"
    )]
    pub failures_before_quarantine: Option<u32>,
    /// Time between two savings of what detectors have learned [default: 60s]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_SAVE_INTERVAL",
        help_heading = "Detectors"
    )]
    pub save_interval: Option<Time>,

    /// How far a new version of a detector goes by itself [default: warm]
    #[arg(long, value_name = "STAGE", env = "NETSAGE_ROLLOUT", help_heading = "Rollout")]
    pub rollout: Option<RolloutStage>,
    /// Flows that it must have scored as shadow, and again as canary, before it goes on [default: 1000]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_ROLLOUT_FLOWS",
        help_heading = "Rollout"
    )]
    pub rollout_flows: Option<u64>,
    /// Shortest time as shadow, and again as canary, before it goes on [default: 30s]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_ROLLOUT_TIME",
        help_heading = "Rollout"
    )]
    pub rollout_time: Option<Time>,
    /// Share of the flows of a shadow, unless a step names another [default: 1]
    #[arg(
        long,
        value_name = "SHARE",
        env = "NETSAGE_SHADOW_SHARE",
        help_heading = "Rollout"
    )]
    pub shadow_share: Option<f64>,
    /// Share of the flows of a canary, unless a step names another [default: 0.1]
    #[arg(
        long,
        value_name = "SHARE",
        env = "NETSAGE_CANARY_SHARE",
        help_heading = "Rollout"
    )]
    pub canary_share: Option<f64>,

    /// Calls that a canary must have had before its rates are judged [default: 5]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_CANARY_CALLS",
        help_heading = "Rollback"
    )]
    pub canary_calls: Option<u64>,
    /// Largest share of a canary's calls that trap or break the contract [default: 0.01]
    #[arg(
        long,
        value_name = "RATE",
        env = "NETSAGE_CANARY_TRAP_RATE",
        help_heading = "Rollback"
    )]
    pub canary_trap_rate: Option<f64>,
    /// Largest share of a canary's calls that overrun their deadline [default: 0.01]
    #[arg(
        long,
        value_name = "RATE",
        env = "NETSAGE_CANARY_OVERRUN_RATE",
        help_heading = "Rollback"
    )]
    pub canary_overrun_rate: Option<f64>,
    /// Largest share of a canary's calls with a score that is not finite [default: 0]
    #[arg(
        long,
        value_name = "RATE",
        env = "NETSAGE_CANARY_NOT_FINITE_RATE",
        help_heading = "Rollback"
    )]
    pub canary_not_finite_rate: Option<f64>,
    /// Scores that a canary and the active detector must each have given before they are compared [default: 200]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_CANARY_SCORES",
        help_heading = "Rollback"
    )]
    pub canary_scores: Option<u64>,
    /// Largest distance of a canary's scores from those of the active detector, 0 to 1 (docs/detectors.md) [default: 0.25]
    #[arg(
        long,
        value_name = "DISTANCE",
        env = "NETSAGE_CANARY_DISTANCE",
        help_heading = "Rollback"
    )]
    pub canary_distance: Option<f64>,
    /// Largest cost per row of a canary, as a multiple of that of the active detector [default: 10]
    #[arg(
        long,
        value_name = "RATIO",
        env = "NETSAGE_CANARY_COST_RATIO",
        help_heading = "Rollback"
    )]
    pub canary_cost_ratio: Option<f64>,
    /// Time after a promotion in which these limits still hold [default: 10min]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_PROBATION",
        help_heading = "Rollback"
    )]
    pub probation: Option<Time>,

    /// Address of the dashboard and the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "NETSAGE_LISTEN", help_heading = "Server")]
    pub listen: Option<SocketAddr>,
    /// Token that state-changing calls must bear; needed for an address other than loopback
    #[arg(
        long,
        value_name = "TOKEN",
        env = "NETSAGE_TOKEN",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub token: Option<String>,
    /// Largest detector package that may be uploaded, in MiB [default: 64]
    #[arg(
        long,
        value_name = "MIB",
        env = "NETSAGE_UPLOAD_LIMIT",
        help_heading = "Server"
    )]
    pub upload_limit: Option<u32>,

    /// Keep the latest packets in memory of this size, for the packets of an alert [default: none are kept]
    #[arg(
        long,
        value_name = "SIZE",
        env = "NETSAGE_KEEP_PACKETS",
        help_heading = "Evidence"
    )]
    pub keep_packets: Option<ByteSize>,

    /// Threads that score [default: the number of processors]
    #[arg(long, value_name = "N", env = "NETSAGE_WORKERS", help_heading = "Limits")]
    pub workers: Option<usize>,
    /// Blocks of up to 1,024 flows that may be under way between reading and storing [default: 64]
    #[arg(long, value_name = "N", env = "NETSAGE_QUEUE_BLOCKS", help_heading = "Limits")]
    pub queue_blocks: Option<usize>,
    /// Memory of one instance of a detector [default: 256MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "NETSAGE_DETECTOR_MEMORY",
        help_heading = "Limits"
    )]
    pub detector_memory: Option<ByteSize>,
    /// Time of a call into a detector, before the time for its rows is added [default: 1s]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_DETECTOR_DEADLINE",
        help_heading = "Limits"
    )]
    pub detector_deadline: Option<Time>,
    /// Time of a call into a detector per row [default: 1ms]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_DETECTOR_ROW_DEADLINE",
        help_heading = "Limits"
    )]
    pub detector_row_deadline: Option<Time>,
    /// Time in which a detector must have started and read its model [default: 10s]
    #[arg(
        long,
        value_name = "TIME",
        env = "NETSAGE_DETECTOR_OPEN_DEADLINE",
        help_heading = "Limits"
    )]
    pub detector_open_deadline: Option<Time>,
    /// Instances of each detector that score at the same time [default: as many as --workers]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_DETECTOR_INSTANCES",
        help_heading = "Limits"
    )]
    pub detector_instances: Option<usize>,
    /// Detector packages held at once, whatever their stage [default: 64]
    #[arg(
        long,
        value_name = "N",
        env = "NETSAGE_MOST_PACKAGES",
        help_heading = "Limits"
    )]
    pub most_packages: Option<usize>,
    /// Which features flows have; the detectors must be made for them [default: unsw-nb15]
    #[arg(long, value_name = "SCHEMA", env = "NETSAGE_SCHEMA", help_heading = "Meter", value_parser = Schema::ALL.map(|schema| schema.id))]
    pub schema: Option<String>,
    /// Memory for flows that are not finished; beyond it half-open and idle ones end early [default: 64MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "NETSAGE_FLOW_MEMORY",
        help_heading = "Meter"
    )]
    pub flow_memory: Option<ByteSize>,
    /// Meter packets inside tunnels by the flow inside instead of the outer one [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_DECAPSULATE", help_heading = "Meter", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub decapsulate: Option<bool>,
    /// Count link headers in sbytes and dbytes, as Argus does on Ethernet and the dataset does not [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_COUNT_LINK_BYTES", help_heading = "Meter", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub count_link_bytes: Option<bool>,

    /// End when the replay is through, instead of serving until Ctrl-C [default: false]
    #[arg(long, value_name = "BOOL", env = "NETSAGE_EXIT_WHEN_DONE", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub exit_when_done: Option<bool>,
}
