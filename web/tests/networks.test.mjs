// The steps of docs/detectors/onnx.md, from scikit-learn to a package, as they stand there; and what they made, on the
// host and in Chromium.
//
// NETSAGE_BIN names the program, NETSAGE_PYTHON a Python with scikit-learn, skl2onnx and onnxruntime.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { serve } from "./browser.mjs";
import { bits, firstDifference, inBrowser, scoreIn } from "./scores.mjs";

const { NETSAGE_BIN: program, NETSAGE_PYTHON: python, NETSAGE_PYTHON_WHY_NOT: why } = process.env;
const page = join(dirname(fileURLToPath(import.meta.url)), "../../docs/detectors/onnx.md");
const skip = !program
  ? "skipped: NETSAGE_BIN is not given"
  : !python
    ? `skipped: ${why ?? "NETSAGE_PYTHON names no Python with scikit-learn"}`
    : false;
const run = promisify(execFile);

/** The blocks of code of a page, in order: language and text. */
const blocks = (text) => [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, code }));

/** A folder in which `netsage` and `python3` are the ones of this test. */
async function commands(folder) {
  const bin = join(folder, "bin");
  await mkdir(bin);
  for (const [name, path] of Object.entries({ netsage: resolve(program), python3: python })) {
    await writeFile(join(bin, name), `#!/bin/sh\nexec "${path}" "$@"\n`);
    await chmod(join(bin, name), 0o755);
  }
  return { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, HOME: folder, XDG_DATA_HOME: folder };
}

test("The documented steps make a package that scores alike on the host, in Chromium and in onnxruntime", { skip, timeout: 240_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "netsage-networks-"));
  let host;
  try {
    const env = await commands(folder);
    let printed = "";
    for (const { language, code } of blocks(await readFile(page, "utf8"))) {
      if (language === "python") {
        const [, name] = /^# (\S+\.py)\n/.exec(code);
        await writeFile(join(folder, name), code);
      } else {
        printed += (await run("sh", ["-e", "-c", code], { cwd: folder, env, maxBuffer: 64 << 20 })).stdout;
      }
    }
    // The last step prints how far the scores are from those of onnxruntime.
    const difference = Number(printed.trim().split("\n").at(-1));
    assert.ok(difference <= 1e-5, `the scores differ from those of onnxruntime by ${difference}`);

    const lines = (await readFile(join(folder, "scores.jsonl"), "utf8")).trimEnd().split("\n");
    const onHost = bits(lines.map((line) => scoreIn(JSON.parse(line), "from-sklearn")));
    assert.ok(onHost.length >= 4_000 && new Set(onHost).size > 1_000, `${onHost.length} flows`);

    let url;
    const pipeline = ["run", "--pcap", "calibrate.pcap", "--detector", "network.wasm", "--listen", "127.0.0.1:0"];
    ({ host, url } = serve(program, pipeline, folder));
    const address = await url;
    const detectors = await (await fetch(`${address}/api/v1/detectors`)).json();
    const { detector, card } = detectors.find((info) => info.detector.name === "from-sklearn");
    assert.ok(card.threshold > 0 && card.calibration.length === 101, "the card has a threshold and percentiles");
    const csv = await readFile(join(folder, "train.csv"), "utf8");
    const inChromium = await inBrowser(csv, detector.digest, address);
    assert.equal(firstDifference(onHost, inChromium), -1, "the first flow that differs");
  } finally {
    host?.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
});
