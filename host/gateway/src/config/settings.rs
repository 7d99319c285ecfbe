//! The declaration of all settings: one entry per setting is the only place that has to be written.
//!
//! An entry has the kind of the value, the name that stands for the value in the help, and, where there is such a thing:
//! `default`, as a flag would give it; `otherwise`, what holds without a value, in words; `example`, for the example
//! files; `range`, what is allowed; `one_of`, the only values; `secret`. The first paragraph of its doc comment is the
//! help of the flag, the others go into the example files and docs/settings.md, which
//! `NETSAGE_BLESS=1 cargo test -p netsage-gateway example` writes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use netsage_records::formats::Format;
use netsage_schema::Schema;

use super::setting::{Allowed, Setting, Share, Value, checked_value, name, settings, spelled, text};
use super::{ByteSize, ConfigError, Most, RolloutStage, StoreFlows, Time, Trust};

const MIB: ByteSize = ByteSize(1 << 20);
/// Smaller ones would be filled by the write-ahead log and the tables alone.
const SMALLEST_STORE: ByteSize = ByteSize(64 << 20);
/// A component addresses its memory by 32 bits.
const MOST_DETECTOR_MEMORY: ByteSize = ByteSize(4 << 30);
/// Deadlines are kept to this; a shorter one would end calls at random.
const TICK: Time = Time(Duration::from_millis(10));
const NO_TIME: Time = Time(Duration::ZERO);
const SECOND: Time = Time(Duration::from_secs(1));
const HOUR: Time = Time(Duration::from_secs(60 * 60));
const MONTH: Time = Time(Duration::from_secs(30 * 24 * 60 * 60));
const TEN_YEARS: Time = Time(Duration::from_secs(3_650 * 24 * 60 * 60));

settings! {
    "Source" {
        /// Replay this capture (pcap or pcapng, also compressed by gzip, zstd or lz4): a file or a FIFO; - for standard input;
        /// unix:PATH for a socket whose first connection brings it
        ///
        /// Traffic comes from a capture, from records, from interfaces, from a topic or from exporters, not from two of them.
        pcap: PathBuf { value: "FILE", example: "capture.pcap" }

        /// Read these flow records of another meter (Zeek, Suricata, Argus or JSON, also compressed by gzip, zstd or lz4):
        /// files, also with wildcards; - for standard input; a FIFO; unix:PATH for a socket that meters connect to
        ///
        /// Their rows are of the schema record-v1, which need not be named then. All of them are one stream, or are read as
        /// one file. docs/sources/streams.md has more.
        records: Vec<String> { value: "FILE", example: "conn.log" }

        /// Follow the files of --records while they grow, are renamed and compressed
        ///
        /// With --exit-when-done the program ends where the files end, and the next run goes on there.
        follow: bool { value: "BOOL", default: "false" }

        /// Take flow records by `POST /api/v1/flows`, and keep up to this much of them in the data folder until they are
        /// stored
        ///
        /// Their rows are of the schema record-v1. docs/sources/http.md has more.
        inbox: ByteSize { value: "SIZE", otherwise: "no records are taken", example: "256MiB", range: MIB.. }

        /// How long records of a stream wait for others that ended before them
        ///
        /// A longer time delays alerts; with a shorter one more records are late, and are not counted with their neighbours.
        lateness: Time {
            value: "TIME",
            otherwise: "330s for Zeek, 630s for Suricata and JSON of flows, 90s for Argus, 600s for Kafka and exporters",
            example: "10min",
            range: NO_TIME..=MONTH
        }

        /// Capture live on this interface
        interface: Vec<String> { value: "IF", example: "eth0" }

        /// Capture only what passes this filter, in the language of tcpdump
        bpf: String { value: "FILTER", example: "not port 22" }

        /// Leave the interfaces to packets for this machine
        no_promiscuous: bool { value: "BOOL", default: "false" }

        /// Read records from a topic of this Kafka broker; several brokers of one cluster with commas
        ///
        /// docs/sources/kafka.md says what is read, and when it is committed.
        kafka: String { value: "HOST:PORT", example: "localhost:9092" }

        /// The topic with the records
        topic: String { value: "NAME", example: "flows" }

        /// The consumer group; programs of one group share the partitions of the topic
        group: String { value: "NAME", default: "netsage" }

        /// How much of a partition is read again when it arrives, by the time of its records
        ///
        /// Detectors that remember hosts, as rhythm does, begin without what another program has seen, and learn of it here: they
        /// are shown these flows once more, and nothing else is done with them. With 0s they begin without.
        kafka_reread: Time { value: "TIME", default: "10min", range: NO_TIME..=MONTH }

        /// A setting of librdkafka by its name, as security.protocol=SSL
        kafka_setting: Vec<String> { value: "NAME=VALUE", example: "security.protocol=SSL", secret: true }

        /// File with settings of librdkafka, one NAME=VALUE a line, so that passwords stand in no list of processes
        kafka_settings_file: PathBuf { value: "FILE", example: "/run/secrets/netsage-kafka" }

        /// Topic that is told of messages that cannot be read: where each stands and why
        dead_letter_topic: String { value: "NAME", example: "flows-dead" }

        /// Listen on this address (UDP) for the NetFlow v5, v9 and IPFIX of exporters
        ///
        /// Their rows are of the schema record-v1, which need not be named then. docs/sources/netflow.md says what is read.
        netflow: SocketAddr { value: "ADDRESS", example: "0.0.0.0:2055" }

        /// Read datagrams of exporters in this network only; others are counted
        ///
        /// Senders of UDP can be forged, so a filter in front of the machine may be needed too.
        netflow_from: Vec<String> { value: "CIDR", otherwise: "any network", example: "192.0.2.0/24" }

        /// How long an exporter's record of one direction waits for that of the other; 0s makes a flow of each
        netflow_pairing: Time { value: "TIME", default: "10s", range: NO_TIME..=HOUR }

        /// Take the elements 23 and 24 of exporters (OUT_BYTES, OUT_PKTS) for the other direction, as some of them mean them
        ///
        /// Else they are taken for what they are by the standard, a count on the way out, and are not added.
        netflow_out_reverse: bool { value: "BOOL", default: "false" }

        /// Name of the sensor that sees the flows, where records of them do not say so
        ///
        /// Flows and alerts show it, and nothing else depends on it: two sensors may see one flow.
        sensor: String { value: "NAME", otherwise: "no name", example: "tap-1" }

        /// Go on as this user once the interfaces are open; only CAP_NET_RAW stays, for opening them again
        ///
        /// The data folder must be the user's.
        user: String { value: "NAME", example: "netsage" }

        /// End when the replay is done, instead of serving until Ctrl-C
        ///
        /// Outputs send what is due before, as far as their receivers take it.
        exit_when_done: bool { value: "BOOL", default: "false" }
    }

    "Records" {
        /// Network that the addresses of flows belong to, where records of them do not say so
        ///
        /// Hosts of two networks with equal addresses are two hosts, if the networks have two names. The network of a flow is
        /// part of its id, of the counts of its neighbours, of what detectors remember of hosts, and of what an alert is.
        network: String { value: "NAME", otherwise: "the network without a name", example: "site-1" }

        /// Format of flow records, instead of what their first bytes say
        input_format: String { value: "FORMAT", otherwise: "what the first bytes say", example: "zeek", one_of: Format::ALL.map(Format::name) }

        /// Zone of times that records have without one, as Argus prints them: an offset (+02:00), a name that the system
        /// knows (Europe/Prague) or a rule of POSIX
        input_zone: String { value: "ZONE", default: "UTC" }
    }

    "Forwarding" {
        /// Forward every flow: to the inbox of a central (https://HOST/api/v1/flows) or to a topic (kafka://HOST:PORT/TOPIC)
        ///
        /// Each flow goes as a record, with its row where the schema is not record-v1, and with its scores. What cannot be sent
        /// waits in the data folder. docs/forwarding.md has more.
        forward: String { value: "URL", otherwise: "flows are not forwarded", example: "https://central.example/api/v1/flows" }

        /// With --forward: most that waits on the disk; beyond that the oldest flows are given up and counted
        forward_spool: ByteSize { value: "SIZE", default: "256MiB", range: MIB.. }

        /// With --forward: score nothing and store nothing here, which takes little memory
        no_score: bool { value: "BOOL", default: "false" }

        /// With --forward https://: file that holds the token of the central
        forward_token_file: PathBuf { value: "FILE", otherwise: "calls bear no token", example: "/run/secrets/netsage-central" }

        /// With --forward https://: file with the certificates, in PEM, of those who may have signed the central's
        forward_ca: PathBuf { value: "FILE", otherwise: "those that browsers trust", example: "/etc/netsage/central-ca.pem" }

        /// With --forward https://: file with the certificate, in PEM, that this program shows
        forward_certificate: PathBuf { value: "FILE", otherwise: "none is shown", example: "/etc/netsage/sensor.pem" }

        /// With --forward-certificate: file with its key, in PEM
        forward_key: PathBuf { value: "FILE", otherwise: "it stands in the file of the certificate", example: "/etc/netsage/sensor.key" }

        /// With --forward kafka://: a setting of librdkafka by its name, as security.protocol=SSL
        forward_setting: Vec<String> { value: "NAME=VALUE", example: "security.protocol=SSL", secret: true }

        /// With --forward kafka://: file with settings of librdkafka, one NAME=VALUE a line
        forward_settings_file: PathBuf { value: "FILE", example: "/run/secrets/netsage-forward" }
    }

    "Store" {
        /// Where flows and alerts are kept: `sqlite:PATH` or `mongodb://...`
        ///
        /// Several programs may share a MongoDB store. A replica set is named by its members and `replicaSet=NAME`; writes are
        /// acknowledged by a majority unless the URL has another `w`. docs/stores.md has more.
        store: String {
            value: "URL",
            otherwise: "netsage.sqlite in the data folder",
            example: "mongodb://localhost/netsage",
            secret: true
        }

        /// File that holds the URL of the store, so that its password stands in no list of processes
        store_url_file: PathBuf { value: "FILE", example: "/run/secrets/netsage-store" }

        /// The data folder: the store, the detectors and the cache of compiled detectors
        ///
        /// Without the variable XDG_DATA_HOME the folder is ~/.local/share/netsage.
        data_dir: PathBuf { value: "DIR", otherwise: "$XDG_DATA_HOME/netsage", example: "/var/lib/netsage" }

        /// File with the key of the hashes of addresses that detectors get, 32 hexadecimal digits
        ///
        /// The file is made when it is absent. Programs whose detectors are to agree on a host, as several scorers of one
        /// stream are, must have the same key: those that share a MongoDB store find it there.
        address_key: PathBuf {
            value: "FILE",
            otherwise: "in a MongoDB store, or address-key in the data folder",
            example: "/etc/netsage/address-key"
        }

        /// With --exit-when-done: how long the store may take nothing before the program ends with status 1
        ///
        /// Without that flag a replay waits for its store for as long as it takes, as live capture does.
        store_timeout: Time { value: "TIME", default: "60s", range: SECOND..=MONTH }

        /// Flows of a live capture that wait while the store takes none; beyond that they are dropped and counted
        ///
        /// A flow takes about 250 bytes.
        store_queue: usize { value: "N", default: "100000", range: 1024..=100_000_000 }

        /// Which flows are kept: all; alerted for those with an alert; or 1/N for these and one in N of the others
        ///
        /// For streams that are larger than any store. Alerts and the counts of the overview are those of all flows: of the
        /// flows that are not kept, up to 128 in 10 s are counted exactly, and more within about 2 %. The id of a flow
        /// chooses it, so that a flow that comes again is kept or left out as before, by whichever program.
        store_flows: StoreFlows { value: "FLOWS", default: "all" }

        /// Most alerts of one detector, protocol, service and hour, beside the one that says how many are held back; none for
        /// no limit
        ///
        /// Programs on one store need the same value. Without this limit and that of `alert-sources`, a flood of forged
        /// addresses makes an alert of each: 2,000,000 SYNs made 1,999,539. Each is written, kept for `alert-retention` and
        /// sent to every output.
        alert_limit: Most { value: "N", default: "1000" }

        /// Most sources that may hit one target and have an alert each; with more the target has one alert for all of them;
        /// none for no limit
        ///
        /// Counted for each detector, protocol, service and hour. Programs on one store need the same value.
        alert_sources: Most { value: "N", default: "16" }

        /// How long flows are kept after they were recorded
        flow_retention: Time { value: "TIME", default: "7d", range: HOUR..=TEN_YEARS }

        /// How long alerts are kept after they last changed
        alert_retention: Time { value: "TIME", default: "365d", range: HOUR..=TEN_YEARS }

        /// Most that the store takes; flows of alerts that are held back go first, then the oldest flows, alerts last
        ///
        /// SQLite has its write-ahead log counted, and does not shrink a file that is larger already.
        store_size: ByteSize { value: "SIZE", default: "10GB", range: SMALLEST_STORE.. }
    }

    "Detectors" {
        /// Detector package to score with, a file or the name of a bundled one
        detector: Vec<String> {
            value: "PKG",
            otherwise: "iforest-generated; for flow-v1 and record-v1 the isolation forest and the rhythm of that name",
            example: "iforest-generated"
        }

        /// Threshold of a detector instead of the one in its model card: NAME=10/day (alerts per day), NAME=fpr:0.001 or
        /// NAME=0.1% (false-positive rate), NAME=p99.9 (percentile) or NAME=0.62 (score); the name fused stands for the
        /// verdict of all detectors together
        ///
        /// The verdict of all detectors together raises alerts only when it has a threshold.
        threshold: Vec<String> {
            value: "NAME=RULE",
            example: "iforest=10/day,half-space-trees=fpr:0.001,fused=p99.99"
        }

        /// Flows in a window of drift, 100 or more
        ///
        /// The flows of each window are compared with the rows of the training.
        drift_flows: u32 { value: "N", default: "5000", range: 100..=10_000_000 }

        /// Watch this folder: a package that is put there is staged, checked and warmed
        ///
        /// The first package of a name becomes active.
        detectors_dir: PathBuf { value: "DIR", otherwise: "none is watched", example: "/var/lib/netsage/incoming" }

        /// Which packages are accepted
        ///
        /// `any` relies on the sandbox; `signed` accepts packages signed by a trusted key, `pinned` packages with a
        /// pinned digest. docs/detectors.md says how to sign.
        trust: Trust { value: "POLICY", default: "any" }

        /// With `--trust signed`: a minisign key, the second line of its `.pub` file
        trusted_key: Vec<String> {
            value: "KEY",
            example: "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
        }

        /// With `--trust pinned`: the SHA-256 digest of a package that is accepted
        pinned_digest: Vec<String> {
            value: "DIGEST",
            example: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        }

        /// What happens to flows that a detector fails to score: closed, open or reload, for all or by name
        ///
        /// With `closed` the flows wait, and the run stops if the detector does not recover. With `open` the flows pass
        /// without a score of the detector and are counted. With `reload` the flows pass too; the detector is
        /// started again, and quarantined when that does not help. POLICY is for all detectors, NAME=POLICY for one.
        on_failure: Vec<String> { value: "[NAME=]POLICY", default: "reload" }

        /// With the policy reload: failures in a row before the detector is quarantined
        failures_before_quarantine: u32 { value: "N", default: "5", range: 1..=1000 }

        /// Time between two saves of the detectors' memory
        save_interval: Time { value: "TIME", default: "60s", range: SECOND..=MONTH }
    }

    "Rollout" {
        /// How far a new version of a detector goes by itself
        rollout: RolloutStage { value: "STAGE", default: "warm" }

        /// Flows that a new version must have scored as shadow, and again as canary, before its next stage
        rollout_flows: u64 { value: "N", default: "1000", range: 1..=1_000_000_000 }

        /// Shortest time of a new version as shadow, and again as canary, before its next stage
        rollout_time: Time { value: "TIME", default: "30s", range: NO_TIME..=MONTH }

        /// Share of the flows of a shadow, unless a step names another
        shadow_share: f64 { value: "SHARE", default: "1", range: Share }

        /// Share of the flows of a canary, unless a step names another
        canary_share: f64 { value: "SHARE", default: "0.1", range: Share }
    }

    "Rollback" {
        /// Calls that a canary must have had before its rates are judged
        ///
        /// The gateway rolls back a canary, or a version promoted a short while ago, that exceeds one of these limits
        /// (docs/detectors.md).
        canary_calls: u64 { value: "N", default: "5", range: 1..=1_000_000_000 }

        /// Largest share of a canary's calls that trap or break the contract
        canary_trap_rate: f64 { value: "RATE", default: "0.01", range: 0.0..=1.0 }

        /// Largest share of a canary's calls that overrun their deadline
        canary_overrun_rate: f64 { value: "RATE", default: "0.01", range: 0.0..=1.0 }

        /// Largest share of a canary's calls with a score that is not finite
        canary_not_finite_rate: f64 { value: "RATE", default: "0", range: 0.0..=1.0 }

        /// Scores that a canary and the active detector must each have given before they are compared
        canary_scores: u64 { value: "N", default: "200", range: 1..=1_000_000_000 }

        /// Largest distance of a canary's scores from those of the active detector, 0 to 1 (docs/detectors.md)
        canary_distance: f64 { value: "DISTANCE", default: "0.25", range: 0.0..=1.0 }

        /// Largest cost per row of a canary, as a multiple of that of the active detector
        canary_cost_ratio: f64 { value: "RATIO", default: "10", range: 1.0..=1e6 }

        /// Time after a promotion in which the limits of a canary hold for the promoted version
        probation: Time { value: "TIME", default: "10min", range: NO_TIME..=MONTH }
    }

    "Server" {
        /// Address of the dashboard and the API
        listen: SocketAddr { value: "ADDR", default: "127.0.0.1:8080" }

        /// Token that every call but that of the health must carry; needed for an address other than loopback
        ///
        /// The dashboard asks for it once. Files of the dashboard need none.
        token: String { value: "TOKEN", example: "change-me-to-something-random", secret: true }

        /// File that holds the token, so that it stands in no list of processes
        token_file: PathBuf { value: "FILE", example: "/run/secrets/netsage-token" }

        /// Name or address that the server may be called by, as the Host header has it
        ///
        /// Loopback names and the address that a call comes to are allowed anyway; calls by any other name are refused,
        /// since a web page can give any name the address of this machine.
        allowed_host: Vec<String> { value: "HOST", example: "netsage.example" }

        /// Networks that webhooks which are set through the API may reach, beside public addresses
        ///
        /// Whoever holds the token can set one. Those of the settings file reach any address.
        webhook_network: Vec<String> { value: "CIDR", example: "10.20.0.0/16" }

        /// Proxies, as networks, whose header X-Forwarded-For names the peer
        ///
        /// The proxy must pass the Host header on.
        trusted_proxy: Vec<String> { value: "CIDR", example: "192.0.2.0/24" }

        /// Connections to dashboard and API at a time
        ///
        /// Fewer where the system allows this program fewer open files.
        connections: usize { value: "N", default: "1024", range: 16..=65_536 }

        /// Connections of one peer at a time; an IPv6 peer is its /64
        connections_per_peer: usize { value: "N", default: "256", range: 8..=65_536 }

        /// Memory for the bodies of all calls under way; a largest upload always fits
        body_memory: ByteSize { value: "SIZE", default: "128MiB", range: MIB.. }

        /// Log every call to dashboard and API
        access_log: bool { value: "BOOL", default: "false" }

        /// Largest detector package that may be uploaded, in MiB
        upload_limit: u32 { value: "MIB", default: "64", range: 1..=1024 }
    }

    "Evidence" {
        /// Keep the latest packets in memory of this size, for the packets of an alert
        ///
        /// Packets hold the content of messages: where a token is set, reading packets needs the token.
        // In less memory a busy wire would overwrite a flow before it ends.
        keep_packets: ByteSize { value: "SIZE", otherwise: "none are kept", example: "256MiB", range: MIB.. }
    }

    "Limits" {
        /// Threads that score
        workers: usize { value: "N", otherwise: "the number of processors", example: "2", range: 1..=256 }

        /// Blocks of up to 1,024 flows that may be under way between reading and storing
        queue_blocks: usize { value: "N", default: "64", range: 2..=65_536 }

        /// Memory of one instance of a detector
        // Less holds no instance: the program of a small detector and its stack take this much.
        detector_memory: ByteSize { value: "SIZE", default: "256MiB", range: MIB..=MOST_DETECTOR_MEMORY }

        /// Most core instances that one instance of a detector may consist of
        detector_core_instances: usize { value: "N", default: "64", range: 1..=10_000 }

        /// Time of a call into a detector, before the time for its rows is added
        detector_deadline: Time { value: "TIME", default: "1s", range: TICK..=MONTH }

        /// Time of a call into a detector per row
        detector_row_deadline: Time { value: "TIME", default: "1ms", range: NO_TIME..=MONTH }

        /// Time in which a detector must have started and read its model
        detector_open_deadline: Time { value: "TIME", default: "10s", range: TICK..=MONTH }

        /// Instances of each detector that score at the same time
        detector_instances: usize { value: "N", otherwise: "as many as --workers", example: "2", range: 1..=256 }

        /// Detector packages held at once, whatever their stage
        most_packages: usize { value: "N", default: "64", range: 2..=4096 }
    }

    "Meter" {
        /// Which features flows have; the detectors must be made for them
        ///
        /// docs/features.md has every schema.
        schema: String { value: "SCHEMA", default: "unsw-nb15", one_of: Schema::ALL.map(|schema| schema.id) }

        /// Memory for unfinished flows; when it is full, half-open and idle flows end early
        // In less memory the meter could hold a handful of flows, and its fixed parts alone would take most of it.
        flow_memory: ByteSize { value: "SIZE", default: "64MiB", range: MIB.. }

        /// Meter packets inside tunnels by the flow inside instead of the outer one
        decapsulate: bool { value: "BOOL", default: "false" }

        /// Count link headers in sbytes and dbytes, as Argus does on Ethernet and the dataset does not
        count_link_bytes: bool { value: "BOOL", default: "false" }
    }
}
