// What holds of searching the corpus: [claim, how it is checked, settings of the browser].

import assert from "node:assert/strict";
import { CORPUS } from "../files.mjs";
import { inner, points } from "../page.mjs";

const QUERY = "거실 조명을 꺼 줘.";

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
    await page.click("#search button");
    await page.waitForSelector("#found:not([hidden])");
    const rows = await page.locator("#found-rows tr").allInnerTexts();
    assert.equal(rows.length, Math.min(CORPUS.length, 10));
    results.forEach(({ sentence, score, place }, row) => {
      assert.equal(rows[row], [row + 1, points(score), sentence, place].join("\t"));
    });
    assert.equal(results[0].sentence, CORPUS[0][1]);
  }],

  ["an empty query is asked for, and what the server says is shown", async ({ page }) => {
    await page.waitForSelector("#search-card:not([hidden])");
    await page.click("#search button");
    assert.equal(await inner(page, "#search-error"), "찾을 문장을 적어 주세요.");
    await page.route("**/search", (route) => route.abort("connectionrefused"));
    await page.fill("#query", QUERY);
    await page.press("#query", "Tab");
    await page.click("#search button");
    await page.waitForFunction(() => document.querySelector("#search-error").textContent.includes("연결"));
  }],
];
