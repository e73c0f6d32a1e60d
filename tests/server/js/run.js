// Runs a piece of JavaScript (standard input) against PrinterWebSocket.js, loaded as a page loads it, and prints
// what came of it as one JSON line: {"value"} or {"error": {code, message, hint}}, and every unhandled rejection.

"use strict";

const fs = require("node:fs");
const vm = require("node:vm");

const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(String(error)));
process.on("uncaughtException", (error) => unhandled.push(String(error)));
console.error = console.log = () => {}; // standard output is the result's alone

// A script element's code runs in the global scope, where `module` and `require` are unknown.
vm.runInThisContext(fs.readFileSync(process.argv[2], "utf8"), { filename: "PrinterWebSocket.js" });

const AsyncFunction = (async () => {}).constructor;
const tick = () => new Promise((resolve) => setTimeout(resolve, 0));

async function until(condition) {
  while (!condition()) {
    await tick();
  }
}

const failure = (error) => ({ code: error.code, message: error.message, hint: error.hint, is: error.constructor.name });

(async () => {
  let outcome;
  try {
    const body = new AsyncFunction("P", "url", "until", "failure", fs.readFileSync(0, "utf8"));
    const value = await body(PrinterWebSocket, process.argv[3], until, failure);
    outcome = { value: value === undefined ? null : value, nothing: value === undefined };
  } catch (error) {
    outcome = { error: failure(error) };
  }
  await tick();
  await tick();
  process.stdout.write(JSON.stringify(Object.assign(outcome, { unhandled })) + "\n", () => process.exit(0));
})();
