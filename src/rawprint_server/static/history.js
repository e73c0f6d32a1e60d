// The strip of a printer's last day: what it was, when. The height of a bar says it as well as its colour.

"use strict";

import { element, svg } from "./dom.js";
import { span } from "./format.js";
import { t } from "./strings.js";
import { kindOf } from "./words.js";

const DAY = 86_400_000;
const BINS = 144; // of ten minutes
const MOST = 500; // entries of a printer
const WORST = ["none", "good", "busy", "paused", "gone", "bad"]; // of what fell into one bin, the last of these shows
const HEIGHTS = { none: 2, good: 6, busy: 10, paused: 14, gone: 18, bad: 20 };
const HEIGHT = 20;

/** The entries of one printer, oldest first. */
export class History {
  #entries = [];

  load(entries) {
    this.#entries = entries.map((entry) => ({ at: new Date(entry.at).getTime(), kind: kindOf(entry) }));
  }

  /** Notes what the printer is now; returns whether that is something else than before. */
  add(printer) {
    const kind = kindOf({ ...printer, busy: false, paused: false });
    if (this.#entries.at(-1)?.kind === kind) {
      return false;
    }
    this.#entries.push({ at: Date.now(), kind });
    if (this.#entries.length > MOST) {
      this.#entries.shift();
    }
    return true;
  }

  /** Spans of time with one kind each, within the last day. */
  #spans(now) {
    return this.#entries
      .map(({ at, kind }, index) => ({ kind, from: Math.max(at, now - DAY), to: this.#entries[index + 1]?.at ?? now }))
      .filter(({ from, to }, index, all) => to > from || index === all.length - 1);
  }

  #bins(now) {
    const bins = new Array(BINS).fill("none");
    const place = (at) => Math.min(BINS - 1, Math.max(0, Math.floor(((at - now + DAY) / DAY) * BINS)));
    for (const { kind, from, to } of this.#spans(now)) {
      for (let bin = place(from); bin <= Math.max(place(from), place(to - 1)); bin += 1) {
        bins[bin] = WORST.indexOf(kind) > WORST.indexOf(bins[bin]) ? kind : bins[bin];
      }
    }
    return bins;
  }

  #summary(now) {
    const spans = this.#spans(now);
    const bad = spans.filter(({ kind }) => kind === "bad" || kind === "gone");
    if (spans.every(({ kind }) => kind === "none")) {
      return t("history.none");
    }
    const time = span(bad.reduce((sum, { from, to }) => sum + to - from, 0));
    return bad.length ? t("history.bad", { count: bad.length, time }) : t("history.good");
  }

  /** The strip as it is now. */
  draw() {
    const now = Date.now();
    const bars = [];
    const bins = this.#bins(now);
    for (let start = 0; start < BINS;) {
      let end = start + 1;
      while (end < BINS && bins[end] === bins[start]) {
        end += 1;
      }
      const height = HEIGHTS[bins[start]];
      bars.push(svg("rect", { class: `bar-${bins[start]}`, x: start, y: HEIGHT - height, width: end - start, height }));
      start = end;
    }
    const summary = this.#summary(now);
    return element("div", { class: "history" },
      svg("svg", { viewBox: `0 0 ${BINS} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary },
        svg("title", {}, summary), ...bars),
      element("p", { "aria-hidden": "true" }, element("span", {}, t("history.start")), element("span", {}, t("history.now"))));
  }
}
