// Runs the claims about the page, each in a browser profile of its own, and counts.
//
//   node main.mjs SERVE MODEL SCREENSHOTS     (run.sh gives these)

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLAIMS as COMPARE } from "./claims/compare.mjs";
import { CLAIMS as PAGE } from "./claims/page.mjs";
import { CLAIMS as RANK } from "./claims/rank.mjs";
import { CLAIMS as SEARCH } from "./claims/search.mjs";
import { writeCorpus, writeFiles } from "./files.mjs";
import { takeScreenshots } from "./screenshots.mjs";
import { startServer } from "./server.mjs";

const { chromium } = createRequire(join(process.env.BROWSER_MODULES, "package.json"))("playwright-core");
const CLAIMS = [...COMPARE, ...RANK, ...SEARCH, ...PAGE];
const PATIENCE_MS = 60_000; // a busy machine starts a page in seconds

async function check([name, claim, settings = {}], browser, address, files) {
  const context = await browser.newContext({ locale: "ko-KR", acceptDownloads: true, ...settings });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const { complaints, open } = watch(page, address);
  try {
    await page.goto(address);
    await claim({ page, address, files });
    if (complaints.length > 0) throw new Error(`the browser complains:\n${complaints.join("\n")}`);
    console.log(`ok      ${name}`);
    return true;
  } catch (error) {
    const waiting = [...open].map((request) => `\nunanswered: ${request.url()}`).join("");
    console.log(`FAILED  ${name}\n${`${error.stack ?? error}${waiting}`.replaceAll(/^/gm, "        ")}`);
    return false;
  } finally {
    await context.close();
  }
}

/** What no page may do: throw, break its Content-Security-Policy, or ask another host. */
function watch(page, address) {
  const complaints = [];
  const open = new Set();
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    // Refused requests are what some claims are about.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      complaints.push(`console: ${message.text()}`);
    }
  });
  page.on("request", (request) => {
    open.add(request);
    const url = request.url();
    if (!url.startsWith(address) && !url.startsWith("blob:")) complaints.push(`asks another host: ${url}`);
  });
  for (const ended of ["requestfinished", "requestfailed"]) page.on(ended, (request) => open.delete(request));
  return { complaints, open };
}

async function main([program, model, screenshots]) {
  const folder = mkdtempSync(join(tmpdir(), "ko-sts-browser-"));
  const server = await startServer(program, model, ["--corpus", writeCorpus(folder, program, model)]);
  let browser;
  let passed = 0;
  try {
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    const files = writeFiles(folder);
    for (const claim of CLAIMS) passed += await check(claim, browser, server.address, files);
    await takeScreenshots(browser, server.address, files, screenshots);
    console.log(`\nscreenshots: ${screenshots}`);
  } finally {
    await browser?.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  }
  console.log(`${passed} passed, ${CLAIMS.length - passed} failed`);
  return passed === CLAIMS.length ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
