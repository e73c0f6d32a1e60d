// The jobs: the newest first, as they come and change; searched, filtered, and paged back as far as the server remembers.

"use strict";

import { $, button, debounced, disable, element, nextFrame, say, show } from "./dom.js";
import { errorText, moment, size } from "./format.js";
import { call, live, on, tell } from "./live.js";
import { t } from "./strings.js";
import { makeTicket } from "./ticket.js";
import { isEnd, jobState } from "./words.js";

const PAGE = 100;
const MOST_UNSEEN = 1000;
const STATES = ["pending", "processing", "stopped", "completed", "delivered", "uncertain", "failed", "canceled", "expired"];

const rows = new Map(); // id -> its row, newest first as on the page
const changed = new Map(); // id -> data
let most = PAGE; // rows: as many as were asked for, so that a page that is open for days does not grow
let complete = false; // whether there is no older one
let missed = false; // whether more has changed than was kept
let question = 0; // the number of the last one asked: an answer to an earlier one is late

// --- a row

function makeRow(data) {
  const row = { data, ticket: null };
  const { id } = data;
  row.parts = {
    word: element("span", { class: "word" }),
    title: element("h3", {}),
    time: element("time", { class: "note" }),
    about: element("p", { class: "note about" }),
    why: element("p", { class: "why" }),
    progress: element("progress", { "aria-label": t("jobs.progress"), max: 1, value: 0 }),
    bytes: element("span", { class: "note" }),
    cancel: button(t("jobs.cancel"), t("jobs.cancel.of", { id }), () => cancel(row), { class: "quiet" }),
    again: button(t("jobs.again"), t("jobs.again.of", { id }), () => again(row), { class: "quiet" }),
    open: button(t("jobs.show"), t("jobs.show.of", { id }), () => toggle(row), { class: "quiet", "aria-expanded": "false" }),
    said: element("p", { class: "said", role: "status" }),
  };
  const { parts } = row;
  parts.bar = element("p", { class: "bytes" }, parts.progress, parts.bytes);
  row.node = element("li", { class: "job", "data-job": id },
    element("div", { class: "head" }, parts.word, parts.title, parts.time),
    parts.about, parts.why, parts.bar,
    element("div", { class: "actions" }, parts.open, parts.cancel, parts.again),
    parts.said);
  paint(row);
  return row;
}

function paint(row) {
  const { data: job, parts } = row;
  const { kind, word, text } = jobState(job);
  row.node.dataset.state = kind;
  row.node.dataset.jobState = job.state;
  say(parts.word, word);
  say(parts.title, job.name || job.id);
  say(parts.time, moment(job.created));
  say(parts.about, [
    job.printer, job.by ? t("jobs.asked", { who: job.by }) : t("jobs.asked.unknown"), size(job.bytes_total), job.name ? job.id : "",
  ].filter(Boolean).join(" · "));
  say(parts.why, text);
  show(parts.bar, !isEnd(job.state) && job.bytes_accepted > 0);
  parts.progress.value = job.bytes_total ? job.bytes_accepted / job.bytes_total : 0;
  say(parts.bytes, t("jobs.bytes", { accepted: job.bytes_accepted, total: size(job.bytes_total) }));
  show(parts.cancel, !isEnd(job.state));
  show(parts.again, isEnd(job.state) && job.state !== "uncertain");
  disable(parts.cancel, false);
  disable(parts.again, false);
  disable(parts.open, false);
  row.ticket?.update(job);
}

async function cancel(row) {
  await attempt(row, () => call("jobs.cancel", { id: row.data.id }));
}

async function again(row) {
  await attempt(row, async () => {
    const { id } = await call("jobs.again", { id: row.data.id });
    say(row.parts.said, t("jobs.again.done", { id }));
  });
}

async function attempt(row, act) {
  say(row.parts.said, "");
  try {
    await act();
  } catch (error) {
    say(row.parts.said, errorText(error));
  }
}

function toggle(row) {
  const { open } = row.parts;
  if (row.ticket) {
    row.ticket.node.remove();
    row.ticket = null;
  } else {
    row.ticket = makeTicket(row.data);
    row.node.append(row.ticket.node);
  }
  say(open, t(row.ticket ? "jobs.hide" : "jobs.show"));
  open.setAttribute("aria-expanded", String(row.ticket !== null));
}

// --- what is shown

const filters = () => ({
  printer: $("jobs-printer").value,
  state: $("jobs-state").value,
  search: $("jobs-search").value.trim(),
});

function fits(job, { printer, state, search }) {
  return (!printer || job.printer === printer) && (!state || job.state === state)
    && (!search || [job.id, job.name, job.printer, job.by].some((text) => text?.toUpperCase().includes(search.toUpperCase())));
}

const params = (extra) => ({ ...Object.fromEntries(Object.entries(filters()).filter(([, value]) => value)), limit: PAGE, ...extra });

/** All anew, as the filters say. */
async function load() {
  if (!live.connected) {
    return;
  }
  const mine = question += 1;
  try {
    const jobs = await call("jobs.list", params());
    if (mine === question) {
      fill(jobs);
    }
  } catch (error) {
    say($("jobs-problem"), mine === question ? errorText(error) : "");
  }
}

// The newest page, or as much as was shown before: rows that stay keep what is open in them.
function fill(jobs) {
  const kept = new Map(rows);
  rows.clear();
  changed.clear();
  most = PAGE;
  complete = jobs.length < PAGE;
  for (const job of jobs.reverse()) {
    const row = kept.get(job.id) ?? makeRow(job);
    row.data = job;
    paint(row);
    rows.set(job.id, row);
  }
  $("jobs-list").replaceChildren(...[...rows.values()].map(({ node }) => node));
  say($("jobs-problem"), "");
  foot();
}

async function older() {
  const last = [...rows.keys()].at(-1);
  const mine = question;
  disable($("jobs-older"), true);
  try {
    const jobs = await call("jobs.list", params({ before: last }));
    if (mine === question) {
      complete = jobs.length < PAGE;
      most += jobs.length;
      const fresh = jobs.reverse().filter(({ id }) => !rows.has(id)).map(makeRow);
      fresh.forEach((row) => rows.set(row.data.id, row));
      $("jobs-list").append(...fresh.map(({ node }) => node));
      fresh[0]?.parts.open.focus();
    }
  } catch (error) {
    complete = error.code === "unknown-job"; // the last row is older than the server remembers
    say($("jobs-problem"), complete ? "" : errorText(error));
  }
  disable($("jobs-older"), false);
  foot();
}

function foot() {
  const narrowed = Object.values(filters()).some(Boolean);
  show($("jobs-older"), !complete && rows.size > 0);
  show($("jobs-end"), complete && rows.size > 0);
  show($("jobs-none"), rows.size === 0);
  show($("jobs-reset"), narrowed);
  say($("jobs-none"), t(narrowed ? "jobs.nomatch" : "jobs.none"));
}

// --- what changes

function take(job) {
  changed.set(job.id, job);
  if (changed.size > MOST_UNSEEN) { // nobody has seen the page for long: what is new then is asked for at once
    changed.clear();
    missed = true;
  }
  nextFrame(render);
}

function render() {
  if (missed) {
    missed = false;
    load();
    return;
  }
  const wanted = filters();
  const fresh = [];
  for (const [id, job] of changed) {
    const row = rows.get(id);
    if (row && fits(job, wanted)) {
      row.data = job;
      paint(row);
    } else if (row) {
      row.node.remove();
      rows.delete(id);
    } else if (fits(job, wanted) && belongs(job)) {
      fresh.push(job);
    }
  }
  changed.clear();
  insert(fresh);
  foot();
}

// One that began before the oldest row is on a page that was not asked for.
function belongs(job) {
  const last = [...rows.values()].at(-1);
  return complete || !last || job.created >= last.data.created;
}

function insert(jobs) {
  if (jobs.length === 0) {
    return;
  }
  jobs.sort((one, other) => (one.created < other.created ? 1 : one.created > other.created ? -1 : 0));
  const first = rows.values().next().value;
  if (!first || jobs.at(-1).created >= first.data.created) { // as nearly always
    const fresh = jobs.map(makeRow);
    const before = [...rows];
    rows.clear();
    fresh.forEach((row) => rows.set(row.data.id, row));
    before.forEach(([id, row]) => rows.set(id, row));
    $("jobs-list").prepend(...fresh.map(({ node }) => node));
  } else {
    const all = [...rows.values(), ...jobs.map(makeRow)];
    all.sort((one, other) => (one.data.created < other.data.created ? 1 : one.data.created > other.data.created ? -1 : 0));
    rows.clear();
    all.forEach((row) => rows.set(row.data.id, row));
    $("jobs-list").replaceChildren(...all.map(({ node }) => node));
  }
  trim();
}

function trim() {
  for (const [id, row] of [...rows].slice(most)) {
    if (row.ticket === null && !row.node.contains(document.activeElement)) {
      row.node.remove();
      rows.delete(id);
      complete = false;
    }
  }
}

// --- the filters

function options() {
  const printer = $("jobs-printer").value;
  const state = $("jobs-state").value;
  const names = live.printers?.names ?? [];
  $("jobs-printer").replaceChildren(element("option", { value: "" }, t("jobs.printer.any")),
    ...names.map((name) => element("option", { value: name }, name)));
  $("jobs-state").replaceChildren(element("option", { value: "" }, t("jobs.state.any")),
    ...STATES.map((name) => element("option", { value: name }, t(`job.${name}`))));
  $("jobs-printer").value = names.includes(printer) ? printer : "";
  $("jobs-state").value = state;
}

function setFilters({ printer = "", state = "", search = "" }) {
  $("jobs-printer").value = printer;
  $("jobs-state").value = state;
  $("jobs-search").value = search;
  load();
}

function rebuild() {
  options();
  for (const [id, row] of rows) {
    rows.set(id, makeRow(row.data));
  }
  $("jobs-list").replaceChildren(...[...rows.values()].map(({ node }) => node));
  foot();
}

export function startJobs() {
  on("job", take);
  on("snapshot", () => {
    options();
    load();
  });
  on("server", options);
  on("language", rebuild);
  on("filter-jobs", (wanted) => {
    setFilters(wanted);
    tell("show", "jobs");
  });
  const reload = debounced(load);
  $("jobs-search").addEventListener("input", reload);
  $("jobs-printer").addEventListener("change", load);
  $("jobs-state").addEventListener("change", load);
  $("jobs-filters").addEventListener("submit", (event) => {
    event.preventDefault();
    load();
  });
  $("jobs-older").addEventListener("click", older);
  $("jobs-reset").addEventListener("click", () => setFilters({}));
}

