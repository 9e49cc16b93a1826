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
import { ALONE, CLAIMS as RERANK } from "./claims/rerank.mjs";
import { CLAIMS as SEARCH } from "./claims/search.mjs";
import { writeCorpus, writeFiles, writeReranker } from "./files.mjs";
import { takeReranked, takeScreenshots } from "./screenshots.mjs";
import { startServer } from "./server.mjs";

const { chromium } = createRequire(join(process.env.BROWSER_MODULES, "package.json"))("playwright-core");
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
  const corpus = writeCorpus(folder, program, model);
  const reranker = writeReranker(folder);
  const server = await startServer(program, model, ["--corpus", corpus]);
  const both = await startServer(program, model, ["--corpus", corpus, "--reranker", reranker]);
  const alone = await startServer(program, null, ["--reranker-only", "--reranker", reranker]);
  const claims = [
    ...[...COMPARE, ...RANK, ...SEARCH, ...PAGE].map((claim) => [claim, server]),
    ...RERANK.map((claim) => [claim, both]),
    ...ALONE.map((claim) => [claim, alone]),
  ];
  let browser;
  let passed = 0;
  try {
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    const files = writeFiles(folder);
    for (const [claim, { address }] of claims) passed += await check(claim, browser, address, files);
    await takeScreenshots(browser, server.address, files, screenshots);
    await takeReranked(browser, both.address, files, screenshots);
    console.log(`\nscreenshots: ${screenshots}`);
  } finally {
    await browser?.close();
    await Promise.all([server, both, alone].map((running) => running.stop()));
    rmSync(folder, { recursive: true });
  }
  console.log(`${passed} passed, ${claims.length - passed} failed`);
  return passed === claims.length ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
