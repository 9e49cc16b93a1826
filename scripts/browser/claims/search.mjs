// What holds of searching the corpus: [claim, how it is checked, settings of the browser].

import assert from "node:assert/strict";
import { COLUMNS, CORPUS } from "../files.mjs";
import { inner, points } from "../page.mjs";

const QUERY = "거실 조명을 꺼 줘.";

/** Searches, and waits for the answer. */
async function find(page) {
  const answer = page.waitForResponse("**/search");
  await page.click("#find");
  await answer;
  await page.waitForSelector("#found:not([hidden]):not(.stale)");
}

/** Fills in a condition, a new one after the last. */
async function condition(page, place, column, operator, value) {
  if ((await page.locator(".condition").count()) === place) await page.click("#add-condition");
  const row = page.locator(".condition").nth(place);
  await row.locator(".column").fill(column);
  await row.locator(".operator").selectOption(operator);
  await row.locator(".value").fill(value);
}

export const CLAIMS = [
  ["the corpus's nearest rows are shown as the API gives them, with their columns", async ({ page, address }) => {
    const response = await fetch(`${address}search`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query: QUERY }),
    });
    const { results } = await response.json();
    await page.waitForSelector("#search-card:not([hidden])");
    assert.ok((await inner(page, "#corpus")).includes(String(CORPUS.length)));
    await page.fill("#query", QUERY);
    await page.click("#find");
    await page.waitForSelector("#found:not([hidden])");
    const rows = await page.locator("#found-rows tr").allInnerTexts();
    assert.equal(rows.length, Math.min(CORPUS.length, 10));
    // The table's columns in its order, but that of the sentences, which stands before them.
    results.forEach(({ index, sentence, score }, row) => {
      const others = CORPUS[index].filter((_, column) => COLUMNS[column] !== "text");
      assert.equal(rows[row], [row + 1, points(score), sentence, ...others].join("\t"));
    });
    assert.equal(results[0].sentence, CORPUS[0][1]);
    const head = await page.locator("#found-head th").allInnerTexts();
    assert.deepEqual(head.slice(3), COLUMNS.filter((name) => name !== "text"));
  }],

  ["conditions and a number of results are kept, and what is wrong with them is said", async ({ page }) => {
    await page.waitForSelector("#search-card:not([hidden])");
    await page.fill("#query", QUERY);
    await page.fill("#top-k", "2");
    await find(page);
    assert.equal(await page.locator("#found-rows tr").count(), 2);
    await page.fill("#top-k", "10");
    await condition(page, 0, "score", "gte", "4");
    await condition(page, 1, "place", "any", "집, 식당");
    await condition(page, 2, "verified", "is", '"true"');
    await find(page);
    const sentences = await page.locator("#found-rows .sentence").allInnerTexts();
    assert.deepEqual(sentences.toSorted(), [CORPUS[1][1], CORPUS[2][1]].toSorted());
    await condition(page, 0, "score", "gte", "9");
    await find(page);
    assert.equal(await inner(page, "#found-said"), "조건에 맞는 문장이 없습니다.");
    await condition(page, 0, "stars", "gte", "4");
    await page.click("#find");
    await page.waitForSelector("#search-error:not([hidden])");
    assert.match(await inner(page, "#search-error"), /no column is named "stars"; there are place, text, score/);
    await condition(page, 0, "", "gte", "4");
    await page.click("#find");
    await page.waitForFunction(() => document.querySelector("#search-error").textContent.includes("열 이름"));
    await page.click(".condition >> nth=0 >> .remove");
    await find(page);
    await page.fill("#top-k", "0");
    await page.click("#find");
    await page.waitForFunction(() => document.querySelector("#search-error").textContent.includes("1부터"));
  }],

  ["no word of a result is broken, and on a phone nothing is cut off", async ({ page }) => {
    await page.waitForSelector("#search-card:not([hidden])");
    await page.fill("#query", QUERY);
    await find(page);
    // One line each: a value of one word is as high as another.
    const lines = await page.locator("#found-rows tr:first-child .short, #found-rows tr:first-child .number").evaluateAll(
      (cells) => cells.map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getClientRects().length;
      }));
    assert.ok(lines.every((count) => count <= 1), String(lines));
    const beyond = await page.evaluate(() => {
      const table = document.querySelector("#found-table");
      return [document.documentElement.scrollWidth - innerWidth, table.scrollWidth - table.clientWidth];
    });
    assert.deepEqual(beyond, [0, 0], "pixels that the page and its table are too wide");
  }, { viewport: { width: 360, height: 740 } }],

  ["an empty query is asked for, and what the server says is shown", async ({ page }) => {
    await page.waitForSelector("#search-card:not([hidden])");
    await page.click("#find");
    assert.equal(await inner(page, "#search-error"), "찾을 문장을 적어 주세요.");
    await page.route("**/search", (route) => route.abort("connectionrefused"));
    await page.fill("#query", QUERY);
    await page.press("#query", "Tab");
    await page.click("#find");
    await page.waitForFunction(() => document.querySelector("#search-error").textContent.includes("연결"));
  }],
];
