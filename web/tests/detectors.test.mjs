// A package lives its life on the Detectors page, in a real Chromium, while flows come.
//
// NETSAGE_BIN names the program, NETSAGE_CAPTURE a capture. The program of this test reads a pipe: flows come when the
// test writes packets into it, a part of the capture at a time.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, open as openFile, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launch, open, serve } from "./browser.mjs";

const { NETSAGE_BIN: program, NETSAGE_CAPTURE: capture } = process.env;
const skip = program && capture ? false : "skipped: NETSAGE_BIN and NETSAGE_CAPTURE are not both given";
const run = promisify(execFile);
const artifacts = join(dirname(fileURLToPath(import.meta.url)), "../../models/artifacts");

/** The parts of a capture, and the pipe that they are written into. */
class Feed {
  static async into(pipe, parts) {
    const bytes = await readFile(capture);
    const feed = new Feed();
    // Opens when the program opens its end.
    feed.opened = openFile(pipe, "w");
    feed.parts = Array.from({ length: parts }, (_, part) =>
      bytes.subarray(Math.floor((bytes.length * part) / parts), Math.floor((bytes.length * (part + 1)) / parts)),
    );
    return feed;
  }

  /** Writes the next part; the program takes it at its own pace. */
  async more() {
    const part = this.parts.shift();
    assert.ok(part, "the capture has no more parts");
    await (await this.opened).writeFile(part);
  }

  async close() {
    await (await this.opened).close();
  }
}

let browser, folder, host, url, feed, variant;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "netsage-life-"));
  const pipe = join(folder, "packets.pcap");
  await run("mkfifo", [pipe]);
  feed = await Feed.into(pipe, 8);
  const card = JSON.parse(await readFile(join(artifacts, "iforest-generated.card.json"), "utf8"));
  card.threshold += 0.01;
  // No flow lasts less than nothing: in this column the traffic is another.
  card.baseline = { rows: 100, columns: [{ column: "dur", edges: [-1], shares: [1, 0] }] };
  await writeFile(join(folder, "card.json"), JSON.stringify(card));
  variant = join(folder, "variant.wasm");
  const artifact = join(artifacts, "iforest-generated.artifact");
  await run(program, ["detector", "pack", "--artifact", artifact, "--card", join(folder, "card.json"), "--out", variant]);
  const flags = ["run", "--pcap", pipe, "--data-dir", folder, "--listen", "127.0.0.1:0", "--canary-share", "0.5", "--drift-flows", "100"];
  ({ host, url } = serve(program, flags, folder));
  await feed.more();
  url = await url;
  browser = await launch();
});

after(async () => {
  if (skip) return;
  await browser?.close();
  host?.kill("SIGKILL");
  await feed?.close().catch(() => {});
  await rm(folder, { recursive: true, force: true });
});

const get = async (path) => (await fetch(`${url}/api/v1${path}`)).json();

/** Waits until the API says so. */
async function until(what, path, holds) {
  for (let turn = 0; turn < 600; turn += 1) {
    if (holds(await get(path))) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited in vain for ${what}: ${JSON.stringify(await get(path))}`);
}

test("A package is staged, shadowed, compared, promoted, rolled back and quarantined", { skip, timeout: 180_000 }, async () => {
  const { page, problems } = await open(browser, "/detectors", {}, url);
  await page.locator(".detector.active").first().waitFor();
  const before = (await get("/detectors")).length;

  await page.locator("input[name=package]").setInputFiles(variant);
  await page.locator(".outcome.good", { hasText: "is here now" }).waitFor();
  await until("the package", "/detectors", (list) => list.length === before + 1 && list.some((info) => info.why && info.stage === "warm"));
  const digest = (await run(program, ["detector", "inspect", variant, "--json"], { cwd: folder })).stdout;
  const card = page.locator(`.detector[data-digest="${JSON.parse(digest).detector.digest}"]`);
  await card.locator(".track li.now", { hasText: "warm" }).waitFor();
  assert.equal(await card.locator(".track li.passed").count(), 2, "staged and checked are behind it");

  const press = (name) => card.locator(`button[name=${name}]`).click();
  const stands = (stage) => card.locator(".track li.now", { hasText: stage }).waitFor();
  await card.locator("input[name=by]").fill("Browser Test");
  await card.locator("input[name=share]").fill("nothing");
  await press("shadow");
  await card.locator(".trouble", { hasText: "is not a share" }).waitFor();
  await card.locator("input[name=share]").fill("100");
  await card.locator("input[name=why]").fill("to see what it says");
  await press("shadow");
  await stands("shadow");
  await card.locator(".state.shadow", { hasText: "100 % of the flows" }).waitFor();

  await feed.more();
  await feed.more();
  const path = `/detectors/${JSON.parse(digest).detector.digest}/comparison`;
  await until("flows of the shadow", path, (comparison) => comparison.flows > 0);
  await card.locator(".comparison .map .cell").first().waitFor();
  await card.locator(".comparison .candidate-line").waitFor();
  // Same forest, other threshold: both give a flow the same score, though a shadow may skip flows for want of time.
  assert.match(await card.locator(".tile", { hasText: "Rank correlation" }).locator(".value").textContent(), /^(1\.000|–)$/);
  const distance = Number(await card.locator(".tile", { hasText: "Distance" }).locator(".value").textContent());
  assert.ok(distance < 0.25, `${distance}`);
  assert.match(await card.locator(".compared").first().getAttribute("aria-label"), /flows? of the candidate/);

  await until("a window of drift", path.replace("comparison", "drift"), (drift) => drift.at !== null);
  await card.locator(".drift-panel summary").click();
  await card.locator(".drift .drift-bar.other").first().waitFor();
  assert.match(await card.locator("svg.drift").getAttribute("aria-label"), /above 0\.25$/);

  const threshold = page.locator("section.threshold").first();
  const name = await threshold.getAttribute("data-name");
  await threshold.locator("input[name=rule]").fill("sometimes");
  await threshold.locator("button[name=set]").click();
  await threshold.locator(".trouble", { hasText: "10/day" }).waitFor();
  await threshold.locator("input[name=rule]").fill("p90");
  await threshold.locator("button[name=try]").click();
  await threshold.locator(".tried", { hasText: "it would have raised" }).waitFor();
  assert.notEqual((await get(`/thresholds/${name}`)).rule, "p90", "it was only tried");
  await threshold.locator("button[name=set]").click();
  await threshold.locator(".in-force", { hasText: "p90 (set here)" }).waitFor();
  assert.equal((await get(`/thresholds/${name}`)).rule, "p90");

  await card.locator("input[name=share]").fill("");
  await press("canary");
  await stands("canary");
  await card.locator(".state.canary", { hasText: "50 % of the flows" }).waitFor();
  await feed.more();
  await until("flows of the canary", path, (comparison) => comparison.flows > 0);
  await card.locator(".comparison .compared").first().waitFor();
  assert.equal(await card.locator(".comparison .map").count(), 0, "a canary scores other flows than the active one");

  await press("promote");
  await stands("active");
  assert.equal(await page.locator(".group .detector").first().getAttribute("data-digest"), JSON.parse(digest).detector.digest);
  await card.locator(".reason", { hasText: "A rollback goes back to" }).waitFor();
  await press("rollback");
  await stands("retired");

  await press("quarantine");
  const question = card.locator("[role=alertdialog]");
  await question.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Leave it");
  await page.keyboard.press("Escape");
  await question.waitFor({ state: "detached" });
  await card.locator("input[name=why]").fill("a test is over");
  await press("quarantine");
  await card.locator("button[name=confirm]").click();
  await stands("quarantined");
  await card.locator(".reason", { hasText: "a test is over" }).waitFor();

  const history = page.locator("table.history tbody tr");
  await history.first().filter({ hasText: "a test is over" }).waitFor();
  const steps = await history.locator("td:nth-child(4)").allTextContents();
  const expected = ["quarantine", "rollback", "promote", "canary", "threshold", "shadow"];
  assert.deepEqual(expected.filter((step) => steps.includes(step)), expected);
  assert.ok((await history.locator("td:nth-child(3)").allTextContents()).includes("Browser Test"));
  // At the width of a phone nothing sticks out.
  await page.setViewportSize({ width: 390, height: 800 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${overflow} px too wide`);
  // The console repeats that the host refused the threshold; the page said it already.
  assert.deepEqual(problems.filter((problem) => !problem.includes("status of 422")), []);
  await page.close();
});
