// Scores of the host and of the browser, bit by bit.
import assert from "node:assert/strict";
import { launch, open } from "./browser.mjs";

export const bits = (scores) => [...new Uint32Array(Float32Array.from(scores).buffer)];

/** The first row whose scores differ in a bit, or -1. */
export const firstDifference = (one, other) => {
  assert.equal(one.length, other.length, "numbers of scores");
  return one.findIndex((value, row) => value !== other[row]);
};

/** The score in a line of `netsage score --format jsonl`, whatever else the line says. */
export function scoreIn(line, name) {
  const scores = line.scores ?? line;
  const value = Array.isArray(scores) ? scores[0] : (scores[name] ?? scores[`score_${name}`] ?? scores.score);
  return typeof value === "object" ? value.score : value;
}

/** The scores of a package that a host has, by the Lab's own worker. */
export async function inBrowser(csv, digest, host) {
  const browser = await launch();
  try {
    const { page } = await open(browser, "/lab", {}, host);
    const scores = await page.evaluate(
      ({ csv, digest }) =>
        new Promise((resolve, reject) => {
          const worker = new Worker("/lab/worker.js", { type: "module" });
          worker.onerror = (event) => reject(new Error(event.message));
          worker.onmessage = ({ data }) => {
            if (data.type === "error") reject(new Error(data.message));
            if (data.type === "result") resolve([...new Uint32Array(data.scores.buffer)]);
          };
          worker.postMessage({ type: "run", source: { file: new File([csv], "rows.csv") }, digest, api: "/api/v1" });
        }),
      { csv, digest },
    );
    return scores;
  } finally {
    await browser.close();
  }
}
