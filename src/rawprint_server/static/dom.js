// Small helpers for the page's elements: made without ever reading anything as HTML, and changed once a frame.

"use strict";

import { t } from "./strings.js";

export const $ = (id) => document.getElementById(id);

/** An element; attributes that are functions listen to the event of that name, null and false ones are left out. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(name, value);
    } else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Writes only what is new, so that a screen reader is not told the same thing again and a selection stays. */
export function say(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

export function show(node, visible) {
  if (node.hidden === visible) {
    node.hidden = !visible;
  }
}

/** A button that does something with the server: it is dead while there is no connection (see `disable`). */
export function button(text, label, act, attributes = {}) {
  const made = element("button", { type: "button", "data-act": "", "aria-label": label, click: act, ...attributes }, text);
  return made;
}

/** A button is dead by its own `off`, or as nothing is connected. */
export function disable(node, off) {
  node.dataset.off = off ? "yes" : "";
  node.disabled = off || document.body.dataset.connection !== "good";
}

/** After the connection has come or gone. */
export function refreshButtons() {
  const gone = document.body.dataset.connection !== "good";
  for (const node of document.querySelectorAll("[data-act]")) {
    node.disabled = gone || node.dataset.off === "yes";
  }
}

/** Puts the strings of the table where the page's markup says. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) {
    say(node, t(node.dataset.t));
  }
  for (const node of root.querySelectorAll("[data-placeholder]")) {
    node.placeholder = t(node.dataset.placeholder);
  }
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
  }
}

const due = new Set();

/** Runs the function once before the next frame, however often it was asked for; not while nobody sees the page. */
export function nextFrame(act) {
  if (due.size === 0) {
    requestAnimationFrame(run);
  }
  due.add(act);
}

function run() {
  const now = [...due];
  due.clear();
  now.forEach((act) => act());
}

/** Calls `act(node, seen)` as nodes that are watched come into view and leave it. */
export function watcher(act) {
  return new IntersectionObserver(
    (entries) => entries.forEach(({ target, isIntersecting }) => act(target, isIntersecting)), { rootMargin: "100px" });
}

/** Calls back when nothing was typed for a moment. */
export function debounced(act, ms = 200) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}

/** Asks a question in a dialog; resolves with whether the answer was yes. */
export function confirmed(question) {
  return new Promise((resolve) => {
    const dialog = element("dialog", { "aria-label": question, class: "question" },
      element("p", {}, question),
      element("form", { method: "dialog", class: "actions" },
        element("button", { value: "no" }, t("confirm.no")),
        element("button", { value: "yes", class: "danger" }, t("confirm.yes"))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
