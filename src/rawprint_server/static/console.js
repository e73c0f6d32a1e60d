// The raw console of a printer: bytes out, between two jobs, and what comes back, as hex and in words.

"use strict";

import { disable, element, say } from "./dom.js";
import { dump, fromHex, toHex, unescaped } from "./escapes.js";
import { clock, errorText } from "./format.js";
import { call } from "./live.js";
import { t } from "./strings.js";

const MOST_ROUNDS = 50;

export function openConsole(name) {
  const data = element("textarea", { id: "console-data", rows: 3, spellcheck: "false", autocomplete: "off", autocapitalize: "off", autofocus: true });
  const flavor = element("select", { id: "console-flavor" },
    element("option", { value: "text" }, t("console.text")), element("option", { value: "hex" }, t("console.hex")));
  const seconds = element("input", { id: "console-seconds", type: "number", min: "0.1", max: "10", step: "0.1", value: "1" });
  const send = element("button", { type: "submit", "data-act": "" }, t("console.send"));
  const problem = element("p", { class: "problem", role: "alert" });
  const rounds = element("ol", { class: "rounds", "aria-live": "polite" });
  const form = element("form", {},
    element("p", {}, element("label", { for: "console-data" }, t("console.data")), data),
    element("div", { class: "pair" },
      element("p", {}, element("label", { for: "console-flavor" }, t("console.flavor")), flavor),
      element("p", {}, element("label", { for: "console-seconds" }, t("console.seconds")), seconds)),
    element("p", { class: "actions" }, send));
  const dialog = element("dialog", { class: "console", "aria-labelledby": "console-title" },
    element("div", { class: "head" },
      element("h2", { id: "console-title" }, t("console.heading", { name })),
      element("button", { type: "button", class: "quiet", click: () => dialog.close() }, t("close"))),
    element("p", { class: "note" }, t("console.warning")), form, problem, rounds);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(problem, "");
    const bytes = flavor.value === "hex" ? fromHex(data.value) : unescaped(data.value);
    if (bytes === null || bytes.length === 0) {
      say(problem, bytes === null ? t("console.badhex") : "");
      return;
    }
    disable(send, true);
    try {
      const answer = await call("admin.raw", { printer: name, data: toHex(bytes), flavor: "hex", seconds: Number(seconds.value) });
      rounds.prepend(round(bytes, answer));
      if (rounds.children.length > MOST_ROUNDS) {
        rounds.lastElementChild.remove();
      }
    } catch (error) {
      say(problem, errorText(error));
    }
    disable(send, false);
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  disable(send, false);
  dialog.showModal();
}

function round(bytes, { sent, received, decoded }) {
  const back = fromHex(received) ?? new Uint8Array();
  return element("li", {},
    element("p", { class: "note" }, `${clock(new Date())} · ${t("console.sent", { count: sent })}`),
    element("pre", {}, dump(bytes)),
    element("p", {}, back.length ? t("console.received", { count: back.length }) : t("console.nothing")),
    back.length ? element("pre", { class: "received" }, dump(back)) : null,
    decoded.length ? element("p", { class: "note" }, t("console.decoded")) : null,
    decoded.length ? element("ul", { class: "decoded" }, ...decoded.map((line) => element("li", {}, line))) : null);
}
