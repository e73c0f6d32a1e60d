// The alarm: a printer stands still, and jobs wait for it. A banner and the page's title say so, and on request a bell
// and the system's notifications. It follows the events themselves, as a page in the background draws no frames.

"use strict";

import { $, element, say, show } from "./dom.js";
import { errorText } from "./format.js";
import { live, on } from "./live.js";
import { showPrinter } from "./printers.js";
import { t } from "./strings.js";
import { isAlarm, printerState, remedyOf } from "./words.js";

const UNREACHABLE_MS = 5000; // one that does not answer may only be switching on
const SHOWN = 5;
const RING_MS = 30_000; // until the bell rings again for the same

const TITLE = "rawprint";
const standing = new Map(); // name -> {data, since, told, row, text}
let timer = 0;
let bell = null; // an AudioContext, where it is on
let notify = false;

// --- which printers

function consider(data) {
  if (isAlarm(data)) {
    const known = standing.get(data.name);
    standing.set(data.name, Object.assign(known ?? { since: Date.now(), told: false }, { data }));
  } else {
    standing.delete(data.name);
  }
}

const isDue = ({ data, since }) => data.state === "stopped" || Date.now() - since >= UNREACHABLE_MS;

function update() {
  clearTimeout(timer);
  const due = [...standing.values()].filter(isDue);
  if (due.length === 0) {
    say($("alarm-spoken"), "");
  }
  if (due.length < standing.size) {
    timer = setTimeout(update, UNREACHABLE_MS / 5);
  }
  const fresh = due.filter((alarm) => !alarm.told);
  fresh.forEach((alarm) => {
    alarm.told = true;
  });
  render(due);
  if (fresh.length) { // said once; how many jobs wait changes all the time
    say($("alarm-spoken"), fresh.map(({ data }) => `${data.name}: ${printerState(data).text}. ${remedyOf(data)}`).join(" "));
    ring();
    fresh.forEach(notifyOf);
  }
}

function render(due) {
  const title = due.length ? `⚠ ${t("alarm.title", { count: due.length, name: due[0].data.name })} – ${TITLE}` : TITLE;
  if (document.title !== title) {
    document.title = title;
  }
  show($("alarm"), due.length > 0);
  const shown = due.slice(0, SHOWN).map(({ data }) => rowOf(data));
  const more = due.length > SHOWN ? [element("li", {}, t("alarm.more", { count: due.length - SHOWN }))] : [];
  const list = $("alarm-list");
  if (more.length || list.children.length !== shown.length || shown.some((node, index) => list.children[index] !== node)) {
    list.replaceChildren(...shown, ...more);
  }
}

// The same element as long as the printer stands still: somebody may be about to press its button.
function rowOf(data) {
  const alarm = standing.get(data.name);
  alarm.text ??= element("span");
  alarm.row ??= element("li", { "data-alarm": data.name }, element("strong", {}, data.name), " ", alarm.text, " ",
    element("button", { type: "button", class: "quiet", "aria-label": `${t("alarm.show")}: ${data.name}`, click: () => showPrinter(data.name) }, t("alarm.show")));
  say(alarm.text, lineOf(data));
  return alarm.row;
}

function lineOf(data) {
  const jobs = data.pending ? `${t("printers.waiting", { count: data.pending })}.` : t("alarm.busy");
  return [`${printerState(data).text}.`, jobs, remedyOf(data)].join(" ");
}

// --- the bell and notifications

function tone(at, frequency) {
  const gain = bell.createGain();
  const sound = bell.createOscillator();
  sound.frequency.value = frequency;
  gain.gain.setValueAtTime(0.0001, at);
  gain.gain.exponentialRampToValueAtTime(0.3, at + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.6);
  sound.connect(gain).connect(bell.destination);
  sound.start(at);
  sound.stop(at + 0.7);
}

function ring() {
  if (bell !== null) {
    tone(bell.currentTime, 880);
    tone(bell.currentTime + 0.25, 660);
    $("bell").dataset.rung = String(Number($("bell").dataset.rung ?? 0) + 1);
  }
}

function notifyOf({ data }) {
  if (!notify) {
    return;
  }
  try {
    const message = new Notification(`${data.name}: ${printerState(data).text}`, { body: remedyOf(data), tag: `rawprint ${data.name}` });
    message.addEventListener("click", () => {
      window.focus();
      showPrinter(data.name);
    });
  } catch {
    // Browsers of phones have permissions and no notifications.
  }
}

function toggleBell() {
  if (bell === null) {
    bell = new AudioContext(); // a browser lets it sound, as it is made by a click
    ring();
  } else {
    bell.close();
    bell = null;
  }
  paintButtons();
}

async function toggleNotify() {
  try {
    notify = !notify && (await Notification.requestPermission()) === "granted";
    say($("alarm-said"), Notification.permission === "denied" ? t("notify.denied") : "");
  } catch (error) {
    notify = false;
    say($("alarm-said"), errorText(error));
  }
  paintButtons();
}

function paintButtons() {
  say($("bell"), t(bell === null ? "bell.off" : "bell.on"));
  $("bell").setAttribute("aria-pressed", String(bell !== null));
  say($("notify"), t(notify ? "notify.on" : "notify.off"));
  $("notify").setAttribute("aria-pressed", String(notify));
}

function anew() {
  const names = new Set(live.printers.names);
  [...standing.keys()].filter((name) => !names.has(name)).forEach((name) => standing.delete(name));
  [...live.printers].forEach((printer) => consider(printer.toJSON()));
  update();
}

export function startAlarm() {
  on("printer", (data) => {
    const before = standing.get(data.name);
    consider(data);
    if (before || standing.has(data.name)) {
      update();
    }
  });
  on("snapshot", anew);
  on("server", anew);
  on("language", () => {
    standing.forEach((alarm) => {
      alarm.row = undefined;
    });
    update();
    paintButtons();
  });
  show($("notify"), "Notification" in window);
  $("bell").addEventListener("click", toggleBell);
  $("notify").addEventListener("click", toggleNotify);
  setInterval(() => [...standing.values()].some(({ told }) => told) && ring(), RING_MS);
  paintButtons();
}
