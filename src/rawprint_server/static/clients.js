// For the administrator: who is connected, which pages may print, which asked, and the code that lets one in.

"use strict";

import { $, button, element, nextFrame, say, show } from "./dom.js";
import { errorText, fullMoment, list, moment, size } from "./format.js";
import { call, live, on, tell } from "./live.js";
import { has, t } from "./strings.js";

const ASKED_SHOWN = 10;
const KINDS = ["status", "print", "drawer", "jobs"];

// --- who is connected

const clients = new Map(); // id -> {data, node, cells}
const changed = new Map();

const nameOf = ({ origin, token }) => (origin === location.origin ? t("clients.dashboard") : origin) ?? (token ? t("clients.token", { name: token }) : t("clients.program"));

function makeClient(data) {
  const columns = ["who", "address", "since", "accent", "calls", "bytes", "errors"];
  const cells = Object.fromEntries(columns.map((name) => [name, element("td", { "data-name": t(`clients.${name}`) })]));
  const who = nameOf(data);
  const disconnect = button(t("clients.disconnect"), t("clients.disconnect.of", { who: `${who}, ${data.address}` }), async () => {
    try {
      await call("admin.disconnect", { id: data.id });
      say($("clients-said"), t("clients.disconnected"));
    } catch (error) {
      say($("clients-said"), errorText(error));
    }
  }, { class: "quiet" });
  return { data, cells, node: element("tr", { "data-client": data.id }, ...Object.values(cells), element("td", {}, disconnect)) };
}

function paint({ data, cells }) {
  say(cells.who, data.subscribed ? `${nameOf(data)} (${t("clients.watches")})` : nameOf(data));
  say(cells.address, data.address);
  say(cells.since, moment(data.since));
  say(cells.accent, data.accent ?? "–");
  say(cells.calls, String(data.calls));
  say(cells.bytes, size(data.bytes));
  say(cells.errors, String(data.errors));
}

function renderClients() {
  for (const [id, data] of changed) {
    if (data.gone) {
      clients.get(id)?.node.remove();
      clients.delete(id);
      continue;
    }
    if (!clients.has(id)) {
      clients.set(id, makeClient(data));
      $("clients-rows").append(clients.get(id).node);
    }
    clients.get(id).data = data;
    paint(clients.get(id));
  }
  changed.clear();
  show($("clients-none"), clients.size === 0);
  show($("clients-table"), clients.size > 0);
}

function takeClient(data) {
  if (data.gone && !clients.has(data.id)) { // it came and went while nobody looked
    changed.delete(data.id);
    return;
  }
  changed.set(data.id, data);
  nextFrame(renderClients);
}

function forgetClients() {
  clients.clear();
  changed.clear();
  $("clients-rows").replaceChildren();
}

// --- who may print

let shown = ""; // what is on the page, so that nothing moves under a finger or a screen reader without need
let access = null;

async function decide(origin, name) {
  try {
    say($("access-problem"), "");
    takeAccess(await call(name, { origin }));
  } catch (error) {
    say($("access-problem"), errorText(error));
  }
}

function takeAccess(view) {
  const text = JSON.stringify(view);
  access = view;
  if (text !== shown) {
    shown = text;
    renderAccess();
  }
}

function renderAccess() {
  const { allowed, denied, asked, tokens, pairing } = access;
  const newest = asked.slice(-ASKED_SHOWN).reverse();
  const rows = [
    ...newest.map(({ origin, at }) => pageRow(origin, "bad", "asked", t("pages.asked.when", { time: fullMoment(at) }), true, true)),
    ...allowed.map((page) => pageRow(page.origin, "good", "allowed", grantText(page), false, true)),
    ...denied.map((origin) => pageRow(origin, "none", "denied", "", true, false)),
  ];
  const focused = document.activeElement.closest("#pages li");
  $("pages").replaceChildren(...rows);
  if (focused !== null) { // what was pressed has gone: its opposite takes its place
    const row = rows.find(({ dataset }) => dataset.origin === focused.dataset.origin);
    (row || $("pages")).querySelector("button")?.focus();
  }
  show($("pages-none"), rows.length === 0);
  say($("pages-more"), asked.length > ASKED_SHOWN ? t("pages.more", { count: asked.length - ASKED_SHOWN }) : "");
  say($("tokens"), tokens.length ? t("pages.tokens", { count: tokens.length, names: list(tokens) }) : "");
  show($("pairing"), pairing !== null);
  say($("pairing-text"), pairing ? t("pages.pairing", { origin: pairing.origin }) : "");
  say($("pairing-code"), pairing ? `${pairing.code.slice(0, 3)} ${pairing.code.slice(3)}` : "");
  tell("asked", asked.length + (pairing ? 1 : 0));
}

function pageRow(origin, state, key, text, allow, deny) {
  const choice = (name, method) => button(t(`pages.${name}`), t(`pages.${name}.of`, { origin }), () => decide(origin, method), { class: "quiet" });
  return element("li", { "data-origin": origin },
    element("div", { "data-state": state },
      element("p", { class: "origin" }, origin), element("p", { class: "state" }, t(`pages.${key}`)), element("p", { class: "note" }, text)),
    element("div", { class: "actions" },
      allow ? choice("allow", "admin.allow") : null, deny ? choice("deny", "admin.deny") : null));
}

function grantText({ calls, printers, raw, how, at }) {
  return t(at ? "pages.grant.at" : "pages.grant", {
    how: has(`how.${how}`) ? t(`how.${how}`) : how,
    time: at ? fullMoment(at) : "",
    calls: list(KINDS.filter((kind) => calls.includes(kind)).map((kind) => t(`kind.${kind}`))),
    printers: printers ? t("pages.printers", { names: list(printers) || t("pages.printers.none") }) : "",
    raw: raw ? t("pages.raw") : "",
  });
}

// --- who is the administrator

let keeperKey = "keeper"; // why this page shows nothing of it

function showKeeper(problem) {
  if (problem === "lost") {
    keeperKey = "keeper.lost";
  }
  say($("keeper-problem"), problem && problem !== "lost" ? errorText(problem) : "");
  for (const node of document.querySelectorAll(".keeper")) {
    show(node, !live.admin);
  }
  for (const node of document.querySelectorAll(".keeper p:first-child")) {
    say(node, t(keeperKey));
  }
  for (const node of document.querySelectorAll(".admin")) {
    show(node, live.admin);
  }
  if (!live.admin) {
    forgetClients();
    show($("pairing"), false);
    shown = "";
    tell("asked", 0);
  }
}

export function startClients() {
  on("admin", showKeeper);
  on("watch", (view) => {
    forgetClients();
    view.clients.forEach(takeClient);
    nextFrame(renderClients);
    takeAccess(view.access);
  });
  on("client", takeClient);
  on("access", takeAccess);
  on("language", () => {
    const known = [...clients.values()].map(({ data }) => data);
    showKeeper(null);
    if (live.admin) {
      forgetClients();
      known.forEach(takeClient);
      renderAccess();
    }
  });
  showKeeper(null);
}

