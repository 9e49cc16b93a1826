// The first job: two sentences, their score on 0 to 5, and what that level means.

import { comparePair } from "./api.js";
import { element, made, tell } from "./elements.js";
import { count, onLanguage, points, words } from "./language.js";
import { PAIRS } from "./words.js";

const HIGHEST = 5;
const fields = [element("sentence1"), element("sentence2")];

let answer = null; // {score, perhaps cosine, truncated}
let complaint = () => ""; // in the page's language, whichever that is by then
let running = null; // AbortController of the request under way
let askForKey;

export function startCompare(ask) {
  askForKey = ask;
  element("compare").noValidate = true; // complaints are the page's own, in its language
  element("compare").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  for (const field of fields) {
    field.addEventListener("keydown", (event) => {
      // While a syllable is being composed, Enter ends the composition and means nothing more.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      compare();
    });
  }
  for (const pair of PAIRS) {
    const button = made("button", "example", pair.join(" ↔ "));
    button.type = "button";
    button.lang = "ko";
    button.addEventListener("click", () => {
      fields.forEach((field, side) => (field.value = pair[side]));
      compare();
    });
    element("examples").append(button);
  }
  onLanguage(draw);
}

async function compare() {
  running?.abort();
  const empty = fields.find((field) => !field.value.trim());
  if (empty) {
    empty.focus();
    return show(null, () => words().needSentences);
  }
  const mine = (running = new AbortController());
  element("score").classList.add("stale");
  try {
    const got = await comparePair(...fields.map((field) => field.value.trim()), mine.signal);
    show(got, () => "");
    element("score").scrollIntoView({ block: "nearest" }); // on a phone it begins below the screen
  } catch (problem) {
    if (mine.signal.aborted) return; // a newer request will answer
    if (!problem.describe) throw problem;
    show(null, () => problem.describe(words()));
    if (problem.status === 401) askForKey(compare);
  }
}

function show(got, complain) {
  answer = got;
  complaint = complain;
  element("score").classList.remove("stale");
  draw();
}

function draw() {
  tell(element("compare-error"), complaint());
  element("score").hidden = !answer;
  element("score-said").replaceChildren();
  if (!answer) return;
  const { score, cosine, truncated } = answer;
  const within = Math.min(Math.max(score, 0), HIGHEST); // opposite vectors score below 0
  const level = Math.round(within);
  element("score-said").append(
    made("strong", "points", points(score)),
    made("span", "of", ` / ${HIGHEST}`),
    made("span", "meaning", words().levels[level]),
  );
  // A server with a reranker alone has no embeddings.
  if (cosine !== undefined) element("score-said").append(made("span", "quiet", words().cosine(cosine.toFixed(3))));
  if (truncated > 0) element("score-said").append(made("span", "cut", words().truncated(count(truncated))));
  const scale = element("scale");
  scale.style.setProperty("--filled", within / HIGHEST);
  scale.setAttribute("aria-valuenow", within.toFixed(2));
  scale.setAttribute("aria-valuetext", words().said(points(score), level));
  scale.setAttribute("aria-label", words().scale(points(score)));
  const rows = words().levels.map((meaning, value) => levelRow(meaning, value, value === level));
  element("levels").replaceChildren(...rows.reverse()); // the highest on top
}

function levelRow(meaning, value, isCurrent) {
  const row = made("li", "", made("span", "level", String(value)), made("span", "", meaning));
  if (isCurrent) row.setAttribute("aria-current", "true");
  return row;
}
