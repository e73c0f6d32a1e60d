// The box for raw commands, and what becomes of what was sent from it.

"use strict";

import { $, disable, element, say } from "./dom.js";
import { unescaped } from "./escapes.js";
import { clock, errorText, sentence } from "./format.js";
import { call, live, on } from "./live.js";
import { t } from "./strings.js";
import { isEnd, jobState } from "./words.js";

const SHOWN = 10;

const EXAMPLES = {
  tspl: {
    escapes: false,
    data: `SIZE 80 mm, 40 mm
GAP 3 mm, 0 mm
CLS
TEXT 40,40,"3",0,1,1,"rawprint"
BARCODE 40,100,"128",80,1,0,2,4,"RAW-0001"
PRINT 1,1
`,
  },
  escpos: {
    escapes: true,
    data: String.raw`\x1B@\x1Ba\x01\x1B!\x30RAWPRINT
\x1B!\x00A sample ticket
\x1Ba\x00
1 x Coffee                  2.80
1 x Cake                    3.50
--------------------------------
Total                       6.30

\x1DVB\x00`,
  },
};

let own = false; // whether somebody chose or wrote what is in the box
const sent = new Map(); // id -> its card

function offerExample() {
  const dialect = live.printers?.names.includes($("printer").value) ? live.printers.get($("printer").value).dialect : "";
  if (!own && dialect in EXAMPLES && $("example").value !== dialect) {
    setExample(dialect);
  }
}

function setExample(name) {
  $("example").value = name;
  $("data").value = EXAMPLES[name].data;
  $("escapes").checked = EXAMPLES[name].escapes;
  describe();
}

const payload = () => ($("escapes").checked ? unescaped($("data").value) : new TextEncoder().encode($("data").value));

function describe() {
  const bytes = payload();
  const unended = !$("escapes").checked && bytes.length && bytes.at(-1) !== 10;
  say($("note"), [t("commands.size", { count: bytes.length }), unended ? t("commands.unended") : ""].filter(Boolean).join(" "));
  enable();
}

function enable() {
  disable($("print"), !$("printer").value || !$("data").value);
}

// --- what was sent

function makeCard(id, printer) {
  const parts = {
    state: element("p", { class: "state" }),
    hint: element("p", { class: "note" }),
    progress: element("progress", { "aria-label": t("jobs.progress"), max: 1, value: 0 }),
    bytes: element("span"),
    steps: element("ol", { class: "steps" }),
  };
  parts.node = element("li", { class: "card", "data-job": id },
    element("div", { class: "head" }, element("h3", {}, printer), element("code", {}, id)), parts.state, parts.hint,
    element("p", { class: "note bytes", "aria-live": "off" }, parts.progress, parts.bytes), parts.steps);
  $("sent").prepend(parts.node);
  for (const [old, { node }] of [...sent].slice(0, Math.max(0, sent.size + 1 - SHOWN))) {
    node.remove();
    sent.delete(old);
  }
  sent.set(id, parts);
  return parts;
}

function tellStep(parts, kind, text, hint = "") {
  parts.node.dataset.state = kind;
  say(parts.hint, hint);
  if (parts.state.textContent !== text) {
    parts.state.textContent = text;
    parts.steps.append(element("li", {}, element("time", {}, clock(new Date())), ` ${text}`));
  }
}

function showJob(parts, job) {
  parts.job = job;
  const { kind, text } = jobState(job);
  parts.node.dataset.jobState = job.state;
  tellStep(parts, kind, text, job.error ? sentence(job.error.hint) : "");
  parts.progress.value = job.bytes_total ? job.bytes_accepted / job.bytes_total : 0;
  say(parts.bytes, t("jobs.bytes", { accepted: job.bytes_accepted, total: job.bytes_total }));
}

async function print(name, bytes) {
  const id = crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const parts = makeCard(id, name);
  tellStep(parts, "busy", t("commands.sent"));
  try {
    const job = await live.printers.get(name).print(bytes, { id });
    showJob(parts, job.toJSON());
  } catch (error) {
    tellStep(parts, "bad", t("commands.refused", { why: errorText(error) }));
  }
}

// What changed while there was no connection is not told of by itself.
async function catchUp() {
  for (const [id, parts] of sent) {
    if (parts.job && !isEnd(parts.job.state)) {
      try {
        showJob(parts, await call("jobs.get", { id }));
      } catch (error) {
        if (error.code === "unknown-job") {
          parts.job = null;
          tellStep(parts, "bad", t("commands.gone"));
        }
      }
    }
  }
}

function printers() {
  const chosen = $("printer").value;
  const { names } = live.printers;
  $("printer").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  $("printer").value = names.includes(chosen) ? chosen : (names[0] ?? "");
  offerExample();
  enable();
}

export function startCommands() {
  on("snapshot", () => {
    printers();
    catchUp();
  });
  on("server", printers);
  on("job", (job) => sent.has(job.id) && showJob(sent.get(job.id), job));
  on("lost", () => {
    for (const parts of sent.values()) {
      if (parts.job && !isEnd(parts.job.state)) {
        tellStep(parts, "none", t("commands.lost"));
      }
    }
  });
  on("language", describe);
  $("example").addEventListener("change", () => {
    own = true;
    setExample($("example").value);
  });
  $("printer").addEventListener("change", offerExample);
  $("escapes").addEventListener("change", describe);
  $("data").addEventListener("input", () => {
    own = true;
    $("example").value = "";
    describe();
  });
  $("commands-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!$("print").disabled) {
      print($("printer").value, payload());
    }
  });
  setExample("tspl");
}
