//! `netsage produce`: sends flows to a topic of Kafka, in real time or faster.

mod flows;
mod pace;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use netsage_console::output::note;
use netsage_console::{Failure, interrupt, progress, say};
use netsage_gateway::config::{MeterArgs, Settings, client_settings};
use netsage_sources::kafka::{Delivered, Producer, ProducerOptions};
use netsage_sources::{Reading, Site};

use crate::reading::How;
use flows::Flows;
use pace::{Pace, Speed};

/// How long an end that was asked for waits for what is under way.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at what has become of flows.
const LOOK: Duration = Duration::from_millis(200);

/// Which partition a key leads to, by the names of librdkafka.
const PARTITIONERS: [&str; 7] = [
    "murmur2",
    "murmur2_random",
    "consistent",
    "consistent_random",
    "fnv1a",
    "fnv1a_random",
    "random",
];

/// Sends flows to a topic of Kafka: one message for each, in the project's own JSON (docs/sources/flow-json.md). Its key is the
/// source address, with the network and a slash before it where the flow names one, so that a host's flows stay in one
/// partition. Without a file, traffic is generated until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  netsage produce --to kafka://localhost:9092/flows
  netsage produce --to kafka://localhost:9092/flows --synth --rate 2000 --flows 100000
  netsage produce --to kafka://localhost:9092/flows --pcap capture.pcap --speed max
  netsage produce --to kafka://broker:9093/flows --records conn.log.gz --speed 10 --kafka-settings-file client.properties")]
pub struct ProduceArgs {
    /// The topic: kafka://HOST:PORT/TOPIC, several brokers of one cluster with commas
    #[arg(long, value_name = "URL")]
    to: String,
    /// Send the flows of this capture
    #[arg(long, value_name = "FILE", group = "file")]
    pcap: Option<PathBuf>,
    /// Send the flows of this table, whose rows are of a schema and say who talked to whom and when
    #[arg(long, value_name = "FILE", group = "file")]
    csv: Option<PathBuf>,
    /// Send these flow records (Zeek, Suricata, Argus, JSON) as they stand, in the order of the file
    #[arg(long, value_name = "FILE", group = "file")]
    records: Option<PathBuf>,
    /// Send generated traffic; so does a command that names no file
    #[arg(long, conflicts_with = "file")]
    synth: bool,
    /// Flows a second of generated traffic, by its own time
    #[arg(long, value_name = "N", conflicts_with = "file", default_value_t = 13,
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Seed of generated traffic
    #[arg(long, value_name = "N", conflicts_with = "file", default_value_t = 1)]
    seed: u64,
    /// How many times as fast as the flows ended; `max` is as fast as the broker takes them
    #[arg(long, value_name = "TIMES", default_value = "1")]
    speed: Speed,
    /// End after so many flows
    #[arg(long, value_name = "N")]
    flows: Option<u64>,
    /// Which partition a key leads to; murmur2 is what Java clients do
    #[arg(long, value_name = "NAME", default_value = PARTITIONERS[0], value_parser = PARTITIONERS)]
    partitioner: String,
    /// A setting of librdkafka by its name, as security.protocol=SSL; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    kafka_setting: Vec<String>,
    /// File with settings of librdkafka, one NAME=VALUE a line, so that passwords stand in no list of processes
    #[arg(long, value_name = "FILE")]
    kafka_settings_file: Option<PathBuf>,
    /// Name of the sensor of flows whose records name none
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    #[command(flatten)]
    meter: MeterArgs,
}

impl ProduceArgs {
    /// Brokers and topic.
    fn target(&self) -> Result<(&str, &str), Failure> {
        let named = self
            .to
            .strip_prefix("kafka://")
            .and_then(|rest| rest.split_once('/'));
        named
            .filter(|(brokers, topic)| !brokers.is_empty() && !topic.is_empty() && !topic.contains('/'))
            .ok_or_else(|| {
                let to = &self.to;
                Failure::Usage(format!(
                    "--to: `{to}` is no topic; name one as kafka://localhost:9092/flows"
                ))
            })
    }
}

/// Sends flows until there are no more, enough were sent, or the user asks to stop.
///
/// # Errors
/// When the flows cannot be read, or the broker does not take them.
pub fn run(args: &ProduceArgs, file: &Settings) -> Result<(), Failure> {
    let (brokers, topic) = args.target()?;
    let how = How::of(&args.meter, file)?;
    let mut producer = Producer::open(&ProducerOptions {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        partitioner: args.partitioner.clone(),
        settings: client_settings(args.kafka_settings_file.as_deref(), &args.kafka_setting)?,
    })?;
    let mut flows = match [&args.pcap, &args.csv, &args.records]
        .into_iter()
        .flatten()
        .next()
    {
        Some(path) => Flows::of_file(path, &how)?,
        None => Flows::generated(args.rate, args.seed, &how),
    };
    let mut site = how.records.site;
    if let Some(sensor) = &args.sensor {
        site.sensor = sensor.as_str().into();
    }
    let stop = interrupt::flag()?;
    let mut report = Report::new(args.flows);
    let damage = send(args, &site, &mut producer, &mut flows, &stop, &mut report)?;
    let asked = stop.load(Ordering::Relaxed).then(Instant::now);
    while producer.under_way() > 0 && asked.is_none_or(|asked| asked.elapsed() < LAST_WAIT) {
        if asked.is_none() && stop.load(Ordering::Relaxed) {
            break;
        }
        producer.check_refusal()?;
        report.look(&producer);
        thread::sleep(LOOK / 10);
    }
    report.end(args, topic, &producer);
    if let Some(unused) = flows.unused() {
        note(unused);
    }
    let Delivered { taken, refused } = producer.delivered();
    if taken < report.sent {
        let reason = (producer.first_refusal().or_else(|| producer.trouble()))
            .unwrap_or_else(|| "the broker had not answered".to_owned());
        let missing = report.sent - taken;
        return Err(anyhow!(
            "kafka:{topic}: {missing} of {} flows were not delivered ({refused} given up): {reason}",
            report.sent
        )
        .into());
    }
    match damage {
        Some(damage) if report.sent == 0 => Err(damage.into()),
        Some(damage) => {
            note(damage);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Sends flows; gives what ended them early.
fn send(
    args: &ProduceArgs,
    site: &Site,
    producer: &mut Producer,
    flows: &mut Flows,
    stop: &AtomicBool,
    report: &mut Report,
) -> Result<Option<netsage_sources::SourceError>, Failure> {
    let mut pace = Pace::new(args.speed);
    let mut records = Vec::new();
    let is_over = || stop.load(Ordering::Relaxed);
    while !is_over() {
        let read = flows.read(&mut records);
        for mut record in records.drain(..) {
            site.name(&mut record);
            if args.flows.is_some_and(|most| report.sent >= most) {
                return Ok(None);
            }
            while let Some(wait) = pace.wait(record.end_us) {
                producer.check_refusal()?;
                report.look(producer);
                if is_over() {
                    return Ok(None);
                }
                thread::sleep(wait.min(LOOK / 10));
            }
            if !producer.send(&record, is_over)? {
                return Ok(None);
            }
            report.sent += 1;
            if report.sent.is_multiple_of(1_024) {
                report.look(producer);
            }
        }
        match read {
            Ok(Reading::GoesOn | Reading::Again) => {}
            Ok(Reading::End) => break,
            Err(damage) => return Ok(Some(damage)),
        }
    }
    Ok(None)
}

/// What the user sees while flows are sent.
struct Report {
    sent: u64,
    began: Instant,
    looked: Instant,
    trouble: Option<String>,
    bar: indicatif::ProgressBar,
}

impl Report {
    fn new(flows: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            sent: 0,
            began: now,
            looked: now,
            trouble: None,
            bar: progress::rated(flows, "sending"),
        }
    }

    fn look(&mut self, producer: &Producer) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        self.bar.set_position(self.sent);
        let Delivered { taken, refused } = producer.delivered();
        let refused = if refused > 0 {
            format!(", {refused} not")
        } else {
            String::new()
        };
        self.bar.set_message(format!("delivered {taken}{refused}"));
        let trouble = producer.trouble();
        if trouble != self.trouble {
            if let Some(trouble) = &trouble {
                self.bar
                    .suspend(|| note(format_args!("the broker does not answer as it should: {trouble}")));
            }
            self.trouble = trouble;
        }
    }

    fn end(&self, args: &ProduceArgs, topic: &str, producer: &Producer) {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let Delivered { taken, .. } = producer.delivered();
        say!(
            "sent {} flows to {topic} in {seconds:.1} s ({:.0} a second), {taken} delivered; keyed by network and source \
             address, partitioner {}",
            self.sent,
            self.sent as f64 / seconds.max(1e-3),
            args.partitioner
        );
    }
}
