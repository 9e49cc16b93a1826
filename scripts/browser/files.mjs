// The tables that the test uploads.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const BASE = "거실 불을 꺼 줘.";
const ROWS = [
  "거실에 있는 조명을 꺼 주세요.",
  "안방 불을 켜 줘.",
  "거실 온도를 24도로 맞춰 줘.",
  "회의는 오후 3시에 시작합니다.",
  "고양이가 \"창가\"에서, 조용히 자고 있다.",
  "", // an empty row has no score and comes last
  "수영장은 아침 7시부터\n이용할 수 있어요.",
  "세탁기 사용 방법을 알려 주세요.",
  "<img src=x onerror=\"document.title='taken over'\">",
  "내일 서울에 비가 오나요?",
  "이 식당은 김치찌개가 정말 맛있어요.",
  "시험에 합격해서 무척 기쁘다.",
  "비행기가 두 시간 늦게 출발했다.",
  BASE,
];
export const TABLE_ROWS = ROWS.map((sentence, index) => ({ index, sentence }));
export const SENTENCES = ROWS.filter((sentence) => sentence).length;

/** The rows that are embedded for the search, in the order of their columns. */
export const COLUMNS = ["place", "text", "score", "verified", "written", "2024", "note"];
export const CORPUS = [
  ["집", "거실에 있는 조명을 꺼 주세요.", "5", "false", "2024-01-31T09:30:00", "12345678901234567890", ""],
  ["집", "안방 온도를 올려 줘.", "4", "true", "2024-02-29T18:00:00", "007", "겨울에는 실내 온도를 20도 안팎으로 맞추라는 안내가 있었습니다."],
  ["식당", "이 식당은 김치찌개가 정말 맛있어요.", "4.5", "true", "2023-12-25T12:00:00", "1", ""],
  ["회사", "회의는 오후 3시에 시작합니다.", "3", "false", "2024-03-04T15:00:00", "2", ""],
  ["역", "지하철역에서 걸어서 5분 거리예요.", "2", "true", "2024-05-05T00:00:00", "3", ""],
];

/** Embeds the rows by the program beside the server's; the corpus's folder. */
export function writeCorpus(folder, program, model) {
  const table = join(folder, "corpus.csv");
  writeFileSync(table, [COLUMNS, ...CORPUS].map((row) => row.join(",") + "\n").join(""));
  const corpus = join(folder, "corpus");
  const options = ["--model", model, "--input", table, "--output", corpus];
  execFileSync(join(dirname(program), "embed"), options, { stdio: "ignore" });
  return corpus;
}

/** A tiny cross-encoder of the tests, whose scores mean nothing; its folder. */
export function writeReranker(folder) {
  const reranker = join(folder, "reranker");
  mkdirSync(reranker);
  const fixtures = "crates/model/tests/fixtures";
  for (const [from, names] of [
    ["cross-encoders/roberta", ["config.json", "model.safetensors"]],
    ["roberta-tiny", ["tokenizer.json", "tokenizer_config.json"]],
  ]) {
    for (const name of names) copyFileSync(join(fixtures, from, name), join(reranker, name));
  }
  return reranker;
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
const TABLE = ["번호,문장", ...ROWS.map((text, index) => `${index + 1},${quoted(text)}`)].join("\r\n") + "\r\n";

/** Writes the files into a folder; their paths. */
export function writeFiles(folder) {
  const path = (name) => join(folder, name);
  writeFileSync(path("utf-8.csv"), TABLE);
  writeFileSync(path("cp949.csv"), execFileSync("iconv", ["-f", "UTF-8", "-t", "CP949"], { input: TABLE }));
  const many = Array.from({ length: 3000 }, (_, row) => `${ROWS[row % 4]} (${row})`);
  writeFileSync(path("many.csv"), ["문장", ...many].join("\n"));
  const pairs = ["sentence1,sentence2,score", "비가 많이 온다.,비가 내린다.,4.5", "밥을 먹고 있다.,눈이 온다.,0"];
  writeFileSync(path("pairs.csv"), pairs.join("\n") + "\n");
  writeFileSync(path("no-csv.zip"), Buffer.from("PK\x03\x04\x14\0\0\0\x08\0\xff\xfe\x80\x81", "latin1"));
  return Object.fromEntries(["utf-8.csv", "cp949.csv", "many.csv", "pairs.csv", "no-csv.zip"].map((name) => [name, path(name)]));
}

/** The rows of a CSV text with quoted fields. */
export function parseCsv(text) {
  const rows = [[]];
  for (const [, quotedField, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1).push(quotedField === undefined ? plain : quotedField.replaceAll('""', '"'));
    if (end === "\r\n") rows.push([]);
    if (end === "") break;
  }
  return rows.at(-1).join("") === "" ? rows.slice(0, -1) : rows;
}
