// What holds of the page as a whole: [claim, how it is checked, settings of the browser].

import assert from "node:assert/strict";
import { BASE } from "../files.mjs";
import { inner, PAIR, rankFile } from "../page.mjs";

export const CLAIMS = [
  ["a server that cannot be reached is said in words, in both jobs", async ({ page, files }) => {
    await page.route("**/predict**", (route) => route.abort("connectionrefused"));
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#compare-error:not([hidden])");
    assert.match(await inner(page, "#compare-error"), /서버에 연결할 수 없습니다/);
    await rankFile(page, files["utf-8.csv"]);
    await page.waitForSelector("#rank-error:not([hidden])");
    assert.match(await inner(page, "#rank-error"), /서버에 연결할 수 없습니다/);
  }],

  ["overload and answers that are no JSON are said in words", async ({ page }) => {
    await page.route("**/predict**", (route) =>
      route.fulfill({ status: 429, json: { error: "the queue is full", error_type: "Overloaded" } }));
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#compare-error:not([hidden])");
    assert.match(await inner(page, "#compare-error"), /바쁩니다.*the queue is full/);
    await page.unroute("**/predict**");
    await page.route("**/predict**", (route) => route.fulfill({ status: 502, body: "<h1>Bad Gateway</h1>" }));
    await page.click("#examples .example >> nth=0");
    await page.waitForFunction(() => document.querySelector("#compare-error").textContent.includes("502"));
  }],

  ["a key is asked for where the server wants one, sent, and forgotten with the tab", async ({ page }) => {
    await page.route(/predict|info/, (route) =>
      route.request().headers().authorization === "Bearer secret"
        ? route.continue()
        : route.fulfill({ status: 401, json: { error: "no key", error_type: "Unauthorized" } }));
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#key-form:not([hidden])");
    assert.match(await inner(page, "#compare-error"), /API 키/);
    await page.fill("#key", "secret");
    await page.press("#key", "Enter");
    await page.waitForSelector("#score:not([hidden])");
    assert.equal(await page.locator("#key-form[hidden]").count(), 1);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
  }],

  ["the language is the browser's, can be switched, and is remembered", async ({ page, address, files }) => {
    assert.equal(await page.getAttribute("html", "lang"), "ko");
    await rankFile(page, files["utf-8.csv"]);
    await page.click("#examples .example >> nth=0");
    await page.waitForSelector("#ranking:not([hidden])");
    await page.waitForSelector("#score:not([hidden])");
    await page.click("[data-language=en]");
    assert.equal(await page.getAttribute("html", "lang"), "en");
    assert.equal(await page.getAttribute("[data-language=en]", "aria-pressed"), "true");
    // Nothing is left in Korean but the sentences and the button that leads back.
    const korean = await page.evaluate(() => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = [];
      while (walker.nextNode()) {
        const node = walker.currentNode;
        const isContent = node.parentElement.closest("[lang=ko], #reading, noscript");
        if (!isContent && /[가-힣]/.test(node.textContent)) found.push(node.textContent);
      }
      return found;
    });
    assert.deepEqual(korean, []);
    await page.goto(address);
    assert.equal(await page.getAttribute("html", "lang"), "en");
    assert.equal(await inner(page, "#compare-title"), "Compare two sentences");
    assert.match(await inner(page, "#model"), /^Model: ./);
  }],

  ["another browser's language gives English", async ({ page }) => {
    assert.equal(await page.getAttribute("html", "lang"), "en");
    assert.equal(await inner(page, "#rank-title"), "Find similar sentences in a file");
  }, { locale: "de-DE" }],

  ["both jobs can be done by keyboard alone, with the focus in sight", async ({ page, files }) => {
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.language);
    const tabTo = async (id) => {
      for (let presses = 0; presses < 40; presses++) {
        if ((await focused()) === id) return;
        await page.keyboard.press("Tab");
      }
      assert.fail(`Tab never reached ${id}`);
    };
    const chooser = page.waitForEvent("filechooser"); // listened for from here on, before any dialog can open
    await tabTo("sentence1");
    await page.keyboard.insertText(PAIR[0]);
    await tabTo("sentence2");
    await page.keyboard.insertText(PAIR[1]);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#score:not([hidden])");
    await tabTo("base");
    await page.keyboard.insertText(BASE);
    await tabTo("choose");
    await page.keyboard.press("Enter");
    await (await chooser).setFiles(files["utf-8.csv"]);
    await tabTo("start");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#ranking:not([hidden])");
    await tabTo("download");
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    assert.equal(download.suggestedFilename(), "유사도.csv");
  }],

  ["every field and button has a name, and results are announced", async ({ page }) => {
    await page.click("#try");
    await page.waitForSelector("#ranking:not([hidden])");
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("input:not([hidden]), textarea, button")]
        .filter((field) => !(field.labels?.length || field.textContent.trim()))
        .map((field) => field.outerHTML));
    assert.deepEqual(nameless, []);
    for (const id of ["score-said", "rank-said"]) assert.equal(await page.getAttribute(`#${id}`, "role"), "status");
    for (const id of ["compare-error", "rank-error"]) assert.equal(await page.getAttribute(`#${id}`, "role"), "alert");
  }],

  ["a phone of 360 pixels needs no sideways scrolling", async ({ page, files }) => {
    await page.click("#examples .example >> nth=0");
    await rankFile(page, files["utf-8.csv"]);
    await page.waitForSelector("#ranking:not([hidden])");
    await page.waitForSelector("#score:not([hidden])");
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(window, 360);
    assert.ok(content <= window, `the content is ${content} pixels wide`);
  }, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],

  ["text stands out from its ground in light and in dark", async ({ page }) => {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const ratio = await page.evaluate(leastContrast);
      assert.ok(ratio >= 4.5, `contrast ${ratio.toFixed(2)} in ${colorScheme}, expected 4.5 as WCAG asks`);
    }
  }],
];

/** Runs in the page. */
function leastContrast() {
  const luminance = (color) => {
    const [red, green, blue] = color.match(/\d+/g).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (text, ground) => {
    const [low, high] = [luminance(text), luminance(ground)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  const card = style(".card:not([hidden])").backgroundColor;
  const button = style("#start");
  return Math.min(
    contrast(style(".card:not([hidden]) .quiet").color, card),
    contrast(style("a").color, style("body").backgroundColor),
    contrast(button.color, button.backgroundColor),
  );
}
