// What holds of ranking a file: [claim, how it is checked, settings of the browser].

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { BASE, parseCsv, SENTENCES, TABLE_ROWS } from "../files.mjs";
import { inner, points, rankFile } from "../page.mjs";

const SHOWN = 10;

/** The API's own scores of a file: what the page shows is compared with them. */
async function scoresOf(address, path) {
  const form = new FormData();
  form.append("base_sentence", BASE);
  form.append("file", new Blob([readFileSync(path)]), "file.csv");
  const response = await fetch(`${address}predict`, { method: "POST", body: form });
  assert.equal(response.status, 200);
  return response.json();
}

async function expectedRows(address, path) {
  const scores = await scoresOf(address, path);
  const rows = TABLE_ROWS.map((row) => ({ ...row, score: scores[row.index] }));
  return rows.sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity));
}

/** Checks the chart, the table and the download of a file against the API. */
async function sameRanking(page, address, path) {
  const expected = await expectedRows(address, path);
  const best = expected.slice(0, SHOWN);
  await page.waitForSelector("#ranking:not([hidden])");
  const cells = (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent));
  assert.deepEqual(
    await page.locator("#top tr").evaluateAll(cells),
    best.map(({ index, sentence, score }, place) => [String(place + 1), points(score), String(index), sentence]),
  );
  const charted = await page.locator("#chart .points").allInnerTexts();
  assert.deepEqual(charted, best.map(({ score }) => points(score)));
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  const bytes = readFileSync(await download.path());
  assert.deepEqual([...bytes.subarray(0, 3)], [0xef, 0xbb, 0xbf], "Excel needs the byte order mark");
  const [header, ...rows] = parseCsv(bytes.subarray(3).toString("utf8"));
  assert.deepEqual(header, ["index", "score", "sentence"]);
  const digits = (score) => (score === null ? "" : String(Number(score.toFixed(4)))); // more say nothing
  assert.deepEqual(rows, expected.map(({ index, score, sentence }) => [String(index), digits(score), sentence]));
}

export const CLAIMS = [
  ["a file in UTF-8 is ranked, charted and downloaded whole", async ({ page, address, files }) => {
    await rankFile(page, files["utf-8.csv"]);
    await sameRanking(page, address, files["utf-8.csv"]);
    assert.match(await inner(page, "#reading"), /UTF-8.*쉼표.*‘문장’.*첫 줄은 제목/);
    assert.match(await inner(page, "#rank-said"), new RegExp(`\\b${SENTENCES}개`));
  }],

  ["a file in CP949, as Korean Excel saves it, gives the same", async ({ page, address, files }) => {
    await rankFile(page, files["cp949.csv"]);
    await sameRanking(page, address, files["utf-8.csv"]);
    assert.match(await inner(page, "#reading"), /EUC-KR|CP949/i);
  }],

  ["a file can be dropped on the field", async ({ page, address, files }) => {
    await page.fill("#base", BASE);
    const content = readFileSync(files["utf-8.csv"], "utf8");
    const data = await page.evaluateHandle((content) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([content], "dropped.csv", { type: "text/csv" }));
      return transfer;
    }, content);
    await page.dispatchEvent("#drop", "dragover", { dataTransfer: data });
    assert.equal(await page.locator("#drop.over").count(), 1);
    await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
    assert.match(await inner(page, "#file-name"), /dropped\.csv/);
    await page.click("#start");
    await sameRanking(page, address, files["utf-8.csv"]);
  }],

  ["markup in a file stays text", async ({ page, files }) => {
    await rankFile(page, files["utf-8.csv"]);
    await page.waitForSelector("#ranking:not([hidden])");
    assert.equal(await page.locator("#ranking img").count(), 0);
    assert.doesNotMatch(await page.title(), /taken over/);
  }],

  ["a column can be named, and one that is not there is explained", async ({ page, files }) => {
    await page.fill("#column", "없는 열");
    await rankFile(page, files["utf-8.csv"]);
    await page.waitForSelector("#rank-error:not([hidden])");
    assert.match(await inner(page, "#rank-error"), /서버의 설명: .*없는 열/);
    assert.equal(await page.locator("#ranking[hidden]").count(), 1);
    await page.fill("#column", "문장");
    await page.click("#start");
    await page.waitForSelector("#ranking:not([hidden])");
    assert.equal(await inner(page, "#rank-error"), "");
  }],

  ["where two columns could be meant, the page asks which one", async ({ page, files }) => {
    await page.fill("#column", "");
    await rankFile(page, files["pairs.csv"]);
    await page.waitForSelector("#column-choice:not([hidden])");
    assert.equal(await inner(page, "#rank-error"), "", "a question is no error");
    const choices = await page.locator("#column-choices .column").evaluateAll((all) => all.map((one) => [...one.children].map((part) => part.textContent)));
    assert.deepEqual(choices, [["sentence1", "비가 많이 온다."], ["sentence2", "비가 내린다."], ["score", "4.5"]]);
    await page.click("#column-choices .column >> nth=1");
    await page.waitForSelector("#ranking:not([hidden])");
    assert.equal(await page.locator("#column-choice[hidden]").count(), 1);
    assert.equal(await page.inputValue("#column"), "sentence2");
    assert.match(await inner(page, "#reading"), /열 ‘sentence2’/);
    await page.fill("#column", "");
  }],

  ["a file that is no table is refused in words", async ({ page, files }) => {
    await rankFile(page, files["no-csv.zip"]);
    await page.waitForSelector("#rank-error:not([hidden])");
    assert.match(await inner(page, "#rank-error"), /서버의 설명: ./);
  }],

  ["while a file is at work it says so, and it can be stopped", async ({ page, files }) => {
    let release;
    await page.route("**/predict", async (route) => {
      await new Promise((resolve) => (release = resolve));
      await route.continue().catch(() => {});
    });
    await rankFile(page, files["many.csv"]);
    await page.waitForSelector("#progress:not([hidden])");
    assert.notEqual(await inner(page, "#progress-said"), "");
    await page.click("#cancel");
    assert.equal(await inner(page, "#rank-said"), "그만두었습니다.");
    assert.equal(await page.locator("#progress[hidden]").count(), 1);
    release?.();
    await page.unroute("**/predict");
    await page.click("#start");
    await page.waitForSelector("#ranking:not([hidden])", { timeout: 60_000 });
    assert.match(await inner(page, "#rank-said"), /3,000개/);
  }],
];
