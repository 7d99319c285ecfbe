//! Detectors written in WebAssembly text: one that behaves, and variations that do not.

use netsage_package::Package;
use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../wit/detector.wit");

/// A session and a block, as the functions that take a block get them.
const BLOCK: &str = "(param $self i32) (param $rows i32) (param $values i32) (param $length i32)
    (param $has_starts i32) (param $starts i32) (param $start_count i32)
    (param $has_sources i32) (param $sources i32) (param $source_count i32)
    (param $has_destinations i32) (param $destinations i32) (param $destination_count i32)";

/// Where things lie in the memory of the detector.
const DESCRIPTION: u32 = 0;
const INPUTS: u32 = 64;
const PROPERTIES: u32 = 96;
const COLUMN_NAMES: u32 = 128;
const TEXTS: u32 = 4096;

/// What the detector is made of. The default scores a row with the value of its first column, and explains
/// it with that column alone.
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// The schema that it names by its property, if any.
    pub schema: Option<&'static str>,
    /// Its state key, by the number that the contract gives it.
    pub state_key: u8,
    /// Whether it exports `explainer`.
    pub explains: bool,
    /// Whether it exports `memory` and `learner`: it counts the rows it was taught in `$learnt`, which is its state.
    pub learns: bool,
    /// Which context it asks for: start time, source, destination.
    pub context: [bool; 3],
    /// The columns that it asks for.
    pub columns: Vec<String>,
    /// The number of columns that it claims to read, where the claim is false.
    pub column_count: Option<u32>,
    /// Runs first in `open`; returns the place of an answer or falls through.
    pub open: &'static str,
    /// Runs first in `score`.
    pub score: &'static str,
    /// Runs first in `explain`.
    pub explain: &'static str,
    /// Runs first in `restore`.
    pub restore: &'static str,
    /// Runs when the module is instantiated.
    pub start: &'static str,
    /// Fields of the module beside its own.
    pub fields: String,
    /// The length that it claims for its summary, where the claim is false.
    pub summary_bytes: Option<u32>,
    /// Pages of 64 KiB.
    pub pages: u32,
    /// Changes the contract it is built for.
    pub wit: fn(&str) -> String,
}

/// A card for the default detector.
pub const CARD: &str = r#"{"format":1,"schema":"unsw-nb15@1","data":"Made for tests.","rows":0,
    "columns":["dur","sbytes"],"seed":0,"date":"2026-01-01","threshold":990,"threshold_rule":"","calibration":[],
    "figures":{},"notes":[]}"#;

/// For `score` of one that learns: the first row gets the number of rows it has learnt.
pub const SCORE_LEARNT: &str = "(f32.store (local.get $values) (f32.convert_i32_u (global.get $learnt)))";

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: "recipe".to_owned(),
            schema: Some("unsw-nb15@1"),
            state_key: 0,
            explains: true,
            learns: false,
            context: [false; 3],
            columns: vec!["dur".to_owned(), "sbytes".to_owned()],
            column_count: None,
            open: "",
            score: "",
            explain: "",
            restore: "",
            start: "",
            fields: String::new(),
            summary_bytes: None,
            pages: 64,
            wit: str::to_owned,
        }
    }
}

impl Recipe {
    /// The package of the component with an artifact and no card.
    pub fn package(&self) -> Package {
        self.package_with(b"model", None)
    }

    /// The package with this artifact and card.
    pub fn package_with(&self, artifact: &[u8], card: Option<&[u8]>) -> Package {
        Package::from_bytes(netsage_package::pack(&self.component(), artifact, card, None).unwrap()).unwrap()
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let wit = (self.wit)(WIT);
        let version = if wit.contains("detector@1.1.0") {
            "1.1.0"
        } else {
            "1.0.0"
        };
        let mut text = self.text(version);
        if wit.contains("columns: func()") {
            text = text.replace("session.inputs", "session.columns");
        }
        let mut module = wat::parse_str(text).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("detector.wit", &wit).unwrap();
        let world = match (self.explains, self.learns) {
            (false, false) => "netsage-detector",
            (true, false) => "explaining-detector",
            (false, true) => "learning-detector",
            (true, true) => "explaining-learning-detector",
        };
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .unwrap()
            .encode()
            .unwrap()
    }

    fn text(&self, version: &str) -> String {
        let interface = format!("netsage:detector/detector@{version}");
        let (data, width) = (self.data(), self.columns.len());
        let explainer = if self.explains {
            self.explainer(version)
        } else {
            String::new()
        };
        let learner = if self.learns {
            self.learner(version)
        } else {
            String::new()
        };
        let Self {
            open,
            score,
            start,
            fields,
            pages,
            ..
        } = self;
        format!(
            r#"(module
  (import "[export]{interface}" "[resource-new]session" (func $new (param i32) (result i32)))
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const 131072))
  (global $calls (mut i32) (i32.const 0))
  (global $learnt (mut i32) (i32.const 0))
  {fields}
  {data}
  (func $start {start})
  (start $start)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  ;; A list of numbers that lie at 32768, as the answer of `score`.
  (func $scores (param $count i32) (result i32)
    (global.set $heap (i32.const 131072))
    (i32.store8 (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 32768))
    (i32.store (i32.const 2056) (local.get $count))
    (i32.const 2048))
  ;; An error with the name of the detector as its text.
  (func $error (param $case i32) (result i32)
    (global.set $heap (i32.const 131072))
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store8 (i32.const 2052) (local.get $case))
    (i32.store (i32.const 2056) (i32.const {TEXTS}))
    (i32.store (i32.const 2060) (i32.const 4))
    (i32.const 2048))
  ;; An answer without a value.
  (func $done (result i32)
    (global.set $heap (i32.const 131072))
    (i32.store8 (i32.const 2048) (i32.const 0))
    (i32.const 2048))
  (func (export "{interface}#describe") (result i32) (i32.const {DESCRIPTION}))
  (func (export "{interface}#[static]session.open")
    (param $artifact i32) (param $bytes i32) (param $id i32) (param $id_bytes i32) (param $version i32)
    (param $columns i32) (param $count i32) (result i32)
    {open}
    (drop (call $done))
    (i32.store (i32.const 2052) (call $new (i32.const 7)))
    (i32.const 2048))
  (func (export "{interface}#[method]session.inputs") (param i32) (result i32) (i32.const {INPUTS}))
  (func (export "{interface}#[method]session.score") {BLOCK} (result i32)
    (local $row i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    {score}
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
      (f32.store
        (i32.add (i32.const 32768) (i32.mul (local.get $row) (i32.const 4)))
        (f32.load (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const {stride})))))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $next)))
    (call $scores (local.get $rows)))
  {explainer}
  {learner}
)"#,
            stride = width * 4,
        )
    }

    fn explainer(&self, version: &str) -> String {
        format!(
            r#"(func (export "netsage:detector/explainer@{version}#explain") {BLOCK} (param $limit i32) (result i32)
    {explain}
    (drop (call $done))
    (i32.store (i32.const 3072) (i32.const 1))      ;; one entry
    (i32.store (i32.const 3076) (i32.const 0))      ;; the first column
    (f32.store (i32.const 3080) (f32.const 0.75))   ;; its share
    (f32.store (i32.const 3084) (f32.const 6))      ;; what is typical
    (i32.store (i32.const 2052) (i32.const 3072)) (i32.store (i32.const 2056) (i32.const 1))
    (i32.store (i32.const 2060) (i32.const 3076)) (i32.store (i32.const 2064) (i32.const 1))
    (i32.store (i32.const 2068) (i32.const 3080)) (i32.store (i32.const 2072) (i32.const 1))
    (i32.store (i32.const 2076) (i32.const 3084)) (i32.store (i32.const 2080) (i32.const 1))
    (i32.const 2048))"#,
            explain = self.explain
        )
    }

    fn learner(&self, version: &str) -> String {
        format!(
            r#"(func (export "netsage:detector/learner@{version}#learn") {BLOCK} (result i32)
    (global.set $learnt (i32.add (global.get $learnt) (local.get $rows)))
    (call $done))
  (func (export "netsage:detector/memory@{version}#save") (param i32) (result i32)
    (i32.store (i32.const 2064) (global.get $learnt))
    (i32.store8 (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 2064))
    (i32.store (i32.const 2056) (i32.const 4))
    (i32.const 2048))
  (func (export "netsage:detector/memory@{version}#restore")
    (param $self i32) (param $state i32) (param $bytes i32) (result i32)
    {restore}
    (global.set $learnt (i32.load (local.get $state)))
    (call $done))"#,
            restore = self.restore
        )
    }

    /// The description and the inputs, as the canonical ABI lays them out.
    fn data(&self) -> String {
        let mut texts = Vec::new();
        let mut pair = |text: &str| {
            let place = TEXTS + texts.len() as u32;
            texts.extend_from_slice(text.as_bytes());
            [place, text.len() as u32]
        };
        let mut description = Vec::new();
        for text in [self.name.as_str(), "1.2.3", "A detector of a test.", "MIT"] {
            description.extend(pair(text).iter().flat_map(|word| word.to_le_bytes()));
        }
        if let Some(bytes) = self.summary_bytes {
            // The third text: its length is the sixth word.
            description[20..24].copy_from_slice(&bytes.to_le_bytes());
        }
        description.extend([self.state_key, 0, 0, 0]);
        let properties: Vec<u8> = self
            .schema
            .iter()
            .flat_map(|schema| [pair("netsage.schema"), pair(schema)].concat())
            .flat_map(u32::to_le_bytes)
            .collect();
        // A property is two texts, of two words each.
        for word in [PROPERTIES, properties.len() as u32 / 16] {
            description.extend(word.to_le_bytes());
        }
        let names: Vec<u8> = self
            .columns
            .iter()
            .flat_map(|name| pair(name))
            .flat_map(u32::to_le_bytes)
            .collect();
        let count = self.column_count.unwrap_or(self.columns.len() as u32);
        let mut inputs: Vec<u8> = [COLUMN_NAMES, count]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        inputs.extend(self.context.map(u8::from));
        [
            (DESCRIPTION, description),
            (INPUTS, inputs),
            (PROPERTIES, properties),
            (COLUMN_NAMES, names),
            (TEXTS, texts),
        ]
        .into_iter()
        .map(|(place, bytes)| {
            let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
                write!(text, "\\{byte:02x}").unwrap();
                text
            });
            format!("(data (i32.const {place}) \"{escaped}\")\n")
        })
        .collect()
    }
}
