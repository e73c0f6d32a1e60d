// Jobs that may have come out or not: the question that somebody has to answer at the printer.

"use strict";

import { $, button, element, nextFrame, say, show } from "./dom.js";
import { errorText, moment } from "./format.js";
import { call, on } from "./live.js";
import { t } from "./strings.js";
import { isSettled } from "./words.js";

const SHOWN = 20;

const doubts = new Map(); // id -> {job, node}
const changed = new Map();

const isOpen = (job) => job.state === "uncertain" && !isSettled(job);

function makeDoubt(job) {
  const problem = element("p", { class: "problem", role: "alert" });
  const answer = (action, key) => button(t(key), `${t(key)} (${job.name || job.id})`, async () => {
    try {
      await call("jobs.resolve", { id: job.id, action });
    } catch (error) {
      say(problem, error.code === "not-uncertain" ? t("doubts.said") : errorText(error));
    }
  });
  return element("li", { class: "card", "data-state": "bad", "data-doubt": job.id },
    element("div", { class: "head" },
      element("h3", {}, job.name ? `${job.printer}: ${job.name}` : job.printer), element("code", {}, job.id)),
    element("p", { class: "state" },
      t("doubts.one", { time: moment(job.ended ?? job.created), accepted: job.bytes_accepted, total: job.bytes_total })),
    problem,
    element("p", { class: "actions" }, answer("discard", "doubts.yes"), answer("print-again", "doubts.no")));
}

function render() {
  for (const [id, job] of changed) {
    if (!isOpen(job)) {
      doubts.get(id)?.node.remove();
      doubts.delete(id);
    } else if (!doubts.has(id) && doubts.size < SHOWN) {
      const node = makeDoubt(job);
      doubts.set(id, { job, node });
      $("doubts-list").append(node);
    }
  }
  changed.clear();
  show($("doubts"), doubts.size > 0);
}

function take(job) {
  if (isOpen(job) || doubts.has(job.id) || changed.has(job.id)) {
    changed.set(job.id, job);
    nextFrame(render);
  }
}

async function load() {
  try {
    const jobs = await call("jobs.list", { state: "uncertain", limit: 10 * SHOWN });
    const open = new Set(jobs.filter(isOpen).map(({ id }) => id));
    for (const [id, { node }] of doubts) {
      if (!open.has(id)) {
        node.remove();
        doubts.delete(id);
      }
    }
    jobs.forEach((job) => changed.set(job.id, job));
    nextFrame(render);
  } catch {
    // Who may not see jobs is asked nothing about them.
  }
}

function rebuild() {
  const jobs = [...doubts.values()].map(({ job }) => job);
  doubts.clear();
  $("doubts-list").replaceChildren();
  jobs.forEach((job) => changed.set(job.id, job));
  nextFrame(render);
}

export function startDoubts() {
  on("snapshot", load);
  on("job", take);
  on("language", rebuild);
}
