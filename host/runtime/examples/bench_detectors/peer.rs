//! The same network in onnxruntime, with one thread.

use std::env;
use std::process::Command;

use crate::Failure;

/// Times blocks of rows. Inputs have the shapes that the network names; sizes that it leaves open are those of a block
/// for the first and 1 for the others. The fastest of the turns counts.
const SCRIPT: &str = r#"
import sys, time
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rows = int(sys.argv[2])
types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
         "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
inputs = {}
for given in session.get_inputs():
    shape = [size if isinstance(size, int) else (rows if place == 0 else 1) for place, size in enumerate(given.shape)]
    inputs[given.name] = np.ones(shape, dtype=types[given.type])
best = float("inf")
for turn in range(5):
    started = time.perf_counter()
    for _ in range(8):
        session.run(None, inputs)
    best = min(best, time.perf_counter() - started)
print(8 * rows / best)
"#;

/// Rows per second, in blocks of that many; or why there is no figure.
pub(crate) fn rows_per_second(onnx: &[u8], block: usize) -> Result<f64, Failure> {
    let Some(python) = env::var_os("NETSAGE_PYTHON").filter(|path| !path.is_empty()) else {
        let why = env::var("NETSAGE_PYTHON_WHY_NOT");
        return Err(why
            .unwrap_or_else(|_| "NETSAGE_PYTHON names no Python with onnxruntime".to_owned())
            .into());
    };
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, onnx)?;
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(&model)
        .arg(block.to_string())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("onnxruntime does not run this network: {last}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
