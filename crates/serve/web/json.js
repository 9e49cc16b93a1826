// The parts of a JSON text as they are written. JavaScript's own objects would bring names that are whole numbers to the
// front, and its numbers would round long ones.

/** What an object or a list holds, in its order: `[name, text]`, where the names of a list's are empty. */
export function parts(text) {
  const found = [];
  let depth = 0;
  let name = "";
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:,]/g)) {
    if (token === "}" || token === "]") depth -= 1;
    if (depth === 1 && token === ":") {
      name = JSON.parse(text.slice(start, index));
      start = index + 1;
    } else if ((depth === 1 && token === ",") || (depth === 0 && "}]".includes(token))) {
      const part = text.slice(start, index).trim();
      if (part) found.push([name, part]);
      name = "";
      start = index + 1;
    }
    if (token === "{" || token === "[") {
      depth += 1;
      if (depth === 1) start = index + 1;
    }
  }
  return found;
}
