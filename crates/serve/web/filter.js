// The conditions of a search: rows of column, operator and value, which become the API's filter.

import { element, made } from "./elements.js";
import { onLanguage, words } from "./language.js";

const OPERATORS = ["is", "any", "gte", "gt", "lte", "lt"];

export function startFilter() {
  element("add-condition").addEventListener("click", () => addCondition().querySelector("input").focus());
  onLanguage(draw);
}

/** Offers the names of columns where one is typed. */
export function offerColumns(names) {
  element("columns").replaceChildren(...names.map((name) => new Option(name)));
}

/** The filter, or null where a condition lacks its column. */
export function filter() {
  const conditions = {};
  for (const row of element("conditions").children) {
    const [column, operator, value] = [".column", ".operator", ".value"].map((part) => row.querySelector(part).value.trim());
    if (!column && !value) continue;
    if (!column) {
      row.querySelector(".column").focus();
      return null;
    }
    const found = Object.hasOwn(conditions, column) ? conditions[column] : undefined;
    conditions[column] = joined(found, operator, value);
  }
  return conditions;
}

/** Bounds of one column hold together; of other conditions the last is asked for. */
function joined(before, operator, value) {
  if (operator === "is") return read(value);
  if (operator === "any") return value.split(",").map((one) => read(one.trim()));
  const isBounds = before && typeof before === "object" && !Array.isArray(before);
  return { ...(isBounds ? before : {}), [operator]: read(value) };
}

/** A number, true, false, null, or what stands in quotes, as JSON has them; all else is text. */
function read(value) {
  try {
    const found = JSON.parse(value);
    return found !== null && typeof found === "object" ? value : found;
  } catch {
    return value;
  }
}

function addCondition() {
  const column = made("input", "column");
  column.setAttribute("list", "columns");
  const operator = made("select", "operator", ...OPERATORS.map((name) => new Option("", name)));
  const value = made("input", "value");
  for (const input of [column, value]) {
    input.autocomplete = "off";
    input.spellcheck = false;
    input.lang = "ko";
  }
  const remove = made("button", "remove", "×");
  remove.type = "button";
  const row = made("div", "condition", column, operator, value, remove);
  remove.addEventListener("click", () => {
    row.remove();
    element("add-condition").focus();
  });
  element("conditions").append(row);
  draw();
  return row;
}

function draw() {
  for (const row of element("conditions").children) {
    const label = (part, text) => row.querySelector(part).setAttribute("aria-label", text);
    label(".column", words().conditionColumn);
    label(".operator", words().conditionOperator);
    label(".value", words().conditionValue);
    label(".remove", words().conditionRemove);
    row.querySelector(".column").placeholder = words().conditionColumn;
    row.querySelector(".value").placeholder = words().conditionValue;
    for (const option of row.querySelector(".operator").options) option.textContent = words().operators[option.value];
  }
}
