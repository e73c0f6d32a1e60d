// For the administrator: the server's log as it happens, the newest line first; what is shown of it is bounded.

"use strict";

import { $, debounced, element, nextFrame, say, show } from "./dom.js";
import { clock } from "./format.js";
import { live, on } from "./live.js";
import { t } from "./strings.js";

const MOST = 1000; // lines
const LEVELS = ["debug", "info", "warning", "error"];

let lines = []; // {data, node}, the newest first
let fresh = []; // that came since the last frame, or while it is held
let held = false;

function makeLine(data) {
  const about = [data.printer, data.job].filter(Boolean).join(" · ");
  const node = element("li", { class: "line", "data-level": data.level },
    element("time", { datetime: data.at }, clock(new Date(data.at))),
    element("span", { class: "level" }, t(`level.${data.level}`)),
    element("span", { class: "text" }, data.text, about ? element("span", { class: "note" }, ` ${about}`) : null));
  return { data, node };
}

const wanted = () => [LEVELS.indexOf($("activity-level").value), $("activity-text").value.toLowerCase()];

const fits = ({ level, text, job, printer }, [from, words]) => LEVELS.indexOf(level) >= from
  && (!words || `${text} ${job ?? ""} ${printer ?? ""}`.toLowerCase().includes(words));

function take(data) {
  fresh.push(data);
  if (fresh.length > MOST) {
    fresh.shift();
  }
  nextFrame(render);
}

function render() {
  if (!held && fresh.length) {
    const made = fresh.reverse().map(makeLine);
    fresh = [];
    $("activity-list").prepend(...made.map(({ node }) => node));
    lines = made.concat(lines);
    lines.splice(MOST).forEach(({ node }) => node.remove());
    filter(made);
  }
  foot();
}

function filter(some) {
  const now = wanted();
  some.forEach(({ data, node }) => show(node, fits(data, now)));
}

function foot() {
  const now = wanted();
  const shown = lines.filter(({ data }) => fits(data, now)).length;
  say($("activity-shown"), held && fresh.length ? t("activity.held", { count: fresh.length })
    : lines.length ? t("activity.shown", { shown, count: lines.length }) : t("activity.none"));
  say($("activity-pause"), t(held ? "activity.resume" : "activity.pause"));
  $("activity-pause").setAttribute("aria-pressed", String(held));
}

function refilter() {
  filter(lines);
  foot();
}

function clear() {
  lines.forEach(({ node }) => node.remove());
  lines = [];
  fresh = [];
}

function levels() {
  const { value } = $("activity-level");
  $("activity-level").replaceChildren(...LEVELS.map((name) => element("option", { value: name }, t(`level.${name}`))));
  $("activity-level").value = value || "info";
}

export function startActivity() {
  levels();
  on("log", take);
  on("watch", ({ log }) => {
    clear();
    log.forEach(take);
    nextFrame(render);
  });
  on("admin", () => live.admin || clear());
  on("language", () => {
    levels();
    lines.forEach(({ data, node }) => say(node.querySelector(".level"), t(`level.${data.level}`)));
    foot();
  });
  $("activity-level").addEventListener("change", refilter);
  $("activity-text").addEventListener("input", debounced(refilter, 100));
  $("activity-pause").addEventListener("click", () => {
    held = !held;
    render();
  });
  foot();
}
