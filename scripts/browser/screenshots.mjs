// Pictures of the page, for somebody to look at.

import { join } from "node:path";
import { BASE } from "./files.mjs";

const WIDE = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const SHOTS = [
  ["light", WIDE, "light", "ko-KR"],
  ["dark", WIDE, "dark", "ko-KR"],
  ["english", WIDE, "light", "en-US"],
  ["phone", PHONE, "light", "ko-KR"],
  ["phone-dark", PHONE, "dark", "ko-KR"],
];

export async function takeScreenshots(browser, address, files, folder) {
  for (const [name, screen, colorScheme, locale] of SHOTS) {
    const context = await browser.newContext({ ...screen, colorScheme, locale });
    const page = await context.newPage();
    const picture = (part) => page.screenshot({ path: join(folder, `${name}${part}.png`), fullPage: true });
    await page.goto(address);
    await page.waitForFunction(() => document.querySelector("#model").textContent);
    await picture("-start");
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#score:not([hidden])");
    await page.fill("#base", BASE);
    await page.setInputFiles("#file", files["utf-8.csv"]);
    await page.click("#start");
    await page.waitForSelector("#ranking:not([hidden])");
    await page.fill("#query", BASE);
    await page.click("#add-condition");
    await page.fill(".condition .column", "score");
    await page.selectOption(".condition .operator", "gte");
    await page.fill(".condition .value", "3");
    await page.click("#find");
    await page.waitForSelector("#found:not([hidden])");
    await page.waitForTimeout(400); // the bar grows
    await picture("");
    await page.setInputFiles("#file", files["pairs.csv"]);
    await page.click("#start");
    await page.waitForSelector("#column-choice:not([hidden])");
    await picture("-columns");
    await page.route("**/predict**", (route) => route.abort("connectionrefused"));
    await page.click("#compare button");
    await page.waitForSelector("#compare-error:not([hidden])");
    await page.click("#try");
    await page.waitForSelector("#rank-error:not([hidden])");
    await picture("-error");
    await context.close();
  }
}

/** Those of a server with a reranker. */
export async function takeReranked(browser, address, files, folder) {
  for (const [name, screen, colorScheme, locale] of SHOTS) {
    const context = await browser.newContext({ ...screen, colorScheme, locale });
    const page = await context.newPage();
    await page.goto(address);
    await page.waitForSelector("#search-rerank-switch:not([hidden])");
    await page.fill("#base", BASE);
    await page.setInputFiles("#file", files["utf-8.csv"]);
    await page.check("#rank-rerank");
    await page.click("#start");
    await page.waitForSelector("#ranking:not([hidden])");
    await page.fill("#query", BASE);
    await page.check("#search-rerank");
    await page.click("#find");
    await page.waitForSelector("#found:not([hidden])");
    await page.waitForTimeout(400); // the bar grows
    await page.screenshot({ path: join(folder, `${name}-reranked.png`), fullPage: true });
    await context.close();
  }
}
