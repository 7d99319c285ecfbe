// The same component gives the same scores on the host and in the browser, to the last bit.
//
// Rows of tables of one schema, and flows of a capture in both: those are metered on the host and in the browser.
//
// NETSAGE_BIN names the program, NETSAGE_CSV a CSV in the UNSW-NB15 format (also gzipped), NETSAGE_DATASET a
// part of the dataset itself, NETSAGE_URL a host that knows the detectors. Scores of the host come from its
// command line, those of the browser from the Lab's own worker.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { api, base, serve, skip } from "./browser.mjs";
import { bits, firstDifference, inBrowser, scoreIn } from "./scores.mjs";

const ROWS = 5000;
const { NETSAGE_BIN: program, NETSAGE_CSV: generated, NETSAGE_DATASET: dataset } = process.env;
const unless = (variable, value) => skip || (program && value ? false : `skipped: NETSAGE_BIN and ${variable} are not both given`);

/** The first rows of a CSV, as text. */
async function head(path, rows) {
  const bytes = await readFile(path);
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString("utf8");
  return `${text.trimEnd().split("\n").slice(0, rows + 1).join("\n")}\n`;
}

async function onHost(csv, detector) {
  const folder = await mkdtemp(join(tmpdir(), "netsage-bits-"));
  try {
    const response = await fetch(`${base}/api/v1/detectors/${detector.digest}/package`);
    await writeFile(join(folder, "detector.wasm"), Buffer.from(await response.arrayBuffer()));
    await writeFile(join(folder, "rows.csv"), csv);
    const files = [join(folder, "rows.csv"), "--detector", join(folder, "detector.wasm")];
    const { stdout } = await promisify(execFile)(program, ["score", ...files, "--format", "jsonl"], {
      maxBuffer: 64 << 20,
    });
    const scores = stdout.trimEnd().split("\n").map((line) => scoreIn(JSON.parse(line), detector.name));
    assert.ok(scores.every(Number.isFinite), "every line of the host holds a score");
    return bits(scores);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("the comparison notices a single bit", () => {
  const scores = bits([0.5, 0.25, 0.125]);
  assert.equal(firstDifference(scores, [...scores]), -1);
  for (let bit = 0; bit < 32; bit += 1) {
    const flipped = [scores[0], (scores[1] ^ (1 << bit)) >>> 0, scores[2]];
    assert.equal(firstDifference(scores, flipped), 1, `bit ${bit}`);
  }
});

/** The detectors of the host, once it has looked into all of their packages. */
async function checked() {
  for (;;) {
    const detectors = await api("/detectors");
    if (detectors.length > 0 && detectors.every(({ stage }) => stage !== "staged")) return detectors;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function agree(table) {
  const csv = await head(table, ROWS);
  const detectors = await checked();
  for (const { detector } of detectors) {
    const [host, chromium] = await Promise.all([onHost(csv, detector), inBrowser(csv, detector.digest)]);
    assert.equal(host.length, ROWS);
    assert.ok(new Set(host).size > 100, "the scores differ from row to row");
    assert.equal(firstDifference(host, chromium), -1, "the first row that differs");
  }
}

test("host and browser agree on 5,000 generated flows to the last bit", { skip: unless("NETSAGE_CSV", generated), timeout: 600_000 }, () => agree(generated));

test("host and browser agree on 5,000 rows of UNSW-NB15 to the last bit", { skip: unless("NETSAGE_DATASET", dataset), timeout: 600_000 }, () => agree(dataset));

/** The bundled packages of each schema. */
const BUNDLED = {
  "unsw-nb15": ["iforest-generated", "half-space-trees-unsw-nb15", "context-knn-unsw-nb15"],
  "flow-v1": ["iforest-flow-v1", "half-space-trees-flow-v1", "rhythm-flow-v1"],
  "record-v1": ["iforest-record-v1", "half-space-trees-record-v1", "rhythm-record-v1"],
};

for (const [schema, packages] of Object.entries(BUNDLED)) {
  test(`host and browser agree on the flows of a capture in ${schema} to the last bit`, { skip: unless("a program", program), timeout: 600_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "netsage-capture-bits-"));
    let host;
    try {
      const run = (...flags) => promisify(execFile)(program, flags, { cwd: folder, maxBuffer: 64 << 20 });
      await run("synth", "--out", "flows.pcap", "--flows", "2000", "--seed", "5");
      const capture = await readFile(join(folder, "flows.pcap"));
      const named = packages.flatMap((name) => ["--detector", name]);
      let url;
      ({ host, url } = serve(program, ["run", "--pcap", "flows.pcap", "--schema", schema, ...named, "--listen", "127.0.0.1:0"], folder));
      const address = await url;
      const detectors = await (await fetch(`${address}/api/v1/detectors`)).json();
      for (const name of packages) {
        const { stdout } = await run("score", "flows.pcap", "--schema", schema, "--detector", name, "--format", "jsonl");
        const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
        // Other bundled packages are checked meanwhile and may bear the same name.
        const of = detectors.filter(({ detector, stage }) => stage === "active" && lines[0][detector.name] !== undefined);
        assert.equal(of.length, 1, `one package of the host is ${name}`);
        const onHost = bits(lines.map((line) => scoreIn(line, of[0].detector.name)));
        assert.ok(onHost.length > 1_000 && new Set(onHost).size > 100, `${onHost.length} flows of ${name}`);
        const chromium = await inBrowser(capture, of[0].detector.digest, address, "flows.pcap");
        assert.equal(firstDifference(onHost, chromium), -1, `the first flow that differs for ${name}`);
      }
    } finally {
      host?.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    }
  });
}
