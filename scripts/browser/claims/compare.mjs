// What holds of comparing two sentences: [claim, how it is checked, settings of the browser].

import assert from "node:assert/strict";
import { inner, points, PAIR } from "../page.mjs";

/** The API's own score of a pair: what the page shows is compared with it. */
async function scoreOf(address, [sentence1, sentence2]) {
  const response = await fetch(`${address}predict?${new URLSearchParams({ sentence1, sentence2 })}`);
  assert.equal(response.status, 200);
  return response.json();
}

const within = (score) => Math.min(Math.max(score, 0), 5);

export const CLAIMS = [
  ["a pair is scored as the API scores it, with the meaning of the nearest level", async ({ page, address }) => {
    const { score, cosine } = await scoreOf(address, PAIR);
    await page.fill("#sentence1", PAIR[0]);
    await page.fill("#sentence2", PAIR[1]);
    await page.click("#compare button");
    await page.waitForSelector("#score:not([hidden])");
    const said = await inner(page, "#score-said");
    assert.ok(said.includes(points(score)), said);
    assert.ok(said.includes(cosine.toFixed(3)), said);
    const level = Math.round(within(score));
    assert.equal(await inner(page, "#levels [aria-current] .level"), String(level));
    assert.ok(said.includes(await inner(page, "#levels [aria-current] span:last-child")), said);
    assert.equal(await page.locator("#levels li").count(), 6);
    await page.waitForTimeout(400); // the bar grows
    const width = (part) => page.locator(`#scale ${part}`).evaluate((bar) => bar.getBoundingClientRect().width);
    const [filled, whole] = [await width(".fill"), await width(".track")];
    assert.ok(Math.abs(filled / whole - within(score) / 5) < 0.01, `${filled} of ${whole} pixels for ${score}`);
  }],

  ["an example fills both fields and is scored", async ({ page }) => {
    await page.click("#examples .example >> nth=1");
    await page.waitForSelector("#score:not([hidden])");
    assert.notEqual(await page.inputValue("#sentence1"), "");
    assert.notEqual(await page.inputValue("#sentence2"), "");
  }],

  ["a missing sentence is asked for, and nothing is sent", async ({ page }) => {
    let asked = 0;
    page.on("request", (request) => (asked += request.url().includes("predict")));
    await page.fill("#sentence1", PAIR[0]);
    await page.click("#compare button");
    assert.equal(await inner(page, "#compare-error"), "두 문장을 모두 적어 주세요.");
    assert.equal(await page.evaluate(() => document.activeElement.id), "sentence2");
    assert.equal(asked, 0);
  }],

  ["a sentence that was cut is said to be", async ({ page }) => {
    await page.fill("#sentence1", "비가 온다. ".repeat(400));
    await page.fill("#sentence2", PAIR[1]);
    await page.click("#compare button");
    await page.waitForSelector("#score:not([hidden])");
    assert.match(await inner(page, "#score-said"), /잘라 낸 문장 1개/);
  }],
];
