// Results as a CSV file.

// A byte order mark, without which Excel takes UTF-8 for the system's encoding and garbles Korean.
const BYTE_ORDER_MARK = "\uFEFF";

export function table(results) {
  const isReranked = results[0]?.rerank_score !== undefined;
  const reranked = isReranked ? ({ rerank_score }) => `${digits(rerank_score)},` : () => "";
  const row = (result) => `${result.index},${digits(result.score)},${reranked(result)}${quoted(result.sentence)}\r\n`;
  return [BYTE_ORDER_MARK, `index,score,${isReranked ? "rerank_score," : ""}sentence\r\n`, ...results.map(row)];
}

// More digits than four say nothing of two sentences; a row without a sentence has no score.
const digits = (score) => (score === null ? "" : Number(score.toFixed(4)));

// The sentences are the user's own and stay as they are, also where a spreadsheet would take one for a formula.
function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function download(name, results) {
  const address = URL.createObjectURL(new Blob(table(results), { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may still be reading
}
