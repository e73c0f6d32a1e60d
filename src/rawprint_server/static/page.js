// The page at `/`: what the printers say, a box for raw commands, what becomes of each job, and for this machine's user
// who may print.

"use strict";

const LIST_MS = 2000; // between two looks at the printers, or at who may print, while somebody can see the page
const JOB_MS = 300; // between two looks at a job that has not ended
const RETRY_MS = [500, 10000]; // the first and the longest wait before connecting again
const DOUBTS_SHOWN = 20;
const JOBS_SHOWN = 10;
const ASKED_SHOWN = 10;

const SERVER = (location.protocol === "https:" ? "wss://" : "ws://") + location.host;

// A printer that does not answer keeps the replies behind it waiting, so it is asked over a connection of its own.
const server = PrinterWebSocket;
const asker = PrinterWebSocket.create();

// What the reasons of IPP mean, as the end of a sentence. Those that do not stop a printer are in the second list.
const STOPS = {
  "media-empty": "paper is out",
  "media-jam": "paper is jammed",
  "cover-open": "the cover is open",
  "paused": "it is paused",
  "offline-report": "it is offline",
  "marker-supply-empty": "the ribbon is used up",
  "trimmer-jam": "the cutter is stuck",
  "subunit-over-temperature": "it is too hot",
  "x-label-waiting": "a label waits to be taken",
  "x-feed-button": "its feed button is held down",
  "other": "it reports a fault without a name",
};
const WARNINGS = {
  "media-low": "paper is running low",
  "marker-supply-low": "the ribbon is running low",
  "x-input-buffer-full": "its buffer is full",
  "x-drawer-open": "the drawer is open",
};

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

const $ = (id) => document.getElementById(id);

// An element with text and children. Nothing that comes from elsewhere is ever read as HTML.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Writes only what is new, so that a screen reader is not told the same thing again and a selection stays.
function say(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

// Messages and hints come as they fit into a line of a log.
function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, ".") : "";
}

function errorText(error) {
  return [sentence(error.message), sentence(error.hint)].filter(Boolean).join(" ");
}

// The true reasons in words: those that stop the printer, and the harmless rest.
function inWords(reasons) {
  const names = Object.keys(reasons || {}).filter((name) => reasons[name]);
  return {
    stops: names.filter((name) => !(name in WARNINGS)).map((name) => STOPS[name] || `it reports “${name}”`),
    warnings: names.filter((name) => name in WARNINGS).map((name) => WARNINGS[name]),
  };
}

// --- the connection

let pause = { wake() {} };

function sleep(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    pause.wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

// Resolves when somebody can see the page.
async function seen() {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

function showConnection(state, text) {
  $("connection").dataset.state = state;
  say($("connection"), text);
  enable();
}

async function live() {
  let wait = RETRY_MS[0];
  for (;;) {
    try {
      await server.initialize(SERVER);
      showConnection("good", "Connected");
      wait = RETRY_MS[0];
      for (;;) {
        await seen();
        showPrinters(await server.call("printers.list"));
        showDoubts(await server.call("jobs.list", { state: "uncertain", limit: DOUBTS_SHOWN }));
        await sleep(LIST_MS);
      }
    } catch (error) {
      if (server.isConnected()) {
        showConnection("bad", error.message);
      } else {
        showConnection("bad", `Not connected. ${error.message.replace(/^Not connected.*?\. ?/, "")} Trying again …`);
        forgetPrinters();
      }
    }
    await sleep(wait * (0.75 + Math.random() / 2)); // not all pages of a shop at the same moment
    wait = Math.min(2 * wait, RETRY_MS[1]);
  }
}

// --- printers

const cards = new Map(); // name -> the elements of its card
const refusals = new Map(); // name -> {text, at}: why it gave no answer to a question, and when it last had by then
const asked = new Set(); // printers that were asked without a click

function makeCard(name) {
  const parts = {
    state: element("p", { class: "state" }),
    detail: element("p", { class: "note" }),
    ask: element("button", { type: "button", class: "quiet", "aria-label": `Ask ${name} now` }, "Ask now"),
    address: element("code"),
  };
  parts.ask.addEventListener("click", () => ask(name));
  parts.card = element("li", { class: "card", "data-printer": name },
    element("div", { class: "head" }, element("h3", {}, name), parts.ask),
    parts.state, parts.detail, element("p", { class: "note" }, parts.address));
  return parts;
}

// The state of a printer: a word for the style sheet, and a sentence for people.
function stateOf(printer) {
  const { stops } = inWords(printer.reasons);
  if (refusals.has(printer.name)) {
    return ["bad", "No answer"];
  }
  if (printer.state === "stopped") {
    return ["bad", `Stopped: ${list(stops) || "it does not say why"}`];
  }
  if (printer.state === "processing" || printer.busy) {
    return ["busy", "Printing"];
  }
  if (printer.state === "idle") {
    return ["good", "Ready"];
  }
  return ["none", "Not known"];
}

function detailOf(printer) {
  const parts = [];
  const { warnings } = inWords(printer.reasons);
  if (warnings.length) {
    parts.push(`Note: ${list(warnings)}.`);
  }
  if (printer.pending) {
    parts.push(printer.pending === 1 ? "1 job waits." : `${printer.pending} jobs wait.`);
  }
  if (refusals.has(printer.name)) {
    parts.push(refusals.get(printer.name).text);
  }
  if (printer.at) {
    parts.push(`Last heard at ${new Date(printer.at).toLocaleTimeString()}.`);
  } else {
    parts.push(printer.dialect ? "It has said nothing yet." : "No language is set for it, so it cannot be asked.");
  }
  return parts.join(" ");
}

function showPrinters(printers) {
  $("no-printers").hidden = printers.length > 0;
  const names = printers.map((printer) => printer.name);
  if (names.join("\n") !== Array.from(cards.keys()).join("\n")) {
    const chosen = $("printer").value;
    cards.clear();
    names.forEach((name) => cards.set(name, makeCard(name)));
    $("printers").replaceChildren(...Array.from(cards.values(), (parts) => parts.card));
    $("printer").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    if (names.includes(chosen)) {
      $("printer").value = chosen;
    }
  }
  for (const printer of printers) {
    const parts = cards.get(printer.name);
    if (refusals.has(printer.name) && refusals.get(printer.name).at !== printer.at) {
      refusals.delete(printer.name); // it has spoken since
    }
    parts.at = printer.at;
    const [state, text] = stateOf(printer);
    parts.card.dataset.dialect = printer.dialect || "";
    parts.card.dataset.state = state;
    parts.ask.disabled = !printer.dialect;
    say(parts.state, text);
    say(parts.detail, detailOf(printer));
    say(parts.address, printer.dialect ? `${printer.address} · ${printer.dialect}` : printer.address);
    if (printer.at === null && printer.dialect && !asked.has(printer.name)) {
      asked.add(printer.name);
      ask(printer.name);
    }
  }
  offerExample();
  enable();
}

// What the printers said before the connection was lost need not be so any more.
function forgetPrinters() {
  asked.clear();
  for (const parts of cards.values()) {
    parts.card.dataset.state = "none";
    say(parts.state, "Not known");
    say(parts.detail, "There is no connection to the server.");
  }
}

async function ask(name) {
  try {
    await asker.initialize(SERVER);
    await asker.call("printers.status", { printer: name });
    refusals.delete(name);
  } catch (error) {
    if (asker.isConnected()) {
      refusals.set(name, { text: errorText(error), at: cards.has(name) ? cards.get(name).at : null });
    }
  }
  pause.wake();
}

// --- the box

let own = false; // whether somebody chose or wrote what is in the box

function offerExample() {
  const parts = cards.get($("printer").value);
  const dialect = parts === undefined ? "" : parts.card.dataset.dialect;
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

// What print() is to send. Text with escapes becomes bytes, since not every byte has a character.
function payload() {
  const text = $("data").value;
  if (!$("escapes").checked) {
    return text;
  }
  const bytes = [];
  const encoder = new TextEncoder();
  const named = { n: 10, r: 13, t: 9, e: 27, "\\": 92 };
  for (const [whole, hex, letter] of text.matchAll(/\\x([0-9a-f]{2})|\\([nrte\\])|[^\\]+|\\/gi)) {
    if (hex !== undefined) {
      bytes.push(parseInt(hex, 16));
    } else if (letter !== undefined && letter in named) {
      bytes.push(named[letter]);
    } else {
      encoder.encode(whole).forEach((byte) => bytes.push(byte));
    }
  }
  return new Uint8Array(bytes);
}

function describe() {
  const data = payload();
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const parts = [`${bytes.length} bytes, sent exactly as they are; lines end with LF.`];
  if (typeof data === "string" && bytes.length && bytes[bytes.length - 1] !== 10) {
    parts.push("The last line has no end: most label printers wait for one before they print.");
  }
  say($("note"), parts.join(" "));
  enable();
}

function enable() {
  $("print").disabled = !server.isConnected() || !$("printer").value || !$("data").value;
}

// --- jobs

// A name for the job, made here, so that the job can be found again whatever becomes of the connection.
function newId() {
  if (crypto.randomUUID) {
    return crypto.randomUUID();
  }
  // Pages that did not come from this machine or by https have only this one.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What a job's state means: a word for the style sheet, and a sentence for people that claims no more than is known.
function outcomeOf(job) {
  const why = list(inWords(job.reasons).stops);
  const error = job.error ? job.error.message.replace(/\.?$/, ".") : "";
  switch (job.state) {
    case "pending":
      if (why || error) {
        return ["bad", `Waiting: ${why ? `${why}.` : error} Nothing of it was sent yet.`];
      }
      return ["busy", "Waiting for its turn."];
    case "processing":
      if (job.bytes_accepted < job.bytes_total) {
        return ["busy", "Sending."];
      }
      return ["busy", "The printer took every byte. Waiting to hear how it ends."];
    case "stopped":
      return ["bad", `Waiting: ${why ? `${why}.` : error || "the printer has stopped and does not say why."} `
        + "The job goes on when that is mended."];
    case "completed":
      return ["good", "Printed: the printer itself reported the end."];
    case "delivered":
      if (job.evidence.includes("status")) {
        return ["good", "The printer took every byte, and then said that it is ready and nothing is wrong."];
      }
      if (job.evidence.includes("handed-over")) {
        return ["good", "Every byte was handed over. This connection cannot tell more."];
      }
      return ["good", "The printer took every byte. It cannot tell more."];
    case "uncertain":
      return ["bad", `Uncertain: it was interrupted and may have printed. Look at the printer first. ${error}`];
    case "failed":
      return ["bad", `Not printed. ${error}`];
    case "canceled":
      return ["none", job.bytes_accepted
        ? "Canceled on the way: part of it may have printed." : "Canceled: nothing was printed."];
    case "expired":
      return ["none", "Not printed: it waited too long."];
    default:
      return ["none", `The server calls it “${job.state}”.`];
  }
}

function makeJob(printer) {
  const id = newId();
  const parts = {
    id: id,
    printer: printer,
    state: element("p", { class: "state" }),
    progress: element("progress", { "aria-label": "Bytes taken by the printer", value: 0 }),
    hint: element("p", { class: "note" }),
    bytes: element("span"),
    steps: element("ol", { class: "steps", "aria-label": "Steps until now" }),
  };
  parts.card = element("li", { class: "card", "data-job": id },
    element("div", { class: "head" }, element("h3", {}, printer), element("code", {}, id)),
    parts.state,
    parts.hint,
    // Counts run; nobody wants to have them read out.
    element("p", { class: "note bytes", "aria-live": "off" }, parts.progress, parts.bytes),
    element("details", { "aria-live": "off" }, element("summary", {}, "Steps"), parts.steps));
  $("no-jobs").hidden = true;
  $("jobs").prepend(parts.card);
  while ($("jobs").children.length > JOBS_SHOWN) {
    $("jobs").lastElementChild.remove();
  }
  return parts;
}

function showJob(parts, state, text, name = "", hint = "") {
  parts.card.dataset.state = state;
  parts.card.dataset.jobState = name;
  say(parts.hint, sentence(hint));
  if (parts.state.textContent !== text) {
    parts.state.textContent = text;
    parts.steps.append(element("li", {}, element("time", {}, new Date().toLocaleTimeString()), ` ${text}`));
  }
}

function showBytes(parts, job) {
  parts.progress.max = job.bytes_total;
  parts.progress.value = job.bytes_accepted;
  say(parts.bytes, `${job.bytes_accepted} of ${job.bytes_total} bytes taken`);
}

async function run(printer, data) {
  const parts = makeJob(printer);
  let refused = null;
  showJob(parts, "busy", "Handing it to the server.");
  const sent = server.print(printer, data, { id: parts.id }).catch((error) => {
    refused = error;
  });
  let answered = false;
  sent.then(() => {
    answered = true;
  });
  for (;;) {
    try {
      const job = await server.call("jobs.get", { id: parts.id });
      const [state, text] = outcomeOf(job);
      showJob(parts, state, text, job.state, job.error ? job.error.hint : "");
      showBytes(parts, job);
      if (!["pending", "processing", "stopped"].includes(job.state)) {
        break;
      }
    } catch (error) {
      if (refused !== null && refused.code !== "disconnected") {
        showJob(parts, "bad", `Not printed. ${errorText(refused)}`);
        break;
      }
      if (error.code === "not-connected" || error.code === "disconnected") {
        showJob(parts, "none", "The connection is lost: what becomes of the job is not known for now.");
      } else if (error.code !== "unknown-job") {
        showJob(parts, "none", errorText(error));
      } else if (answered) {
        showJob(parts, "bad", "The server does not know this job: it did not arrive, or the server was started anew"
          + " since. Look at the printer before you print again.");
        break;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, JOB_MS));
  }
  pause.wake();
}

// --- jobs that may have come out or not

const doubts = new Map(); // id -> its card

function showDoubts(jobs) {
  const open = jobs.filter((job) => !job.evidence.includes("settled"));
  const ids = new Set(open.map((job) => job.id));
  for (const [id, card] of doubts) {
    if (!ids.has(id)) {
      card.remove();
      doubts.delete(id);
    }
  }
  for (const job of open.filter(({ id }) => !doubts.has(id))) {
    const card = makeDoubt(job);
    doubts.set(job.id, card);
    $("uncertain").append(card);
  }
  $("doubts").hidden = open.length === 0;
}

function makeDoubt(job) {
  const name = job.name ? `${job.printer}: ${job.name}` : job.printer;
  const problem = element("p", { class: "note", role: "alert" });
  const answer = (action, text) => {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", async () => {
      card.querySelectorAll("button").forEach((each) => { each.disabled = true; });
      try {
        await server.call("jobs.resolve", { id: job.id, action });
      } catch (error) {
        say(problem, error.code === "not-uncertain" ? "Somebody has said so already." : errorText(error));
        card.querySelectorAll("button").forEach((each) => { each.disabled = false; });
      }
      pause.wake();
    });
    return button;
  };
  const card = element("li", { class: "card", "data-state": "bad", "data-doubt": job.id },
    element("div", { class: "head" }, element("h3", {}, name), element("code", {}, job.id)),
    element("p", { class: "state" }, `Uncertain since ${new Date(job.ended).toLocaleTimeString()}: ${job.bytes_accepted} of `
      + `${job.bytes_total} bytes were surely taken.`),
    problem,
    element("p", {}, answer("discard", "It came out"), " ", answer("print-again", "Print it again")));
  return card;
}

// --- who may print, for who came with a code of `rawprint-server dashboard`

// The right is the connection's: it ends with it, and nothing that could be stolen is kept.
const keeper = PrinterWebSocket.create();

const KINDS = { status: "see the printers", print: "print", drawer: "open drawers", jobs: "manage jobs" };
const BY = { configuration: "by the configuration", command: "by command", dashboard: "on this page", paired: "by its code" };

async function keep(code) {
  $("keeper").hidden = true;
  say($("keeper-problem"), "");
  try {
    await keeper.initialize(SERVER);
    await keeper.call("admin.enter", { code });
    for (;;) {
      showAccess(await keeper.call("admin.access"));
      await new Promise((resolve) => setTimeout(resolve, LIST_MS));
      await seen();
    }
  } catch (error) {
    const lost = "The connection was lost. `rawprint-server dashboard` shows again who may print.";
    say($("keeper-problem"), keeper.isConnected() ? errorText(error) : lost);
    keeper.resetConnection();
    shown = "";
    $("access").hidden = true;
    $("keeper").hidden = false;
  }
}

async function decide(origin, call) {
  try {
    say($("access-problem"), "");
    showAccess(await keeper.call(call, { origin }));
  } catch (error) {
    say($("access-problem"), errorText(error));
  }
}

let shown = ""; // what is on the page, so that nothing moves under a finger or a screen reader without need

function showAccess(view) {
  const text = JSON.stringify(view);
  if (text === shown) {
    return;
  }
  shown = text;
  const { allowed, denied, asked, tokens, pairing } = view;
  const newest = asked.slice(-ASKED_SHOWN).reverse();
  const rows = [
    ...newest.map(({ origin, at }) => pageRow(origin, "none", "Was refused", `Last ${dateOf(at)}.`, true, true)),
    ...allowed.map((page) => pageRow(page.origin, "good", "Allowed", grantText(page), false, true)),
    ...denied.map((origin) => pageRow(origin, "bad", "Stays out", "", true, false)),
  ];
  const focused = document.activeElement.closest("#pages li");
  $("pages").replaceChildren(...rows);
  if (focused !== null) { // what was pressed has gone: its opposite takes its place
    const row = rows.find(({ dataset }) => dataset.origin === focused.dataset.origin);
    (row || $("pages")).querySelector("button")?.focus();
  }
  say($("tokens"), [
    asked.length > ASKED_SHOWN ? `${asked.length - ASKED_SHOWN} more have asked: rawprint-server access list.` : "",
    tokens.length ? `${tokens.length === 1 ? "Token" : "Tokens"}: ${list(tokens)}.` : "",
  ].filter(Boolean).join(" "));
  $("pairing").hidden = pairing === null;
  say($("pairing-origin"), pairing ? pairing.origin : "");
  say($("pairing-code"), pairing ? `${pairing.code.slice(0, 3)} ${pairing.code.slice(3)}` : "");
  $("access").hidden = false;
}

function pageRow(origin, state, word, text, allow, deny) {
  const button = (name, call) => {
    const made = element("button", { type: "button", class: "quiet", "aria-label": `${name} ${origin}` }, name);
    made.addEventListener("click", () => decide(origin, call));
    return made;
  };
  return element("li", { "data-origin": origin },
    element("div", { "data-state": state },
      element("p", { class: "origin" }, origin), element("p", { class: "state" }, word),
      element("p", { class: "note" }, text)),
    element("div", { class: "buttons" },
      ...(allow ? [button("Allow", "admin.allow")] : []), ...(deny ? [button("Deny", "admin.deny")] : [])));
}

function grantText({ calls, printers, raw, how, at }) {
  const may = list(Object.keys(KINDS).filter((kind) => calls.includes(kind)).map((kind) => KINDS[kind]));
  const where = printers ? `, on ${list(printers) || "no printer"} alone` : "";
  const always = raw ? ", also what changes a printer for good" : "";
  return `${sentence(BY[how] || how).slice(0, -1)}${at ? `, ${dateOf(at)}` : ""}: may ${may}${where}${always}.`;
}

function dateOf(text) {
  return new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null) {
    history.replaceState(null, "", location.pathname + location.search); // it is nobody's business any more
    if (shown === "") {
      keep(code);
    }
  }
}

// --- the start

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
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!$("print").disabled) {
    run($("printer").value, payload());
  }
});
setExample("tspl");
window.addEventListener("hashchange", takeCode);
takeCode();
live();
