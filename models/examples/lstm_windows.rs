//! Prints what real windows do to the scores of an LSTM autoencoder, beside windows of one, on the head of the raw
//! dataset UNSW-NB15, which has addresses.
//!
//! `cargo run --release -p netsage-models --example lstm_windows -- NAME.artifact RAW_HEAD.csv.gz`

#![allow(clippy::print_stdout, reason = "an example reports on the terminal")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use netsage_lstm_autoencoder::Autoencoder;
use netsage_models::metrics;
use netsage_package::ModelCard;
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{Rows, UNSW_NB15};

/// Flows looked back on by the counts of the dataset.
const COUNTED: usize = 100;

struct Labelled {
    rows: Rows,
    attack: Vec<bool>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [artifact, raw_head] = arguments.as_slice() else {
        bail!("give NAME.artifact RAW_HEAD.csv.gz");
    };
    let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
    let card = Path::new(artifact).with_extension("card.json");
    windows(
        raw_head,
        &read(Path::new(artifact))?,
        ModelCard::from_json(&read(&card)?)?
            .threshold
            .context("the card has no threshold")?,
    )
}

/// The scores of rows of these sources; each row alone without.
fn scores(model: &mut Autoencoder, rows: &Rows, sources: Option<&[u64]>) -> Result<Vec<f32>> {
    let columns = model.columns().iter();
    let columns = columns.map(|column| UNSW_NB15.index_of(&column.name).context("a column of the schema"));
    let columns = columns.collect::<Result<Vec<usize>>>()?;
    let row = |row: &[f64]| -> Vec<f32> { columns.iter().map(|&column| row[column] as f32).collect() };
    let values: Vec<f32> = rows.iter().flat_map(row).collect();
    let mut scores = Vec::with_capacity(rows.len());
    model.score_block(&values, rows.len(), sources, &mut scores)?;
    Ok(scores)
}

/// Prints what real windows do on rows with addresses, beside windows of one.
fn windows(path: &str, artifact: &[u8], threshold: f32) -> Result<()> {
    let (labelled, sources) = raw_head(path)?;
    let attacks = labelled.attack.iter().filter(|&&attack| attack).count();
    println!(
        "{} rows of the raw dataset, {attacks} of them from the attackers' addresses:",
        sources.len()
    );
    for (name, sources) in [
        ("real windows", Some(sources.as_slice())),
        ("windows of one", None),
    ] {
        let mut model = Autoencoder::decode(artifact)?;
        let scores = scores(&mut model, &labelled.rows, sources)?;
        let evaluation = metrics::evaluate(&scores, &labelled.attack, None, Some(threshold))?;
        let point = evaluation.at_threshold.context("a threshold was given")?;
        println!(
            "{name}: AUROC {:.4}, TPR at FPR 1 % {:.3}, at the threshold TPR {:.3} and FPR {:.4}",
            evaluation.auroc, evaluation.at_fpr_1.tpr, point.tpr, point.fpr
        );
    }
    Ok(())
}

fn unpacked(path: &str) -> Result<BufReader<GzDecoder<File>>> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    Ok(BufReader::new(GzDecoder::new(file)))
}

fn read_csv(input: impl std::io::Read) -> Result<Labelled> {
    let mut reader = Reader::new(BufReader::new(input), &UNSW_NB15)?;
    let mut labelled = Labelled {
        rows: Rows::new(&UNSW_NB15),
        attack: Vec::new(),
    };
    let mut row = CsvRow::default();
    while let Some(outcome) = reader.read_row(&mut row) {
        outcome?;
        labelled.rows.push(&row.values);
        labelled.attack.push(row.label.context("there are no labels")?);
    }
    Ok(labelled)
}

/// The rows of the raw dataset in the form of the partitions, with a number for each source. It has other names for
/// some columns, and neither `rate` nor `ct_dst_src_ltm`, which follow from the others.
fn raw_head(path: &str) -> Result<(Labelled, Vec<u64>)> {
    let mut text = String::new();
    unpacked(path)?.read_to_string(&mut text)?;
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().context("the file is empty")?;
    let named: BTreeMap<String, usize> = header
        .iter()
        .enumerate()
        .map(|(position, name)| {
            let name = match name.to_lowercase().as_str() {
                "smeansz" => "smean".to_owned(),
                "dmeansz" => "dmean".to_owned(),
                "res_bdy_len" => "response_body_len".to_owned(),
                "sintpkt" => "sinpkt".to_owned(),
                "dintpkt" => "dinpkt".to_owned(),
                other => other.to_owned(),
            };
            (name, position)
        })
        .collect();
    let records: Vec<Vec<&str>> = lines.collect();
    let place = |name: &str| {
        named
            .get(name)
            .copied()
            .with_context(|| format!("there is no column {name}"))
    };
    let (source, destination) = (place("srcip")?, place("dstip")?);
    let names: Vec<&str> = UNSW_NB15.columns.iter().map(|column| column.name).collect();
    let mut csv = format!("{},attack_cat,label\n", names.join(","));
    let (mut numbers, mut sources) = (BTreeMap::new(), Vec::new());
    for (at, row) in records.iter().enumerate() {
        let number = |name: &str| -> Result<f64> { Ok(row[place(name)?].trim().parse()?) };
        for name in &names {
            let value = match *name {
                "rate" if number("dur")? > 0.0 => {
                    ((number("spkts")? + number("dpkts")? - 1.0) / number("dur")?).to_string()
                }
                "rate" => "0".to_owned(),
                "ct_dst_src_ltm" => {
                    let before = &records[at.saturating_sub(COUNTED - 1)..=at];
                    let same = before.iter().filter(|other| {
                        other[source] == row[source] && other[destination] == row[destination]
                    });
                    same.count().to_string()
                }
                name => match row[place(name)?].trim() {
                    "" => "0".to_owned(),
                    value => value.to_owned(),
                },
            };
            csv.push_str(&value);
            csv.push(',');
        }
        let attack = row[source].starts_with("175.45.176.");
        csv.push_str(if attack { "attack,1\n" } else { "Normal,0\n" });
        let next = numbers.len() as u64;
        sources.push(*numbers.entry(row[source]).or_insert(next));
    }
    Ok((read_csv(csv.as_bytes())?, sources))
}
