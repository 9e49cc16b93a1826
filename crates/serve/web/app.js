// Starts the page: its language, the server's model, the API key where one is asked for, and the jobs.

import { info, setKey } from "./api.js";
import { startCompare } from "./compare.js";
import { element } from "./elements.js";
import { onLanguage, startLanguage, words } from "./language.js";
import { offerRank, startRank } from "./rank.js";
import { offerSearch, startSearch } from "./search.js";

let model = "";
let afterKey = showModel; // what was refused for want of a key, done again once there is one

function drawModel() {
  element("model").textContent = model && words().model(model);
}

async function showModel() {
  try {
    const served = await info();
    model = served.model_id ?? "";
    drawModel();
    offerRank(served);
    offerSearch(served);
  } catch (problem) {
    if (problem.status === 401) askForKey(showModel);
  }
}

/** Shows the field for the key; `again` is called once it is filled in. */
function askForKey(again) {
  afterKey = again;
  element("key-form").hidden = false;
  element("key").focus();
}

element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(element("key").value.trim());
  element("key-form").hidden = true;
  if (!model && afterKey !== showModel) showModel();
  afterKey();
});

onLanguage(drawModel);
startCompare(askForKey);
startRank(askForKey);
startSearch(askForKey);
startLanguage();
showModel();
