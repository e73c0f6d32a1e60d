// What the state of a printer or of a job means: a kind for the style sheet, and words that claim no more than is known.

"use strict";

import { errorText, list } from "./format.js";
import { has, t } from "./strings.js";

const trueOnes = (reasons) => Object.keys(reasons ?? {}).filter((name) => reasons[name]);
const isWarning = (name) => has(`warning.${name}`);

/** The reasons that stop a printer, by name. That it is offline says nothing where it says why. */
export function stopsOf(reasons) {
  const stops = trueOnes(reasons).filter((name) => !isWarning(name));
  return stops.length > 1 ? stops.filter((name) => name !== "offline-report") : stops;
}

const reason = (name) => (has(`reason.${name}`) ? t(`reason.${name}`) : t("reason.unknown", { name }));

const stopsInWords = (reasons) => list(stopsOf(reasons).map(reason));

export const warningsInWords = (reasons) => list(trueOnes(reasons).filter(isWarning).map((name) => t(`warning.${name}`)));

/** "good", "busy", "bad", "gone", "paused" or "none", of a printer or of one entry of its history. */
export function kindOf({ state, error, busy = false, paused = false }) {
  return error ? "gone" : state === "stopped" ? "bad" : paused ? "paused"
    : busy || state === "processing" ? "busy" : state === "idle" ? "good" : "none";
}

export function printerState(printer) {
  const kind = kindOf(printer);
  const text = {
    bad: () => t("state.stopped", { why: stopsInWords(printer.reasons) || t("state.stopped.unknown") }),
    gone: () => t("state.unreachable"),
  }[kind]?.() ?? t(`state.${kind}`);
  return { kind, text };
}

/** Whether jobs wait for a printer that does not get on by itself. */
export const isAlarm = (printer) => (printer.state === "stopped" || Boolean(printer.error)) && (printer.pending > 0 || printer.busy);

/** What a person has to do so that it prints again. */
export function remedyOf(printer) {
  if (printer.error) {
    return [errorText(printer.error), printer.error.hint ? "" : t("remedy.unreachable")].filter(Boolean).join(" ");
  }
  const known = stopsOf(printer.reasons).filter((name) => has(`remedy.${name}`)).map((name) => t(`remedy.${name}`));
  return [known.join(" ") || t("remedy.other"), t("remedy.goes-on")].join(" ");
}

export const isEnd = (state) => !["pending", "processing", "stopped"].includes(state);
export const isSettled = (job) => job.evidence.includes("settled");

/** A job's state: `kind`, `word` and a sentence. */
export function jobState(job) {
  const stops = stopsInWords(job.reasons);
  const error = job.error ? job.error.message.replace(/\.?$/, ".") : "";
  const why = stops ? `${stops}.` : error;
  const word = t(job.state === "uncertain" && isSettled(job) ? "job.settled" : `job.${job.state}`);
  const of = (kind, key, values) => ({ kind, word, text: t(key, values) });
  switch (job.state) {
    case "pending":
      return why ? of("bad", "why.pending.because", { why }) : of("wait", "why.pending");
    case "processing":
      return of("busy", job.bytes_accepted < job.bytes_total ? "why.sending" : "why.taken");
    case "stopped":
      return of("bad", "why.stopped", { why: why || t("why.stopped.unknown") });
    case "completed":
      return of("good", "why.completed");
    case "delivered":
      return of("good", job.evidence.includes("status") ? "why.status"
        : job.evidence.includes("handed-over") ? "why.handed" : "why.delivered");
    case "uncertain":
      return isSettled(job) ? of("none", "why.settled") : of("bad", "why.uncertain", { why: error });
    case "failed":
      return of("bad", "why.failed", { why: error });
    case "canceled":
      return of("none", job.bytes_accepted ? "why.canceled.part" : "why.canceled");
    case "expired":
      return of("none", "why.expired");
    default:
      return { kind: "none", word: job.state, text: "" };
  }
}
