// Times, sizes and lists, as people of the page's language write them.

"use strict";

import { current, t } from "./strings.js";

const kept = new Map();

// A formatter takes long to make, and there are hundreds of times on the page.
function formatter(name, make) {
  const key = `${current()} ${name}`;
  if (!kept.has(key)) {
    kept.set(key, make(current()));
  }
  return kept.get(key);
}

export const clock = (date) =>
  formatter("clock", (lang) => new Intl.DateTimeFormat(lang, { timeStyle: "medium" })).format(date);

const day = (date) =>
  formatter("day", (lang) => new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" })).format(date);

/** The time of day, and the day where that is not today's. */
export function moment(text) {
  const date = new Date(text);
  return date.toDateString() === new Date().toDateString() ? clock(date) : day(date);
}

export const fullMoment = (text) => day(new Date(text));

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** How long ago something was; a clock that runs behind the server's is not told of the future. */
export function ago(text, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - new Date(text).getTime()) / 1000));
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? UNITS[3];
  return formatter("ago", (lang) => new Intl.RelativeTimeFormat(lang, { numeric: "auto", style: "short" }))
    .format(-Math.floor(seconds / size), unit);
}

/** A span of time, in its largest unit. */
export function span(ms) {
  const seconds = Math.round(ms / 1000);
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? UNITS[3];
  return formatter(`span ${unit}`, (lang) => new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "short" }))
    .format(Math.round(seconds / size));
}

export function size(bytes) {
  const [unit, each] = bytes >= 1e6 ? ["MB", 1e6] : bytes >= 1e4 ? ["kB", 1e3] : ["B", 1];
  return `${formatter("number", (lang) => new Intl.NumberFormat(lang, { maximumFractionDigits: 1 })).format(bytes / each)} ${unit}`;
}

export function list(words) {
  return words.length < 2 ? words.join("") : t("and", { first: words.slice(0, -1).join(", "), last: words.at(-1) });
}

/** Messages and hints come as they fit into a line of a log. */
export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, ".") : "");

export const errorText = (error) => [sentence(error.message), sentence(error.hint)].filter(Boolean).join(" ");
