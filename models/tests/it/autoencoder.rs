//! The scores of the bundled autoencoder are those of onnxruntime with the same ONNX file.

use netsage_models::autoencoder;
use netsage_onnx::{Encoder, Scorer};
use netsage_schema::UNSW_NB15;

use crate::peers;
use crate::unsw_nb15::labelled;

const ROWS: usize = 5_000;

/// Checks the model, runs the encoded rows through it and gives the root of the mean squared error of each.
const SCRIPT: &str = "
import base64, json, sys, numpy, onnx, onnxruntime
given = json.load(sys.stdin)
model = onnx.load_model_from_string(base64.b16decode(given['model']))
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
rows = numpy.array(given['rows'], dtype=numpy.float32).reshape(-1, given['width'])
back = session.run(None, {session.get_inputs()[0].name: rows})[0]
errors = (rows.astype(numpy.float64) - back.astype(numpy.float64)) ** 2
json.dump(numpy.sqrt(errors.sum(axis=1) / given['columns']).tolist(), sys.stdout)
";

#[test]
fn the_bundled_autoencoder_agrees_with_onnxruntime() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let artifact = std::fs::read(folder.join("artifacts/autoencoder-unsw-nb15.artifact")).unwrap();
    let Some((_, (rows, _))) = labelled() else {
        return;
    };
    let mut scorer = Scorer::decode(&artifact).unwrap();
    let columns = scorer.columns().to_vec();
    let places: Vec<usize> = columns
        .iter()
        .map(|column| UNSW_NB15.index_of(&column.name).unwrap())
        .collect();
    let values: Vec<f32> = rows
        .iter()
        .take(ROWS)
        .flat_map(|row| places.iter().map(|&place| row[place] as f32))
        .collect();
    let mut scores = Vec::new();
    scorer.score_block(&values, ROWS, &mut scores).unwrap();

    let mut encoder = Encoder::new(&columns).unwrap();
    let encoded = encoder.encode_rows(&values).unwrap();
    let model = autoencoder::onnx(&artifact).unwrap();
    let hex: String = model.iter().map(|byte| format!("{byte:02X}")).collect();
    let given = serde_json::json!({
        "model": hex, "rows": encoded, "width": encoder.width(), "columns": columns.len(),
    });
    let Some(expected) = peers::python(SCRIPT, &given) else {
        return;
    };
    let expected: Vec<f64> = serde_json::from_value(expected).unwrap();
    assert_eq!(expected.len(), ROWS);
    let mut differences: Vec<f64> = scores
        .iter()
        .zip(&expected)
        .map(|(&found, &expected)| (f64::from(found) - expected).abs() / expected)
        .collect();
    differences.sort_by(f64::total_cmp);
    let (median, largest) = (differences[ROWS / 2], differences[ROWS - 1]);
    println!("relative differences from onnxruntime: median {median:.1e}, largest {largest:.1e}");
    assert!(largest <= 1e-5, "{largest:e}");
}
