// The printers: a card each, that changes with what the printer says, and what can be done with it.

"use strict";

import { openConsole } from "./console.js";
import { $, button, confirmed, debounced, disable, element, nextFrame, say, show, watcher } from "./dom.js";
import { ago, errorText, moment } from "./format.js";
import { History } from "./history.js";
import { call, live, on, tell } from "./live.js";
import { t } from "./strings.js";
import { printerState, remedyOf, warningsInWords } from "./words.js";

const FILTER_FROM = 9; // printers: fewer are seen at a glance
const ASKED_AT_ONCE = 4;
const CANCELED_AT_ONCE = 20;
const TICK_MS = 1000;
const STRIP_TICKS = 60; // between two drawings of a strip that nothing changed

/** Name -> its card: `data`, the elements in `parts`, `seen`, its `history`. */
const cards = new Map();
const changed = new Set(); // names

const eye = watcher((node, seen) => {
  const card = cards.get(node.dataset.printer);
  if (card) {
    card.seen = seen;
    if (seen) {
      changed.add(card.data.name);
      nextFrame(render);
      loadHistory(card);
      askOnce(card);
    }
  }
});

// --- a card

function makeCard(data) {
  const { name } = data;
  const of = (what, act, attributes) => button(t(`printers.${what}`), t(`printers.${what}.of`, { name }), act, attributes);
  const card = { data, seen: false, loaded: false, history: new History(), refused: null };
  const parts = {
    state: element("p", { class: "state" }),
    since: element("span", { class: "note" }),
    age: element("span", { class: "note" }),
    detail: element("p", { class: "note detail" }),
    waiting: element("button", { type: "button", class: "link", click: () => tell("filter-jobs", { printer: name, state: "pending" }) }),
    said: element("p", { class: "said", role: "status" }),
    strip: element("div", { class: "strip" }),
    address: element("p", { class: "note address" }),
    ask: of("ask", () => run(card, () => ask(card)), { class: "quiet" }),
    test: of("test", () => run(card, () => test(name)), { class: "quiet" }),
    pause: button("", "", () => run(card, () => hold(card)), { class: "quiet" }),
    drawer: of("drawer", () => run(card, () => openDrawer(name)), { class: "quiet" }),
    cancel: of("cancel", () => cancelWaiting(card), { class: "quiet" }),
    console: of("console", () => openConsole(name), { class: "quiet" }),
  };
  card.parts = parts;
  card.node = element("li", { class: "card printer", "data-printer": name, tabindex: "-1" },
    element("div", { class: "head" }, element("h3", {}, name), parts.ask),
    parts.state,
    element("p", { class: "times" }, parts.since, parts.age),
    parts.detail, parts.waiting, parts.strip, parts.address,
    element("div", { class: "actions" }, parts.test, parts.pause, parts.drawer, parts.cancel, parts.console),
    parts.said);
  return card;
}

// What the printer has not said itself: an answer to a question that was refused, until it speaks again.
function shownData({ data, refused }) {
  return refused !== null && refused.at === data.at && !data.error ? { ...data, error: refused.error } : data;
}

function paint(card) {
  const { parts } = card;
  const data = shownData(card);
  const { kind, text } = printerState(data);
  card.node.dataset.state = kind;
  say(parts.state, text);
  say(parts.since, data.since ? t("printers.since", { time: moment(data.since) }) : "");
  say(parts.detail, detailOf(data, kind));
  say(parts.waiting, data.pending ? t("printers.waiting", { count: data.pending }) : "");
  show(parts.waiting, data.pending > 0);
  say(parts.address, [data.address, data.dialect].filter(Boolean).join(" · "));
  const pause = data.paused ? "printers.resume" : "printers.pause";
  say(parts.pause, t(pause));
  parts.pause.setAttribute("aria-label", t(`${pause}.of`, { name: data.name }));
  disable(parts.pause, false);
  disable(parts.ask, !data.dialect);
  disable(parts.test, !data.dialect);
  disable(parts.drawer, false);
  disable(parts.cancel, false);
  disable(parts.console, false);
  show(parts.drawer, data.drawer);
  show(parts.cancel, data.pending > 0);
  show(parts.console, live.admin);
  paintAge(card);
}

function detailOf(data, kind) {
  const warnings = warningsInWords(data.reasons);
  return [
    kind === "bad" || kind === "gone" ? remedyOf(data) : "",
    warnings ? t("state.warning", { what: warnings }) : "",
    data.at ? "" : data.dialect ? (kind === "gone" ? "" : t("printers.silent")) : t("printers.deaf"),
  ].filter(Boolean).join(" ");
}

function paintAge({ data, parts }) {
  say(parts.age, data.at ? t("printers.heard", { ago: ago(data.at) }) : "");
}

// --- what is done with it

// What `act` resolves with is said beside the buttons, and so is what went wrong.
async function run(card, act) {
  say(card.parts.said, "");
  try {
    say(card.parts.said, await act());
  } catch (error) {
    say(card.parts.said, errorText(error));
  }
}

// An answer that did not come is shown as the printer's state, until it speaks again.
async function ask(card) {
  card.refused = null;
  try {
    await call("printers.status", { printer: card.data.name });
  } catch (error) {
    if (!live.connected) {
      throw error;
    }
    card.refused = { error, at: card.data.at };
  }
  changed.add(card.data.name);
  nextFrame(render);
  return "";
}

// One that nobody has asked yet says nothing by itself where it is shared. A few at a time, as some take their time.
const unasked = new Set();
let asking = 0;

function askOnce(card) {
  if (card.data.at === null && card.data.dialect && !card.data.error && !card.asked) {
    card.asked = true;
    unasked.add(card);
    askNext();
  }
}

async function askNext() {
  const [card] = unasked;
  if (card === undefined || asking >= ASKED_AT_ONCE) {
    return;
  }
  unasked.delete(card);
  asking += 1;
  await run(card, () => ask(card));
  asking -= 1;
  askNext();
}

async function openDrawer(name) {
  if (!live.connected) {
    throw new Error(t("connection.needed"));
  }
  await live.printers.get(name).openDrawer();
  return t("printers.drawer.done");
}

async function test(name) {
  await call("printers.test", { printer: name });
  return t("printers.test.done");
}

async function hold(card) {
  await call(card.data.paused ? "printers.resume" : "printers.pause", { printer: card.data.name });
  return "";
}

async function cancelWaiting(card) {
  const { name, pending } = card.data;
  if (!(await confirmed(t("printers.cancel.sure", { name, count: pending })))) {
    return;
  }
  await run(card, async () => {
    const jobs = await call("jobs.list", { printer: name, state: "pending" });
    let count = 0;
    while (jobs.length) { // the last ones first, so that none begins meanwhile; not all at once, as there may be thousands
      const ends = await Promise.allSettled(jobs.splice(-CANCELED_AT_ONCE).map(({ id }) => call("jobs.cancel", { id })));
      count += ends.filter(({ status }) => status === "fulfilled").length;
    }
    return t("printers.cancel.done", { count });
  });
}

// --- the history, of those that somebody sees

async function loadHistory(card) {
  if (card.loaded || !live.connected) {
    return;
  }
  card.loaded = true;
  try {
    card.history.load(await call("printers.history", { printer: card.data.name }));
  } catch {
    // What is known from here on is shown all the same.
  }
  card.history.add(card.data);
  drawStrip(card);
}

function drawStrip(card) {
  card.parts.strip.replaceChildren(card.history.draw());
}

// --- the list

function render() {
  for (const name of changed) {
    const card = cards.get(name);
    if (card) {
      if (card.history.add(card.data) && card.seen) {
        drawStrip(card);
      }
      paint(card);
    }
  }
  changed.clear();
  filter();
}

function take(data) {
  const card = cards.get(data.name);
  if (card) {
    card.data = data;
    changed.add(data.name);
    nextFrame(render);
  }
}

// The cards of those that there are, in their order; those that stay are the same elements.
function arrange() {
  const names = live.printers.names;
  for (const [name, card] of cards) {
    if (!names.includes(name)) {
      eye.unobserve(card.node);
      card.node.remove();
      cards.delete(name);
    }
  }
  const nodes = [...live.printers].map((printer) => {
    const data = printer.toJSON();
    const card = cards.get(data.name) ?? makeCard(data);
    card.data = data;
    if (!cards.has(data.name)) {
      cards.set(data.name, card);
      eye.observe(card.node);
    }
    changed.add(data.name);
    return card.node;
  });
  if (nodes.length !== $("printers-list").children.length || nodes.some((node, index) => $("printers-list").children[index] !== node)) {
    $("printers-list").replaceChildren(...nodes);
  }
  show($("printers-filter"), nodes.length >= FILTER_FROM);
  show($("empty"), nodes.length === 0);
  nextFrame(render);
}

function filter() {
  if ($("printers-filter").hidden) {
    return;
  }
  const text = $("printers-text").value.toLowerCase();
  const troubled = $("printers-troubled").checked;
  let shown = 0;
  for (const { data, node } of cards.values()) {
    const fits = (!text || `${data.name} ${data.address} ${data.dialect}`.toLowerCase().includes(text))
      && (!troubled || ["bad", "gone", "paused"].includes(node.dataset.state));
    show(node, fits);
    shown += Number(fits);
  }
  say($("printers-shown"), t("printers.shown", { shown, count: cards.size }));
}

function rebuild() {
  eye.disconnect();
  for (const [name, card] of cards) {
    const made = makeCard(card.data);
    cards.set(name, { ...made, history: card.history, loaded: card.loaded, refused: card.refused });
    eye.observe(made.node);
    if (card.loaded) {
      drawStrip(cards.get(name));
    }
    changed.add(name);
  }
  $("printers-list").replaceChildren(...[...cards.values()].map(({ node }) => node));
  nextFrame(render);
}

let ticks = 0;

function tick() {
  if (document.hidden || !live.connected) {
    return;
  }
  ticks += 1;
  for (const card of cards.values()) {
    if (card.seen) {
      paintAge(card);
      if (card.loaded && ticks % STRIP_TICKS === 0) {
        drawStrip(card);
      }
    }
  }
}

export function showPrinter(name) {
  tell("show", "printers");
  const card = cards.get(name);
  card?.node.scrollIntoView({ block: "center" });
  card?.node.focus({ preventScroll: true });
}

export function startPrinters() {
  on("printer", take);
  on("server", () => arrange());
  on("snapshot", () => {
    for (const card of cards.values()) {
      card.loaded = card.asked = false; // there is a gap, as long as the connection was away
    }
    arrange();
    for (const card of [...cards.values()].filter(({ seen }) => seen)) {
      loadHistory(card);
      askOnce(card);
    }
  });
  on("admin", () => {
    [...cards.keys()].forEach((name) => changed.add(name));
    nextFrame(render);
  });
  on("language", rebuild);
  $("printers-text").addEventListener("input", debounced(filter, 100));
  $("printers-troubled").addEventListener("change", filter);
  setInterval(tick, TICK_MS);
}
