// Runs a piece of JavaScript (standard input) with rawprint.js, and prints what came of it as one JSON line: {"value"} or
// {"error": {code, message, hint}}, and every rejection that nobody handled. Every connection is closed at the end, and
// then the process has to end by itself.

import { readFileSync, writeSync } from "node:fs";

const [url, socket, faster] = process.argv.slice(2);

const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(String(error)));
process.on("uncaughtException", (error) => unhandled.push(String(error)));
const reported = [];
console.error = (...args) => reported.push(args.map(String).join(" "));

// For waits of seconds: the client's clock runs faster, all of it.
const { setTimeout, setInterval } = globalThis;
const now = Date.now;
const start = now();
const speed = Number(faster);
if (speed > 1) {
  globalThis.setTimeout = (act, ms, ...rest) => setTimeout(act, ms / speed, ...rest);
  globalThis.setInterval = (act, ms, ...rest) => setInterval(act, ms / speed, ...rest);
  Date.now = () => start + (now() - start) * speed;
}

const options = {};
if (socket === "ws") {
  options.WebSocket = (await import("ws")).WebSocket;
} else if (socket === "import") {
  delete globalThis.WebSocket;
}
const R = await import("./rawprint.js");
const opened = [];
const sockets = []; // every WebSocket of the client, in order
const Base = options.WebSocket ?? globalThis.WebSocket;
if (Base) {
  options.WebSocket = class extends Base {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  };
}

const failure = (error) => ({ code: error.code, message: error.message, hint: error.hint, is: error.constructor.name });
const tools = {
  R,
  url,
  reported,
  sockets,
  failure,
  code: (promise) => promise.then(() => "fulfilled", (error) => error.code),
  sleep: (ms) => new Promise((resolve) => globalThis.setTimeout(resolve, ms)),
  until: async (condition) => {
    while (!(await condition())) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  },
  // As a tab that is frozen: no timer fires and no message is read meanwhile, and the timers are the first to go on.
  freeze: (ms) => new Promise((resolve) => setImmediate(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    resolve();
  })),
  // What the test has the server do, from within the page.
  server: async (name) => (await fetch(`${url.replace("ws", "http")}/do/${name}`)).json(),
  connect: async (more = {}) => {
    const printers = await R.connect({ url, ...options, ...more });
    opened.push(printers);
    return printers;
  },
};

const AsyncFunction = (async () => {}).constructor;
let outcome;
try {
  const value = await new AsyncFunction(...Object.keys(tools), readFileSync(0, "utf8"))(...Object.values(tools));
  outcome = { value: value === undefined ? null : value };
} catch (error) {
  outcome = { error: failure(error) };
}
opened.forEach((printers) => printers.close());
process.on("exit", () => writeSync(1, JSON.stringify({ ...outcome, unhandled }) + "\n"));
