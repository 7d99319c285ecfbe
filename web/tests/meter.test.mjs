// The flow meter gives the same rows in wasm as natively, in every schema, also when its memory runs short; and so does the
// reader of records.
//
// NETSAGE_BIN names the program, NETSAGE_CAPTURE a capture, NETSAGE_WEB the folder of the built dashboard. Numbers are
// printed with all the digits that tell them apart, so that equal text is equal bits.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const { NETSAGE_BIN: program, NETSAGE_CAPTURE: capture, NETSAGE_WEB: web } = process.env;
const skip = program && capture && web ? false : "skipped: NETSAGE_BIN, NETSAGE_CAPTURE and NETSAGE_WEB are not all given";

/** The Lab's module. Its script says nothing about being a module of Node, so it is handed over as text. */
async function lab() {
  const script = await readFile(join(web, "lab/lab.js"));
  const module = await import(`data:text/javascript;base64,${script.toString("base64")}`);
  module.initSync({ module: await readFile(join(web, "lab/lab_bg.wasm")) });
  return module;
}

async function native(file, schema, mebibytes) {
  const flags = ["flows", file, "--schema", schema, "--flow-memory", `${mebibytes}MiB`];
  const { stdout } = await promisify(execFile)(program, flags, { encoding: "buffer", maxBuffer: 1 << 30 });
  return stdout;
}

/** Compares the rows of a file on both sides, line by line. */
async function same(file, schema, mebibytes) {
  const inWasm = (await lab()).flows_csv(await readFile(file), schema, mebibytes << 20);
  const onHost = await native(file, schema, mebibytes);
  const lines = (bytes) => Buffer.from(bytes).toString("latin1").split("\n");
  const [one, other] = [lines(onHost), lines(inWasm)];
  assert.ok(one.length > 1000, "a file with enough flows to compare");
  assert.equal(one.length, other.length, "numbers of rows");
  const differing = one.findIndex((line, row) => line !== other[row]);
  assert.equal(differing, -1, `line ${differing + 1}:\n${one[differing]}\n${other[differing]}`);
}

/** A log of Zeek, not in the order of its ends, as no log is. */
function zeekLog() {
  const row = (number) => {
    const [start, port, packets] = [1767603600 + (number * 7919) % 3600, 1024 + number, 1 + (number % 9)];
    const duration = (number % 90) / 7;
    const source = `192.0.2.${number % 17}`;
    const bytes = packets * (40 + (number % 900));
    return [start, `C${number}`, source, port, "198.51.100.9", 443, "tcp", "ssl", duration.toFixed(6),
      number % 3 ? "SF" : "S0", packets, bytes, number % 3 ? packets + 1 : 0, number % 3 ? 900 : 0].join("\t");
  };
  const fields = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration conn_state orig_pkts " +
    "orig_ip_bytes resp_pkts resp_ip_bytes";
  return [`#fields\t${fields.replaceAll(" ", "\t")}`, ...Array.from({ length: 5000 }, (_, number) => row(number)), ""];
}

for (const schema of ["unsw-nb15", "flow-v1", "record-v1"]) {
  for (const mebibytes of [64, 1]) {
    test(`rows of ${schema} are the same in wasm, with ${mebibytes} MiB for flows`, { skip }, async () => {
      await same(capture, schema, mebibytes);
    });
  }
}

test("rows of records are the same in wasm", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "netsage-records-"));
  try {
    const log = join(folder, "conn.log");
    await writeFile(log, zeekLog().join("\n"));
    await same(log, "record-v1", 64);
  } finally {
    await rm(folder, { recursive: true });
  }
});
