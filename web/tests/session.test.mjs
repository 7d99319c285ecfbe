// A host with a token: the dashboard asks for it once, and everything on its pages then works by the session's cookie.
//
// NETSAGE_BIN names the program.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, serve } from "./browser.mjs";

const { NETSAGE_BIN: program } = process.env;
const skip = program ? false : "skipped: NETSAGE_BIN is not given";
const token = "correct-horse-battery";

let browser, folder, host, url;
before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "netsage-session-"));
  const started = serve(program, ["run", "--listen", "127.0.0.1:0", "--data-dir", folder, "--token", token], folder);
  host = started.host;
  url = await started.url;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  host?.kill();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test("The token is exchanged once for a cookie that no script can read", { skip }, async () => {
  // Both pages below belong to one context, so that they share the cookie.
  const context = await browser.newContext();
  const { page } = await open(context, "/", {}, url);
  const sign = async (text) => {
    await page.locator("input[name=token]").fill(text);
    await page.locator(".sign-in button[type=submit]").click();
  };
  await sign("wrong-horse-battery");
  await page.locator(".trouble", { hasText: "not the one" }).waitFor();
  await sign(token);
  await page.locator(".tile").first().waitFor();
  await page.locator(".connection.on").waitFor();
  const [cookie] = await context.cookies();
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, "Strict");
  assert.equal(await page.evaluate(() => document.cookie), "");
  assert.equal(await page.evaluate(() => JSON.stringify(sessionStorage)), "{}");

  // Modules and files of a detector are imported without a header; a write bears the cookie and its origin.
  await page.goto(`${url}/lab`);
  await page.locator("button[name=sample]:enabled").click();
  await page.locator(".matrix").waitFor({ timeout: 60_000 });
  await page.goto(`${url}/detectors`);
  const buffer = Buffer.from("not a component");
  await page.locator("input[name=package]").setInputFiles({ name: "wrong.wasm", mimeType: "application/wasm", buffer });
  await page.locator(".outcome.bad", { hasText: "wrong.wasm was refused" }).waitFor();

  // A page of another origin on the same host reads and changes nothing, although the browser sends it the cookie.
  const other = await context.newPage();
  await other.route("http://127.0.0.1:1/", (route) => route.fulfill({ contentType: "text/html", body: "<p>elsewhere</p>" }));
  await other.goto("http://127.0.0.1:1/");
  const outcome = await other.evaluate(async (url) => {
    const call = (path, how) => fetch(url + path, { ...how, credentials: "include" }).then(() => "answered", () => "refused");
    return [await call("/api/v1/alerts"), await call("/api/v1/session", { method: "POST", mode: "no-cors" })];
  }, url);
  assert.deepEqual(outcome, ["refused", "refused"]);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.locator("input[name=token]").waitFor();
  assert.equal((await context.cookies()).length, 0);
  await context.close();
});
