// The second job: a base sentence and a table; the rows that come closest, and all of them to download.

import { rankFile } from "./api.js";
import { download } from "./download.js";
import { element, made, tell } from "./elements.js";
import { count, onLanguage, points, words } from "./language.js";
import { EXAMPLE_BASE, EXAMPLE_ROWS } from "./words.js";

const SHOWN = 10;
const HIGHEST = 5;
const RERANKED = 50; // rows that the reranker reads, if it is asked to

let file = null;
let ranking = null; // {results, reading, scored}: the rows best first, how they were read, how many have a score
let complaint = () => ""; // in the page's language, whichever that is by then
let said = () => "";
let isReranked = false;
let columns = []; // [{name, first}]: those of which one has to be chosen
let running = null; // AbortController of the request under way
let mostReranked = RERANKED;
let askForKey;

export function startRank(ask) {
  askForKey = ask;
  element("rank").noValidate = true; // complaints are the page's own, in its language
  element("rank").addEventListener("submit", (event) => {
    event.preventDefault();
    rank();
  });
  element("choose").addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", () => take(element("file").files));
  element("try").addEventListener("click", tryExample);
  element("cancel").addEventListener("click", () => running?.abort());
  element("download").addEventListener("click", () => download(words().downloadName, ranking.results));
  startDropping();
  onLanguage(draw);
}

/** Shows the job, if the server has embeddings, and the reranker's switch, if it has one. */
export function offerRank({ hidden_size, reranker, max_client_batch_size }) {
  element("rank-card").hidden = hidden_size === null;
  element("rank-rerank-switch").hidden = !reranker;
  mostReranked = Math.min(RERANKED, max_client_batch_size);
}

function startDropping() {
  const drop = element("drop");
  // A file dropped beside the field must not replace the page.
  for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
}

function take(files) {
  if (files.length > 1) return show(null, { complain: () => words().oneFile });
  if (files.length === 1) choose(files[0]);
}

function choose(chosen) {
  file = chosen;
  element("file-name").textContent = `${file.name} (${size(file.size)})`;
}

function tryExample() {
  if (running) return;
  element("base").value = EXAMPLE_BASE;
  element("column").value = "";
  choose(new File([["문장", ...EXAMPLE_ROWS].join("\r\n")], words().exampleFile, { type: "text/csv" }));
  rank();
}

async function rank() {
  if (running) return;
  const base = element("base").value.trim();
  if (!base) {
    element("base").focus();
    return show(null, { complain: () => words().needBase });
  }
  if (!file) {
    element("choose").focus();
    return show(null, { complain: () => words().needFile });
  }
  show(null, {});
  running = new AbortController();
  const stop = showProgress(running.signal);
  try {
    const rerank = element("rank-rerank").checked ? mostReranked : 0;
    const asked = { base, file, column: element("column").value.trim(), rerank };
    const got = await rankFile(asked, { onUpload, signal: running.signal });
    stop();
    const scored = got.results.filter(({ score }) => score !== null).length; // empty rows have none
    show({ ...got, scored }, { say: () => (scored ? words().ranked(count(scored)) : words().noSentences) });
    element("ranking").scrollIntoView({ block: "nearest" });
  } catch (problem) {
    stop();
    if (problem.name === "AbortError") return show(null, { say: () => words().cancelled });
    if (!problem.describe) throw problem;
    if (problem.columns.length) return show(null, { ask: problem.columns });
    show(null, { complain: () => problem.describe(words()) });
    if (problem.status === 401) askForKey(rank);
  }
}

/** How much of the file is with the server, from 0 to 1; then the server is at work, and nobody knows how long. */
let uploaded = 0;
let scoringSince = 0;

function onUpload(part) {
  uploaded = part;
  if (part >= 1 && !scoringSince) scoringSince = Date.now();
  drawProgress();
}

/** Shows the progress until the function that it returns is called. */
function showProgress() {
  uploaded = scoringSince = 0;
  busy(true);
  drawProgress();
  const clock = setInterval(drawProgress, 1000);
  return () => {
    clearInterval(clock);
    running = null;
    element("progress-said").textContent = "";
    busy(false);
  };
}

function busy(is) {
  // Not `disabled`, which would take the focus from whoever pressed the button by key.
  for (const id of ["start", "try"]) element(id).setAttribute("aria-disabled", String(is));
  if (document.activeElement === element("cancel")) element("start").focus(); // before it vanishes
  element("progress").hidden = element("cancel").hidden = !is;
}

function drawProgress() {
  if (!running) return;
  if (uploaded < 1) element("bar").value = uploaded;
  else element("bar").removeAttribute("value");
  element("progress-said").textContent =
    uploaded < 1
      ? words().uploading(Math.round(uploaded * 100))
      : words().scoring(Math.round((Date.now() - scoringSince) / 1000));
}

function show(got, { say = () => "", complain = () => "", ask = [] }) {
  ranking = got;
  said = say;
  complaint = complain;
  columns = ask;
  draw();
  if (ask.length) element("column-choices").querySelector("button").focus();
}

function draw() {
  drawProgress();
  tell(element("rank-error"), complaint());
  element("rank-said").textContent = said();
  element("column-choice").hidden = columns.length === 0;
  element("column-choices").replaceChildren(...columns.map(columnButton));
  element("ranking").hidden = !ranking?.scored;
  if (!ranking) return;
  const { results, reading, scored } = ranking;
  const best = results.slice(0, Math.min(scored, SHOWN));
  element("reading").textContent = describe(reading);
  isReranked = best[0].rerank_score !== undefined;
  element("rank-reranked").hidden = !isReranked;
  element("chart-title").textContent = words().best(count(best.length));
  element("chart").replaceChildren(...best.map(chartRow));
  element("top").replaceChildren(...best.map(tableRow));
  element("download-note").textContent = words().downloadNote(count(results.length));
}

function describe({ encoding, delimiter, header, column, truncated }) {
  const { delimiters, read, header: headers, truncated: cut } = words();
  const parts = read({ encoding, delimiter: delimiters[delimiter] ?? delimiter, column });
  return [...parts, headers[header], truncated > 0 && cut(count(truncated))].filter(Boolean).join(" · ");
}

function columnButton({ name, first }) {
  const button = made("button", "column", made("span", "name", name), made("span", "quiet", first));
  button.type = "button";
  button.addEventListener("click", () => {
    element("column").value = name;
    rank();
  });
  return made("li", "", button);
}

function chartRow({ sentence, score, rerank_score }) {
  const bar = made("span", "bar");
  bar.style.setProperty("--filled", isReranked ? part(rerank_score) : Math.min(Math.max(score, 0), HIGHEST) / HIGHEST);
  const label = made("span", "label", sentence);
  label.lang = "ko";
  return made("li", "", label, made("span", "track", bar), made("span", "points", points(rerank_score ?? score)));
}

/** How much of a bar a reranker's score fills: it lies within 0 and 1, or has no bounds. */
function part(score) {
  const isWithin = ranking.results.every(({ rerank_score }) => rerank_score >= 0 && rerank_score <= 1);
  return isWithin ? score : 1 / (1 + Math.exp(-score));
}

function tableRow({ index, sentence, score, rerank_score }, place) {
  const text = made("td", "sentence", sentence);
  text.lang = "ko";
  const scores = isReranked ? [score, rerank_score] : [score];
  const numbers = [String(place + 1), ...scores.map(points), String(index)].map((value) => made("td", "number", value));
  return made("tr", "", ...numbers, text);
}

function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${bytes.toFixed(unit && bytes < 10 ? 1 : 0)} ${units[unit]}`;
}
