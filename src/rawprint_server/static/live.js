// The connection: what the server says, told to all parts of the page, and what they ask of it.

"use strict";

import { connect } from "./rawprint.js";
import { t } from "./strings.js";

/** `lostAt`: when the last word came, while there is no connection; `admin`: whether this connection is the administrator's. */
export const live = { printers: null, connected: false, admin: false, lostAt: null, error: null };

const listeners = new Map();

/**
 * Listens: "snapshot" (a connection is there, everything may be another), "lost", "printer" and "job" (data that
 * changed), "server", "admin" (whether it is the administrator, or why not), "watch" (all of the administrator's view),
 * "client", "log", "access", "language", "show" (a view's name), "filter-jobs".
 */
export function on(name, listener) {
  listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

export function tell(name, value) {
  for (const listener of listeners.get(name) ?? []) {
    try {
      listener(value);
    } catch (error) {
      reportError(error); // one part's fault is not the others'
    }
  }
}

/** A call of the server; unlike rawprint.js's own it does not wait for a connection that is not there. */
export async function call(name, params) {
  if (!live.connected) {
    throw new Error(t("connection.needed"));
  }
  return live.printers.call(name, params);
}

// --- the administrator

let code = null; // that was brought and not used yet
let refused = false; // for good: nothing tries to connect any more
const WATCHED = ["client", "log", "access"];

// The code is sent before all else: a page that may nothing else becomes the administrator by it. What only the
// administrator hears is nothing for pages that print, and so rawprint.js knows nothing of it.
class Socket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    this.addEventListener("open", () => this.enter());
    this.addEventListener("message", ({ data }) => hear(data));
  }

  enter() {
    if (code !== null && this.protocol) {
      this.send(JSON.stringify({ call: "admin.enter", uid: "enter", params: { code } }));
      code = null;
    }
  }
}

function hear(data) {
  const [, watched] = /^\{"event":"(\w+)"/.exec(data) ?? [];
  if (WATCHED.includes(watched)) {
    tell(watched, JSON.parse(data).data);
  } else if (data.startsWith('{"uid":"enter"')) {
    entered(JSON.parse(data).error ?? null);
  }
}

function entered(error) {
  live.admin = error === null;
  tell("admin", error);
  watch();
}

async function watch() {
  if (live.admin && live.connected) {
    try {
      tell("watch", await call("admin.watch"));
    } catch (error) {
      tell("admin", error);
    }
  }
}

/** Takes the code of `rawprint-server dashboard`: the right is the connection's and ends with it. */
export async function enter(given) {
  if (!live.connected) {
    code = given; // the next connection brings it
    if (refused) {
      start();
    }
    return;
  }
  try {
    await call("admin.enter", { code: given });
    entered(null);
  } catch (error) {
    entered(error);
  }
}

// --- the connection

function heardOfConnection({ connected, error }) {
  live.error = error;
  if (connected) {
    if (live.printers !== null) {
      adopt();
    }
    return;
  }
  const was = live.connected;
  const wasAdmin = live.admin;
  live.connected = live.admin = false;
  if (was) {
    live.lostAt = new Date();
  }
  tell("lost", error);
  if (wasAdmin) {
    tell("admin", "lost");
  }
}

const known = new Set(); // names

// The server names a new printer before it says how it is, and only then there is something to show of it.
function heardOfPrinter(printer) {
  if (!known.has(printer.name)) {
    known.add(printer.name);
    tell("server", live.printers.server);
  }
  tell("printer", printer.toJSON());
}

function adopt() {
  live.printers.names.forEach((name) => known.add(name));
  live.connected = true;
  live.lostAt = live.error = null;
  tell("snapshot");
  watch();
}

/** Connects, and stays connected. */
export async function start() {
  refused = false;
  try {
    const printers = await connect({ timeout: Infinity, WebSocket: Socket, onConnection: heardOfConnection });
    live.printers = printers;
    printers.on("printer", heardOfPrinter);
    printers.on("job", (job) => tell("job", job.toJSON()));
    printers.on("server", (server) => tell("server", server));
    if (printers.connected) {
      adopt();
    }
  } catch (error) {
    live.error = error;
    refused = true;
    tell("lost", error);
  }
}
