// Which language the page is in, and its texts.

import { WORDS } from "./words.js";

const REMEMBERED = "ko-sts.language";
const redraws = [];
let language = remembered() ?? (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en");

export const words = () => WORDS[language];

/** Numbers as the language writes them; scores with two digits. */
export const count = (number) => number.toLocaleString(language);
export const points = (number) => number.toFixed(2);

/** Has `redraw` called whenever the language changes, to write anew what the page made itself. */
export const onLanguage = (redraw) => redraws.push(redraw);

export function startLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      remember();
      draw();
    });
  }
  draw();
}

function draw() {
  document.documentElement.lang = language;
  document.title = `ko-sts · ${words().title}`;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = words()[element.dataset.text];
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  for (const redraw of redraws) redraw();
}

// Storage may be forbidden by the browser's settings: the page then starts in the browser's language each time.
function remembered() {
  try {
    const stored = localStorage.getItem(REMEMBERED);
    return stored in WORDS ? stored : null;
  } catch {
    return null;
  }
}

function remember() {
  try {
    localStorage.setItem(REMEMBERED, language);
  } catch {
    // see above
  }
}
