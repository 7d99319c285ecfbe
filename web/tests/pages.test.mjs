// Drives each page in a real Chromium against a running host.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, launch, open, skip } from "./browser.mjs";

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const digits = (text) => Number(text.replace(/\D/g, ""));

test("Overview shows counters, the chart and top sources", { skip }, async () => {
  const { page, problems } = await open(browser, "/");
  await page.locator(".chart .line").waitFor();
  const scored = page.locator(".tile", { hasText: "Flows scored" }).locator(".value");
  assert.ok(digits(await scored.textContent()) > 0);
  await page.locator(".connection.on").waitFor();
  const { top_sources: sources } = await api("/overview");
  assert.equal(await page.locator(".sources li").count(), sources.length);
  if (sources.length > 0) {
    await page.locator(".sources a").first().click();
    await page.waitForURL(/\/alerts\?source=/);
    await page.locator("tbody tr").first().waitFor();
  }
  assert.deepEqual(problems, []);
  await page.close();
});

test("Sensor shows sources, and each partition with lag, position and state", { skip }, async () => {
  const { page, problems } = await open(browser, "/sensor");
  const health = await api("/health");
  const sources = page.getByRole("region", { name: "Sources" }).locator("tbody tr");
  await sources.first().waitFor();
  assert.deepEqual(await sources.locator("code").allTextContents(), health.sources.map((source) => source.name));
  // As a host says that reads a topic.
  const held = { partition: 1, state: "held", position: 1709, committed: 1200, end: 2500, lag: 1300, waiting: 4, passed_over: 0 };
  const fresh = { partition: 2, state: "starting", waiting: 0, passed_over: 7 };
  const topic = { name: "kafka:flows", records: 0, records_rejected: 0, records_late: 0, flows: 0, partitions: [held, fresh] };
  const problem = "partition 1 of topic flows is held up at offset 1709";
  const told = { ...health, problems: [problem], sources: [...health.sources, topic] };
  await page.route("**/api/v1/health", (route) => route.fulfill({ json: told }));
  const rows = page.getByRole("region", { name: "Partitions of kafka:flows" }).locator("tbody tr");
  await rows.first().waitFor();
  const cells = async (row) => (await rows.nth(row).locator("td").allTextContents()).map((text) => text.replace(/\u202f/g, " "));
  assert.deepEqual(await cells(0), ["1", "held up", "1 300", "1 709", "1 200", "2 500", "4", "0"]);
  assert.deepEqual(await cells(1), ["2", "nothing has come yet", "–", "–", "–", "–", "0", "7"]);
  assert.match(await page.getByRole("alert").textContent(), /offset 1709/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("Sensor shows who sends flows, and where flows and alerts go", { skip }, async () => {
  const { page, problems } = await open(browser, "/sensor");
  const health = await api("/health");
  const forward = { target: "https://central", waiting: 12, waiting_bytes: 4096, lag_ms: 48_000, sent: 7_000, given_up: 0, set_aside: 3, cut_off: 0 };
  await page.route("**/api/v1/health", (route) => route.fulfill({ json: { ...health, forward } }));
  const sender = { sensor: "tap-1", network: "", last_seen: 1_700_000_000_000, waiting: 5, lag_ms: 1_500, given_up: 2, set_aside: 1 };
  await page.route("**/api/v1/senders", (route) => route.fulfill({ json: [sender] }));
  const output = { name: "soc", kind: "webhook", set_in: "file", is_leading: true, waiting: 4, delivered: 1_200, filtered: 9, failures: 1, lag: 6, behind_ms: 2_000, refused: 1 };
  const outputs = [output, { ...output, name: "desk", paused: "it answered 401" }, { ...output, name: "spare", is_leading: false }];
  await page.route("**/api/v1/outputs", (route) => route.fulfill({ json: outputs }));
  const rows = async (name) => {
    const found = page.getByRole("region", { name, exact: true }).locator("tbody tr");
    await found.first().waitFor();
    const cells = (row) => row.locator("td").allTextContents();
    return Promise.all((await found.all()).map(cells)).then((rows) => rows.map((row) => row.join(" | ").replace(/\u202f/g, " ")));
  };
  assert.deepEqual(await rows("Forwarding"), ["https://central | sending | 12 | 4.1 kB | 48 s | 7 000 | 0 | 3"]);
  assert.match((await rows("Senders"))[0], /^tap-1 \| – \| 2023-11-1\d \d\d:\d\d:\d\d \| 5 \| 1.5 s \| 2 \| 1$/);
  assert.deepEqual(await rows("Outputs"), [
    "soc | webhook | sending | – | 4 | 2 s | 1 200 | 9 | 1",
    "desk | webhook | paused: it answered 401 | – | 4 | 2 s | 1 200 | 9 | 1",
    "spare | webhook | another program sends | – | 4 | 2 s | 1 200 | 9 | 1",
  ]);
  // What cannot be asked for is said.
  await page.route("**/api/v1/outputs", (route) => route.fulfill({ status: 500, json: { title: "no", detail: "no answer", status: 500 } }));
  await page.getByText("The outputs cannot be shown").waitFor();
  assert.deepEqual(problems.filter((problem) => !/status of 500/.test(problem)), []);
  await page.close();
});

test("Alerts can be filtered, read and moved through their states", { skip }, async () => {
  const { page, problems } = await open(browser, "/alerts");
  await page.locator("tbody tr").first().waitFor();
  const { items } = await api("/alerts");
  const { source } = items[0];
  // A host with much to look through answers with a page of nothing and a cursor.
  await page.route(/\/api\/v1\/(alerts|flows)\?/, (route) => {
    const url = new URL(route.request().url());
    if (!url.searchParams.has("cursor")) return route.fulfill({ json: { items: [], next: "far" } });
    url.searchParams.delete("cursor");
    return route.continue({ url: url.href });
  });
  await page.locator("input[name=source]").fill(source);
  await page.locator("input[name=source]").press("Enter");
  await page.locator("tbody tr").first().waitFor();
  const known = items.filter((alert) => alert.source === source).length;
  await page.waitForFunction((least) => document.querySelectorAll("tbody tr").length >= least, known);
  const addresses = await page.locator("tbody tr td:nth-child(4)").allTextContents();
  assert.ok(addresses.every((address) => address === source), addresses.join());

  await page.locator("tbody tr button").first().click();
  const drawer = page.locator(".drawer");
  await drawer.locator(".contributions li").first().waitFor();
  assert.match(await drawer.locator(".values").first().textContent(), /seen .*typical /);
  // Every detector that scored the flow, and what they say together.
  await drawer.locator(".verdicts dd").first().waitFor();
  const press = (name) => drawer.getByRole("button", { name, exact: true }).click();
  const button = (name) => drawer.getByRole("button", { name, exact: true }).waitFor();
  await drawer.locator("button.primary").waitFor();
  if (await drawer.getByRole("button", { name: "Reopen" }).count()) await press("Reopen");
  if (await drawer.getByRole("button", { name: "Back to new" }).count()) await press("Back to new");
  await button("Acknowledge");
  await drawer.locator("input[name=by]").fill("");
  await press("Acknowledge");
  await drawer.getByText("Please say who you are").waitFor();
  await drawer.locator("input[name=by]").fill("Browser Test");
  await press("Acknowledge");
  await drawer.getByText("acknowledged by Browser Test").waitFor();
  await press("Close");
  await button("Reopen");
  await press("Reopen");
  await drawer.getByText("new by Browser Test").waitFor();
  // The host of these tests keeps packets.
  const download = page.waitForEvent("download");
  await press("Save the flow's packets");
  assert.match((await download).suggestedFilename(), /^alert-[0-9a-f]{32}\.pcapng$/);
  // The focus stays in the drawer however far one tabs, and goes back to the row that opened it.
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("Tab");
    const outside = await page.evaluate(() => document.activeElement.closest("header.top, main") !== null && document.activeElement.closest("dialog") === null);
    assert.equal(outside, false, `after ${step + 1} tabs`);
  }
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? ""), /^Details of the alert/);
  assert.match(await page.title(), /^Alerts/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("Detectors shows what runs and refuses what is no package", { skip }, async () => {
  const { page, problems } = await open(browser, "/detectors");
  const known = await api("/detectors");
  await page.locator(".detector").first().waitFor();
  assert.equal(await page.locator(".detector").count(), known.length);
  assert.equal(await page.locator(".detector.active").count(), known.filter(({ stage }) => stage === "active").length);
  // What a reader opened stays open while the figures move.
  await page.locator(".detector .model-card summary").first().click();
  const listed = () => page.waitForResponse((response) => response.url().endsWith("/api/v1/detectors"), { timeout: 30_000 });
  await listed();
  await listed();
  assert.equal(await page.locator(".detector .model-card[open]").count(), 1);
  const buffer = Buffer.from("not a component");
  await page.locator("input[name=package]").setInputFiles({ name: "wrong.wasm", mimeType: "application/wasm", buffer });
  await page.locator(".outcome.bad", { hasText: "wrong.wasm was refused" }).waitFor();
  // The browser itself reports the refused upload; nothing else may be wrong.
  assert.deepEqual(problems.filter((problem) => !problem.includes("Failed to load resource")), []);
  await page.close();
});

test("Lab scores the sample; the matrix follows the slider; a row explains itself", { skip }, async () => {
  const { page, problems } = await open(browser, "/lab");
  await page.locator("button[name=sample]:enabled").click();
  await page.locator(".matrix").waitFor({ timeout: 60_000 });
  const cell = async (name) => digits(await page.locator(`[data-cell=${name}]`).textContent());
  const cells = async () => [await cell("found"), await cell("missed"), await cell("false-alarms"), await cell("quiet")];
  const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
  const start = await cells();
  assert.ok(sum(start) > 500, start.join());
  const slide = (end) =>
    page.locator("input[name=threshold]").evaluate((input, end) => {
      input.value = input[end];
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }, end);
  await slide("max");
  const quiet = await cells();
  assert.ok(quiet[0] + quiet[2] <= 1, quiet.join());
  await slide("min");
  const loud = await cells();
  assert.ok(loud[1] + loud[3] <= 1, loud.join());
  assert.equal(sum(loud), sum(start));
  await page.locator("button.explain").first().click();
  await page.locator(".explanation .contributions li").first().waitFor();
  assert.deepEqual(problems, []);
  await page.close();
});

test("Lab says in a sentence what is wrong with a file", { skip }, async () => {
  const { page } = await open(browser, "/lab");
  await page.locator("button[name=sample]:enabled").waitFor();
  const give = (name, text) =>
    page.locator("input[name=file]").setInputFiles({ name, mimeType: "text/csv", buffer: Buffer.from(text) });
  await give("wrong.csv", "a,b\n1,2\n");
  await page.locator(".notice.error", { hasText: "line 1" }).waitFor();
  await give("empty.csv", "");
  await page.locator(".notice.error", { hasText: "empty" }).waitFor();
  await page.close();
});

test("The chosen theme stays", { skip }, async () => {
  const { page } = await open(browser, "/", { colorScheme: "light" });
  await page.getByRole("button", { name: "Use the dark theme" }).click();
  await page.reload();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  await page.getByRole("button", { name: "Use the light theme" }).waitFor();
  await page.close();
});
