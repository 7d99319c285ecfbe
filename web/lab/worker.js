// The Lab's worker: reads a file with lab.js (our Rust code) and scores it with the detector component that
// the host has translated for browsers. Everything happens here, off the page; the page ends it at will.
//
// In:  {type: "run", source: {file} | {flows, seed}, digest, api}
//      {type: "describe", rows: [row, ...]}   {type: "explain", row}
// Out: {type: "progress", stage, done, total}
//      {type: "result", scores: Float32Array, labels: Uint8Array, times: Float64Array, summary: JSON, seconds}
//      {type: "rows", json}   {type: "explained", row, json}   {type: "error", message}

import init, { Lab, artifact, schema as schemaOf } from "./lab.js";

const ROWS_PER_BLOCK = 1024;
const CONTRIBUTIONS = 6;
// A file is held in memory as a whole, and WebAssembly has 4 GiB of it at most.
const LARGEST_FILE = 1 << 30;

let lab = null;
let session = null;
let explainer = null;

self.onmessage = async ({ data: message }) => {
  try {
    if (message.type === "run") await run(message);
    else if (message.type === "describe") post("rows", { json: lab.describe(Uint32Array.from(message.rows)) });
    else if (message.type === "explain") post("explained", { row: message.row, json: explain(message.row) });
  } catch (error) {
    post("error", { message: sentence(error) });
  }
};

async function run({ source, digest, api }) {
  if (source.file?.size > LARGEST_FILE) throw new Error("the file is larger than 1 GiB; use `netsage score` for files of this size");
  post("progress", { stage: "load", done: 0, total: 0 });
  const [, detector] = await Promise.all([init({ module_or_path: new URL("./lab_bg.wasm", import.meta.url) }), open(`${api}/detectors/${digest}`)]);
  post("progress", { stage: "read", done: 0, total: 0 });
  explainer = detector.explainer;
  const { rowsOf, columns, context } = openSession(detector);
  lab = source.file
    ? Lab.read(source.file.name, new Uint8Array(await source.file.arrayBuffer()), rowsOf)
    : Lab.sample(source.flows, source.seed, rowsOf);
  lab.choose(columns, context.startTime, context.source, context.destination);

  const rows = lab.rows();
  const scores = new Float32Array(rows);
  const begin = performance.now();
  for (let start = 0; start < rows; start += ROWS_PER_BLOCK) {
    const count = Math.min(ROWS_PER_BLOCK, rows - start);
    const given = session.score(block(start, count));
    if (given.length !== count) throw new Error(`the detector gave ${given.length} scores for ${count} rows`);
    scores.set(given, start);
    post("progress", { stage: "score", done: start + count, total: rows });
  }
  const bad = scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) throw new Error(`the detector gave a score that is no number for row ${bad + 1}`);
  const seconds = (performance.now() - begin) / 1000;
  const result = { scores, labels: lab.labels(), times: lab.times(), summary: lab.summary(), seconds };
  self.postMessage({ type: "result", ...result }, [scores.buffer, result.labels.buffer, result.times.buffer]);
}

// Opens a session for the schema that the package names.
function openSession(detector) {
  const schema = JSON.parse(schemaOf(detector.package, detector.describe().properties.flat()));
  session = detector.Session.open(artifact(detector.package), schema);
  const { columns, context } = session.inputs();
  return { rowsOf: schema.id, columns, context };
}

// Rows from `start` on, as the detector asked for them.
function block(start, count) {
  const [startTime, source, destination] = [lab.starts(start, count), lab.sources(start, count), lab.destinations(start, count)];
  return { rows: count, values: lab.block(start, count), startTime, source, destination };
}

// What the component exports, and the package it came in.
async function open(base) {
  const [module, response] = await Promise.all([import(`${base}/browser/detector.js`), fetch(`${base}/package`)]);
  if (!response.ok) throw new Error(`the host did not give the package (HTTP ${response.status})`);
  const core = async (name) => {
    const answer = await fetch(`${base}/browser/${name}`);
    if (!answer.ok) throw new Error(`the host did not give ${name} (HTTP ${answer.status})`);
    return WebAssembly.compile(await answer.arrayBuffer());
  };
  const world = await module.instantiate(core, {});
  const { detector, explainer } = world;
  return { Session: detector.Session, describe: detector.describe, explainer, package: new Uint8Array(await response.arrayBuffer()) };
}

function explain(row) {
  if (!explainer) throw new Error("this detector does not explain its scores");
  const { columns, weights, typical } = explainer.explain(session, block(row, 1), CONTRIBUTIONS);
  const numbers = [Uint32Array.from(columns), Float32Array.from(weights), Float32Array.from(typical)];
  return lab.explain(row, ...numbers);
}

// A detector's error is {tag, val} in `payload`; our Rust code throws sentences.
function sentence(error) {
  if (typeof error === "string") return error;
  const { tag, val } = error?.payload ?? {};
  if (tag) return `the detector refused (${tag}): ${val}`;
  return error?.message ?? String(error);
}

function post(type, fields) {
  self.postMessage({ type, ...fields });
}
