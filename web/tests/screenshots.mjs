// Writes docs/screenshots/PAGE-THEME.png of the four pages; NETSAGE_URL names a running host with alerts.
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { base, launch, open } from "./browser.mjs";

if (!base) {
  console.error("NETSAGE_URL does not name a running host; start one with `cargo xtask demo`");
  process.exit(2);
}
const folder = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
await mkdir(folder, { recursive: true });

const pages = {
  overview: ["/", async (page) => page.locator(".chart .line").waitFor()],
  alerts: [
    "/alerts",
    async (page) => {
      await page.locator("tbody tr button").first().click();
      await page.locator(".drawer .contributions li").first().waitFor();
    },
  ],
  detectors: [
    "/detectors",
    async (page) => {
      await page.locator(".detector .track").first().waitFor();
      await page.locator("table.history tbody tr").first().waitFor();
    },
  ],
  lab: [
    "/lab",
    async (page) => {
      await page.locator("button[name=sample]:enabled").click();
      await page.locator(".matrix").waitFor({ timeout: 60_000 });
      await page.locator("button.explain").first().waitFor();
    },
  ],
};

const browser = await launch();
for (const [name, [path, ready]] of Object.entries(pages)) {
  for (const colorScheme of ["light", "dark"]) {
    const { page } = await open(browser, path, { colorScheme });
    await ready(page);
    // Lets the connection, the counters and the drawer's movement settle.
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}.png` });
    await page.close();
  }
}
await browser.close();
