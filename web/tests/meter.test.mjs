// The flow meter gives the same rows in wasm as natively, in every schema, also when its memory runs short.
//
// NETSAGE_BIN names the program, NETSAGE_CAPTURE a capture, NETSAGE_WEB the folder of the built dashboard. Numbers are
// printed with all the digits that tell them apart, so that equal text is equal bits.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
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

async function native(schema, mebibytes) {
  const flags = ["flows", capture, "--schema", schema, "--flow-memory", `${mebibytes}MiB`];
  const { stdout } = await promisify(execFile)(program, flags, { encoding: "buffer", maxBuffer: 1 << 30 });
  return stdout;
}

for (const schema of ["unsw-nb15", "flow-v1", "record-v1"]) {
  for (const mebibytes of [64, 1]) {
    test(`rows of ${schema} are the same in wasm, with ${mebibytes} MiB for flows`, { skip }, async () => {
      const inWasm = (await lab()).flows_csv(await readFile(capture), schema, mebibytes << 20);
      const onHost = await native(schema, mebibytes);
      const lines = (bytes) => Buffer.from(bytes).toString("latin1").split("\n");
      const [one, other] = [lines(onHost), lines(inWasm)];
      assert.ok(one.length > 1000, "a capture with enough flows to compare");
      assert.equal(one.length, other.length, "numbers of rows");
      const differing = one.findIndex((line, row) => line !== other[row]);
      assert.equal(differing, -1, `line ${differing + 1}:\n${one[differing]}\n${other[differing]}`);
    });
  }
}
