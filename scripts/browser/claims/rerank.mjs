// What holds of the page of a server with a reranker: [claim, how it is checked].

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { BASE } from "../files.mjs";
import { points } from "../page.mjs";

const READ = 50; // rows that the page has the reranker read

export const CLAIMS = [
  ["the reranker sorts what the corpus has, where the switch says so", async ({ page, address }) => {
    await page.waitForSelector("#search-rerank-switch:not([hidden])");
    await page.fill("#query", BASE);
    await page.fill("#top-k", "3");
    const shown = async (body) => {
      const headers = { "Content-Type": "application/json" };
      const request = { method: "POST", headers, body: JSON.stringify({ query: BASE, top_k: 3, ...body }) };
      const { results } = await (await fetch(`${address}search`, request)).json();
      const answer = page.waitForResponse("**/search");
      await page.click("#find");
      await answer;
      await page.waitForSelector("#found:not([hidden]):not(.stale)");
      const rows = await page.locator("#found-rows tr").allInnerTexts();
      return { results, rows: rows.map((row) => row.split("\t")) };
    };
    const plain = await shown({});
    plain.results.forEach(({ score, sentence }, row) => {
      assert.deepEqual(plain.rows[row].slice(1, 3), [points(score), sentence]);
    });
    await page.check("#search-rerank");
    const sorted = await shown({ rerank: READ });
    sorted.results.forEach(({ score, rerank_score, sentence }, row) => {
      assert.deepEqual(sorted.rows[row].slice(1, 4), [points(score), points(rerank_score), sentence]);
    });
    assert.equal(sorted.results.length, 3);
    assert.notDeepEqual(sorted.results.map(({ index }) => index), plain.results.map(({ index }) => index));
  }],

  ["the reranker sorts a file's best rows, and the download has its scores", async ({ page, files }) => {
    await page.waitForSelector("#rank-rerank-switch:not([hidden])");
    await page.fill("#base", BASE);
    await page.setInputFiles("#file", files["utf-8.csv"]);
    await page.check("#rank-rerank");
    const answer = page.waitForResponse("**/predict");
    await page.click("#start");
    const { results } = await (await answer).json();
    await page.waitForSelector("#ranking:not([hidden])");
    const rows = (await page.locator("#top tr").allInnerTexts()).map((row) => row.split("\t"));
    assert.ok(rows.length > 1);
    rows.forEach((row, place) => {
      const { index, score, rerank_score, sentence } = results[place];
      assert.deepEqual(row, [place + 1, points(score), points(rerank_score), index, sentence].map(String));
    });
    const download = page.waitForEvent("download");
    await page.click("#download");
    const lines = readFileSync(await (await download).path(), "utf-8").split("\r\n");
    assert.equal(lines[0], "\uFEFFindex,score,rerank_score,sentence");
    assert.ok(lines[1].startsWith(`${results[0].index},`));
    // And without the switch as ever.
    await page.uncheck("#rank-rerank");
    await page.click("#start");
    await page.waitForSelector("#rank-reranked", { state: "hidden" });
  }],
];

export const ALONE = [
  ["a server with a reranker alone compares two sentences, and offers nothing that it cannot do", async ({ page }) => {
    await page.waitForSelector("#rank-card", { state: "hidden" });
    await page.waitForSelector("#search-card", { state: "hidden" });
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#score:not([hidden])");
    const { said } = await page.evaluate(() => ({ said: document.querySelector("#score-said").textContent }));
    assert.match(said, /^\d\.\d\d \/ 5/);
    assert.ok(!said.includes("코사인"));
  }],
];
