// The third job, where the server has a corpus: its rows that are nearest to a sentence.

import { search } from "./api.js";
import { element, made, tell } from "./elements.js";
import { count, onLanguage, points, words } from "./language.js";

const SHOWN = 10;
const OWN = ["index", "sentence", "score"]; // of a result; what else it has are columns of the corpus

let rows = 0; // of the corpus
let results = null;
let complaint = () => ""; // in the page's language, whichever that is by then
let running = null; // AbortController of the request under way
let askForKey;

export function startSearch(ask) {
  askForKey = ask;
  element("search").noValidate = true; // complaints are the page's own, in its language
  element("search").addEventListener("submit", (event) => {
    event.preventDefault();
    find();
  });
  onLanguage(draw);
}

/** Shows the job, if the server has a corpus of so many rows. */
export function offerSearch(corpusRows) {
  rows = corpusRows ?? 0;
  element("search-card").hidden = !rows;
  draw();
}

async function find() {
  running?.abort();
  const query = element("query").value.trim();
  if (!query) {
    element("query").focus();
    return show(null, () => words().needQuery);
  }
  const mine = (running = new AbortController());
  element("found").classList.add("stale");
  try {
    const got = await search(query, SHOWN, mine.signal);
    show(got, () => "");
    element("found").scrollIntoView({ block: "nearest" });
  } catch (problem) {
    if (mine.signal.aborted) return; // a newer request will answer
    if (!problem.describe) throw problem;
    show(null, () => problem.describe(words()));
    if (problem.status === 401) askForKey(find);
  }
}

function show(got, complain) {
  results = got;
  complaint = complain;
  element("found").classList.remove("stale");
  draw();
}

function draw() {
  element("corpus").textContent = rows ? words().corpus(count(rows)) : "";
  tell(element("search-error"), complaint());
  element("found").hidden = !results;
  if (!results) return;
  element("found-said").textContent = words().found(count(results.length));
  const names = Object.keys(results[0] ?? {}).filter((name) => !OWN.includes(name));
  const heads = [words().place, words().score, words().sentence, ...names];
  const cells = heads.map((head, place) => {
    const cell = made("th", place === 2 ? "sentence" : "", head);
    cell.scope = "col";
    return cell;
  });
  element("found-head").replaceChildren(...cells);
  element("found-rows").replaceChildren(...results.map((row, place) => tableRow(row, place, names)));
}

function tableRow(row, place, names) {
  const text = made("td", "sentence", row.sentence);
  text.lang = "ko";
  const others = names.map((name) => made("td", "", shown(row[name])));
  const numbers = [String(place + 1), points(row.score)].map((value) => made("td", "number", value));
  return made("tr", "", ...numbers, text, ...others);
}

const shown = (value) => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
