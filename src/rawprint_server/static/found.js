// Printers that are plugged in and have no name yet, and one whose address somebody knows: added, or looked into.

"use strict";

import { $, button, disable, element, nextFrame, say, show } from "./dom.js";
import { errorText } from "./format.js";
import { call, live, on } from "./live.js";
import { has, t } from "./strings.js";

const LANGUAGES = ["tspl", "zpl", "escpos", "star"];
const SIGNS = { error: "bad", warning: "wait", info: "none", ok: "good" };

let rows = new Map(); // address -> {text, node}
let made = 0; // for the ids of fields

// A form with a name, a language, and what can be done; `address()` is asked when it is.
function form(address, { name = "", dialect = "" } = {}, ...fields) {
  const id = made += 1;
  const problem = element("p", { class: "said", role: "status" });
  const report = element("div", { class: "report", "aria-live": "polite" });
  const nameField = element("input", { id: `found-name-${id}`, value: name, autocomplete: "off", required: true, maxlength: 100 });
  const language = element("select", { id: `found-language-${id}` },
    element("option", { value: "" }, t("found.language.none")), ...LANGUAGES.map((each) => element("option", { value: each }, each)));
  language.value = LANGUAGES.includes(dialect) ? dialect : "";
  const label = () => address() || "…";
  const add = element("button", { type: "submit", "data-act": "", "aria-label": t("found.add.of", { address: label() }) }, t("found.add"));
  const probe = button(t("found.probe"), t("found.probe.of", { address: label() }), () => look(address(), language.value, report, probe), { class: "quiet" });
  const node = element("form", { class: "add admin" }, ...fields,
    element("p", {}, element("label", { for: nameField.id }, t("found.name")), nameField),
    element("p", {}, element("label", { for: language.id }, t("found.language")), language),
    element("p", { class: "actions" }, add, probe), problem, report);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(problem, "");
    disable(add, true);
    try {
      const params = { name: nameField.value.trim(), address: address() };
      await call("admin.add", language.value ? { ...params, dialect: language.value } : params);
      say(problem, t("found.added", { name: params.name }));
      say($("found-said"), t("found.added", { name: params.name }));
    } catch (error) {
      say(problem, errorText(error));
    }
    disable(add, false);
  });
  show(node, live.admin);
  disable(add, false);
  disable(probe, false);
  return node;
}

async function look(address, dialect, report, probe) {
  if (!address) {
    return;
  }
  disable(probe, true);
  report.replaceChildren(element("p", { class: "note" }, t("found.probing")));
  try {
    report.replaceChildren(...reportOf(await call("admin.probe", dialect ? { address, dialect } : { address })));
  } catch (error) {
    report.replaceChildren(element("p", { class: "problem" }, errorText(error)));
  }
  disable(probe, false);
}

function reportOf({ make_model: model, dialect, findings = [] }) {
  const what = [model, dialect].filter(Boolean).join(", ");
  return [
    what ? element("p", {}, t("found.probe.says", { what })) : null,
    findings.length ? null : element("p", { "data-state": "good" }, element("span", { class: "state" }, t("found.probe.fine"))),
    element("ul", { class: "findings" }, ...findings.map(finding)),
  ].filter(Boolean);
}

function finding({ severity, title, detail, remedy }) {
  return element("li", { "data-state": SIGNS[severity] ?? "none" },
    element("p", { class: "state" }, `${has(`severity.${severity}`) ? `${t(`severity.${severity}`)}: ` : ""}${title}`),
    detail ? element("p", { class: "note" }, detail) : null,
    remedy ? element("p", {}, t("found.remedy", { what: remedy })) : null);
}

function makeRow(one) {
  const words = [
    one.serial ? `${t("found.serial", { serial: one.serial })}.` : "",
    one.dialect ? t("found.language.how", { dialect: one.dialect, how: one.how || "–" }) : "",
    one.error ? errorText(one.error) : "",
  ].filter(Boolean).join(" ");
  return element("li", { class: "card", "data-found": one.address },
    element("div", { class: "head" }, element("h3", {}, one.make_model || t("found.unnamed"))),
    element("p", { class: "address" }, element("code", {}, one.address)),
    element("p", { class: "note" }, words),
    form(() => one.address, { name: suggested(one), dialect: one.dialect ?? "" }));
}

// A name that is not taken yet.
function suggested({ make_model: model }) {
  const base = (model || "Printer").replace(/[^\p{L}\p{N} _-]/gu, "").trim().slice(0, 40) || "Printer";
  const taken = new Set(live.printers?.names ?? []);
  let name = base;
  for (let count = 2; taken.has(name); count += 1) {
    name = `${base} ${count}`;
  }
  return name;
}

// Those that stay keep what somebody has typed into them.
function render() {
  const found = live.printers?.server.found ?? [];
  const next = new Map();
  for (const one of found) {
    const text = JSON.stringify(one);
    const known = rows.get(one.address);
    next.set(one.address, known?.text === text ? known : { text, node: makeRow(one) });
  }
  rows = next;
  const nodes = [...rows.values()].map(({ node }) => node);
  if (nodes.length !== $("found-list").children.length || nodes.some((node, index) => $("found-list").children[index] !== node)) {
    $("found-list").replaceChildren(...nodes);
  }
  show($("found"), nodes.length > 0);
}

function manual() {
  const address = element("input", { id: "found-address", autocomplete: "off", required: true, maxlength: 300, placeholder: "tcp://" });
  const field = element("p", {}, element("label", { for: "found-address" }, t("found.address")), address);
  $("manual-form").replaceChildren(form(() => address.value.trim(), {}, field));
  for (const node of $("manual-form").querySelectorAll("button")) {
    node.removeAttribute("aria-label"); // what it is about stands beside it
  }
}

export function startFound() {
  manual();
  on("server", () => nextFrame(render));
  on("snapshot", () => nextFrame(render));
  on("language", () => {
    rows.clear();
    manual();
    render();
  });
}

