// The third job, where the server has a corpus: its rows that are nearest to a sentence.

import { search } from "./api.js";
import { element, made, tell } from "./elements.js";
import { filter, offerColumns, startFilter } from "./filter.js";
import { count, onLanguage, points, words } from "./language.js";

const MOST = 1000; // results that the API gives
const RERANKED = 50; // rows that the reranker reads, if it is asked to
const LONG = 24; // characters of a cell that is no longer kept on one line

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
  startFilter();
  onLanguage(draw);
}

/** Shows the job, if the server has a corpus, and the reranker's switch, if it has one. */
export function offerSearch({ corpus_rows, reranker }) {
  rows = corpus_rows ?? 0;
  element("search-card").hidden = !rows;
  element("search-rerank-switch").hidden = !reranker;
  draw();
}

async function find() {
  running?.abort();
  const query = element("query").value.trim();
  if (!query) {
    element("query").focus();
    return show(null, () => words().needQuery);
  }
  const top = Number(element("top-k").value);
  if (!Number.isInteger(top) || top < 1 || top > MOST) {
    element("top-k").focus();
    return show(null, () => words().needTopK(count(MOST)));
  }
  const conditions = filter();
  if (!conditions) return show(null, () => words().needColumn);
  const reread = element("search-rerank").checked ? { rerank: Math.max(top, RERANKED) } : {};
  const mine = (running = new AbortController());
  element("found").classList.add("stale");
  try {
    const got = await search({ query, top_k: top, filter: conditions, ...reread }, mine.signal);
    show(got, () => "");
    if (got.length > 0) offerColumns(got[0].row.map(([name]) => name));
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
  const names = (results[0]?.row ?? []).map(([name]) => name);
  // The column of the sentences stands there already.
  const isSentence = (column) => results.every(({ row, sentence }) => shown(row[column][1]) === sentence);
  const text = names.findIndex((_, column) => isSentence(column));
  const others = [...names.keys()].filter((column) => column !== text);
  const isNumber = (column) => results.every(({ row }) => /^(-?\d|null)/.test(row[column][1]));
  const numbers = new Set(others.filter(isNumber));
  const isReranked = results[0]?.rerank_score !== undefined;
  const head = (className, label) => {
    const cell = made("th", className, label);
    cell.scope = "col";
    return cell;
  };
  element("found-head").replaceChildren(
    head("number", words().place),
    head("number", words().score),
    ...(isReranked ? [head("number", words().reranked)] : []),
    head("sentence", words().sentence),
    ...others.map((column) => head(numbers.has(column) ? "number" : "", names[column])),
  );
  const tableRow = ({ sentence, score, rerank_score, row }, place) =>
    made(
      "tr",
      "",
      made("td", "number rank", String(place + 1)),
      made("td", "number score", points(score)),
      ...(isReranked ? [cell("number score", points(rerank_score), words().reranked)] : []),
      koreanCell("sentence", sentence),
      ...others.map((column) => {
        const value = shown(row[column][1]);
        const className = numbers.has(column) ? "number" : value.length > LONG ? "long" : "short";
        return koreanCell(className, value, names[column]);
      }),
    );
  element("found-table").hidden = results.length === 0;
  element("found-rows").replaceChildren(...results.map(tableRow));
}

/** A cell; its label stands before it where columns have no room beside each other. */
function cell(className, text, label) {
  const found = made("td", className, text);
  if (label) found.dataset.label = label;
  return found;
}

function koreanCell(className, text, label = "") {
  const korean = cell(className, text, label);
  korean.lang = "ko";
  return korean;
}

/** A cell's JSON as a person reads it: text without quotes, nothing for null, all else as it is. */
function shown(json) {
  if (json === "null") return "";
  return json.startsWith('"') ? JSON.parse(json) : json;
}
