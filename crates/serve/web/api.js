// Requests to the server, and what can go wrong with them.

import { parts } from "./json.js";

const KEY = "ko-sts.key";
let key = storedKey();

/**
 * A request that brought no result: `status` 0 without an answer; `said` is the server's explanation, if any, and `columns`
 * are those of which the user has to choose one.
 */
export class Problem extends Error {
  constructor(status, said = "", columns = []) {
    super(said || `status ${status}`);
    this.status = status;
    this.said = said;
    this.columns = columns;
  }

  describe(words) {
    const known = words.problems;
    if (this.status === 0) return known.network;
    const own = this.status === 200 ? known.answer : (known[this.status] ?? known.other(this.status));
    return this.said ? `${own} ${words.serverSays}${this.said}` : own;
  }
}

export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Without storage, the key lives as long as the page.
  }
}

/** What is served: `{model_id, …}`. */
export const info = async () => (await get("info")).answer;

/** `{score, cosine, truncated}`: the last is how many of the sentences were cut. */
export async function comparePair(sentence1, sentence2, signal) {
  const { answer, header } = await get(`predict?${new URLSearchParams({ sentence1, sentence2 })}`, signal);
  return { ...answer, truncated: truncated(header) };
}

/**
 * The rows of the corpus that are nearest to a sentence, `request` being the route's, best first:
 * `[{index, sentence, score, perhaps rerank_score, row}]`, where `row` is `[name, JSON text]` for each column, in the
 * table's order.
 */
export async function search(request, signal) {
  const body = JSON.stringify(request);
  const headers = { "Content-Type": "application/json" };
  const { answer, text } = await ask("search", { method: "POST", body, headers, signal });
  const member = (object, name) => parts(object).find(([found]) => found === name)?.[1] ?? "";
  const rows = parts(member(text, "results")).map(([, result]) => parts(member(result, "row")));
  return answer.results.map((result, place) => ({ ...result, row: rows[place] }));
}

const get = (path, signal) => ask(path, { signal });

async function ask(path, options) {
  let response, text;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
    text = await response.text();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(0);
  }
  return { answer: parsed(response.status, text), text, header: (name) => response.headers.get(name) };
}

const truncated = (header) => Number(header("X-Truncated") ?? 0);

/**
 * Scores the rows of a table. One request gives both the best and the whole: with a `top_k` that no file reaches,
 * the answer holds each row's sentence beside its index and score, best first; with `rerank`, those of so many rows.
 *
 * XMLHttpRequest, because fetch does not tell how much has been uploaded.
 */
export function rankFile({ base, file, column, rerank }, { onUpload, signal }) {
  const form = new FormData();
  form.append("base_sentence", base);
  if (column) form.append("column", column);
  if (rerank) form.append("rerank", rerank);
  form.append("top_k", "10000000");
  form.append("file", file); // last, so that the server knows all else when the rows arrive
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "predict");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onUpload(event.loaded / event.total);
    request.upload.onload = () => onUpload(1);
    request.onerror = () => reject(new Problem(0));
    request.onabort = () => reject(new DOMException("", "AbortError"));
    request.onload = () => {
      try {
        const { results } = parsed(request.status, request.responseText);
        if (!Array.isArray(results)) throw new Problem(request.status);
        resolve({ results, reading: reading((name) => request.getResponseHeader(name)) });
      } catch (error) {
        reject(error);
      }
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** How the server read the file. */
function reading(header) {
  return {
    encoding: header("X-Csv-Encoding"),
    delimiter: header("X-Csv-Delimiter"),
    header: header("X-Csv-Header"),
    column: decoded(header("X-Csv-Column")),
    truncated: truncated(header),
  };
}

// A header holds ASCII alone; names in Korean come percent-encoded.
function decoded(value) {
  try {
    return value && decodeURIComponent(value);
  } catch {
    return value;
  }
}

function parsed(status, text) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // A proxy's page, say: the status alone tells.
  }
  if (status >= 200 && status < 300 && answer !== null) return answer;
  const columns = Array.isArray(answer?.columns) ? answer.columns : [];
  throw new Problem(status, typeof answer?.error === "string" ? answer.error : "", columns);
}

const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

function storedKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
