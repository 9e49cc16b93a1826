// What the claims have in common.

import { BASE } from "./files.mjs";

export const PAIR = ["한 남자가 기타를 치고 있다.", "남자가 기타를 연주하고 있다."];

export const inner = (page, selector) => page.locator(selector).innerText();
export const points = (score) => score.toFixed(2);

export async function rankFile(page, path) {
  await page.fill("#base", BASE);
  await page.setInputFiles("#file", path);
  await page.click("#start");
}
