// The page at `/`: its parts, which of them is in view, its language, and whether what it shows is live.

"use strict";

import { startActivity } from "./activity.js";
import { startAlarm } from "./alarm.js";
import { startClients } from "./clients.js";
import { startCommands } from "./commands.js";
import { $, refreshButtons, say, show, translate } from "./dom.js";
import { startDoubts } from "./doubts.js";
import { clock, errorText } from "./format.js";
import { startFound } from "./found.js";
import { startJobs } from "./jobs.js";
import { enter, live, on, start, tell } from "./live.js";
import { startPrinters } from "./printers.js";
import { current, switchLanguage, t } from "./strings.js";

const VIEWS = ["printers", "jobs", "access", "activity", "commands"];

// --- which part is in view

function showView(name) {
  document.body.dataset.view = name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
}

function followHash() {
  const hash = location.hash.slice(1);
  const code = new URLSearchParams(hash).get("code");
  if (code !== null) {
    history.replaceState(null, "", location.pathname + location.search); // it is nobody's business any more
    enter(code);
  } else if (VIEWS.includes(hash)) {
    showView(hash);
  }
}

// Without the browser's own jump, which would leave the keyboard at the top and the head of the page out of sight.
function goTo(name) {
  if (location.hash !== `#${name}`) {
    history.pushState(null, "", `#${name}`);
  }
  showView(name);
}

function followLink(event) {
  const name = event.currentTarget.hash.slice(1);
  event.preventDefault();
  goTo(name);
  window.scrollTo(0, 0);
  document.querySelector(`#${name} h2`).focus();
}

// --- the language

function paintLanguage() {
  document.documentElement.lang = current();
  translate(document);
  $("language").lang = current() === "en" ? "de" : "en";
  paintConnection();
  paintCount(asked);
}

// --- whether it is live

function paintConnection() {
  const { connected, lostAt, error } = live;
  document.body.dataset.connection = connected ? "good" : error === null ? "none" : "bad";
  const why = error ? error.message.replace(/\.?$/, ".") : "";
  say($("connection"), connected ? t("connection.good") : error ? t("connection.lost", { why }) : t("connection.connecting"));
  show($("stale"), !connected && error !== null);
  say($("stale"), connected || error === null ? ""
    : lostAt ? t("connection.asof", { time: clock(lostAt) }) : t("connection.never", { why: errorText(error) }));
  refreshButtons();
}

let asked = 0; // pages that wait for an answer

function paintCount(count) {
  asked = count;
  show($("asked"), count > 0);
  say($("asked"), String(count));
  $("nav-access").setAttribute("aria-label", count ? t("nav.count", { what: t("nav.access"), count }) : t("nav.access"));
}

on("asked", paintCount);
on("lost", paintConnection);
on("snapshot", paintConnection);
on("admin", () => show($("is-admin"), live.admin));
on("show", goTo);
document.querySelectorAll("nav a, .skip").forEach((link) => link.addEventListener("click", followLink));
$("language").addEventListener("click", () => {
  switchLanguage();
  paintLanguage();
  tell("language");
});

paintLanguage();
showView("printers");
[startPrinters, startJobs, startDoubts, startFound, startClients, startActivity, startCommands, startAlarm].forEach((each) => each());
window.addEventListener("hashchange", followHash);
followHash();
start();
