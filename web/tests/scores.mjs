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

/** The scores that a package of a host gives the flows of a file (text or bytes), by the Lab's own worker. */
export async function inBrowser(content, digest, host, name = "rows.csv") {
  const base64 = Buffer.from(content).toString("base64");
  const browser = await launch();
  try {
    const { page } = await open(browser, "/lab", {}, host);
    const scores = await page.evaluate(
      ({ base64, digest, name }) =>
        new Promise((resolve, reject) => {
          const worker = new Worker("/lab/worker.js", { type: "module" });
          worker.onerror = (event) => reject(new Error(event.message));
          worker.onmessage = ({ data }) => {
            if (data.type === "error") reject(new Error(data.message));
            if (data.type === "result") resolve([...new Uint32Array(data.scores.buffer)]);
          };
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          worker.postMessage({ type: "run", source: { file: new File([bytes], name) }, digest, api: "/api/v1" });
        }),
      { base64, digest, name },
    );
    return scores;
  } finally {
    await browser.close();
  }
}
