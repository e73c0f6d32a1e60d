// The inside of a job: its text as far as that can be read, a picture of its first page, and what there is to know of it.

"use strict";

import { element, say, show } from "./dom.js";
import { errorText, fullMoment, list } from "./format.js";
import { call } from "./live.js";
import { t } from "./strings.js";

export function makeTicket(job) {
  const facts = element("p", { class: "note" });
  const problem = element("p", { class: "problem" });
  const notes = element("ul", { class: "notes" });
  const inside = element("div", { class: "inside" }, element("p", { class: "note" }, t("ticket.loading")));
  const node = element("div", { class: "ticket", role: "group", "aria-label": t("jobs.show.of", { id: job.id }) }, facts, problem, notes, inside);
  const ticket = { node, update: (data) => update(data, facts, problem, notes) };
  ticket.update(job);
  load(job.id, inside);
  return ticket;
}

function update(job, facts, problem, notes) {
  say(facts, [
    `${t("ticket.created", { time: fullMoment(job.created) })}.`,
    job.ended ? `${t("ticket.ended", { time: fullMoment(job.ended) })}.` : "",
    job.evidence.length ? `${t("ticket.evidence", { what: list(job.evidence) })}.` : "",
  ].filter(Boolean).join(" "));
  say(problem, job.error ? errorText(job.error) : "");
  show(notes, job.notes.length > 0);
  if (notes.children.length !== job.notes.length) {
    notes.replaceChildren(...job.notes.map((note) => element("li", {}, note)));
  }
}

async function load(id, inside) {
  try {
    inside.replaceChildren(...contents(id, await call("jobs.text", { id })));
  } catch (error) {
    inside.replaceChildren(element("p", { class: "note" }, error.code === "no-data" ? t("ticket.gone") : errorText(error)));
  }
}

function contents(id, { lines, sheet, sheets, truncated }) {
  return [
    element("div", {},
      element("h4", {}, t("ticket.text")),
      lines.length ? element("pre", { tabindex: "0" }, lines.join("\n")) : element("p", { class: "note" }, t("ticket.empty")),
      truncated ? element("p", { class: "note" }, t("ticket.truncated")) : null),
    sheet ? element("div", {}, picture(id, sheet), element("p", { class: "note" }, t("ticket.sheets", { count: sheets }))) : null,
  ].filter(Boolean);
}

// Drawn rather than linked: nothing but the server's own files may be loaded as an image of the page.
function picture(id, sheet) {
  const canvas = element("canvas", { role: "img", "aria-label": t("ticket.picture", { id }), width: 1, height: 1 });
  const bytes = Uint8Array.from(atob(sheet), (letter) => letter.charCodeAt(0));
  createImageBitmap(new Blob([bytes], { type: "image/png" })).then((image) => {
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
  }, () => canvas.remove());
  return canvas;
}
