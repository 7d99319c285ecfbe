// What every browser test needs: a Chromium, the address of a running host, and an eye on errors.
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

/** Where a `netsage run` with alerts listens, e.g. http://127.0.0.1:8080. */
export const base = process.env.NETSAGE_URL?.replace(/\/$/, "");

/** Why tests cannot run, or `false`. */
export const skip = base ? false : "skipped: NETSAGE_URL does not name a running host";

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });

/** A new page of a host; `problems` collects what a user would only see in the console, refusals of the CSP among it. */
export async function open(browser, path, options = {}, host = base) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  await page.goto(host + path);
  return { page, problems };
}

export const api = async (path) => (await fetch(`${base}/api/v1${path}`)).json();

/** Starts a host of one's own: the process, and where it will listen. */
export function serve(program, flags, folder) {
  const host = spawn(program, flags, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const url = new Promise((resolve, reject) => {
    let said = "";
    host.stderr.on("data", (text) => {
      said += text;
      // A line may come in pieces.
      const found = /serving on (\S+)\n/.exec(said);
      if (found) resolve(found[1]);
    });
    host.on("exit", () => reject(new Error(said)));
  });
  url.catch(() => {});
  return { host, url };
}
