// Prints a file and says what becomes of it, until it has ended: node print_job.mjs Label label.prn [localhost:8765]
//
// For Node 22 or newer; Node 20 needs `npm install ws` beside this file, or --experimental-websocket.

import { readFile } from "node:fs/promises";

const [name, file, server = "localhost:8765"] = process.argv.slice(2);
if (!file) {
  console.error("usage: node print_job.mjs PRINTER FILE [HOST:PORT]");
  process.exit(2);
}

/** rawprint.js as the server has it, so that the two always fit; Node imports nothing from http:// itself. */
async function client() {
  const answer = await fetch(`http://${server}/rawprint.js`).catch(() => {
    throw Object.assign(new Error(`There is no print server at ${server}.`), { code: "not-running", hint: "Start rawprint-server." });
  });
  return import(`data:text/javascript,${encodeURIComponent(await answer.text())}`);
}

const inWords = (reasons) => Object.keys(reasons).filter((reason) => reasons[reason]).join(", ");

let printers;
try {
  const { connect } = await client();
  const { WebSocket } = globalThis.WebSocket ? globalThis : await import("ws");
  printers = await connect({ url: `ws://${server}`, WebSocket });

  const printer = printers.get(name);
  console.log([`${printer.name} is ${printer.state}`, inWords(printer.reasons)].filter(Boolean).join(": "));

  const take = new AbortController(); // Ctrl-C takes back what is not printed yet
  process.once("SIGINT", () => take.abort());

  printers.on("job", (job) => {
    const why = job.error?.message ?? inWords(job.reasons);
    console.log(`${job.state}, ${job.bytesAccepted} of ${job.bytesTotal} bytes${why ? `: ${why}` : ""}`);
  });
  const job = await printer.print(await readFile(file), { jobName: file, wait: "ended", signal: take.signal });
  console.log(`ended ${job.state}, on the evidence of: ${job.evidence.join(", ") || "nothing"}`);
  process.exitCode = ["completed", "delivered"].includes(job.state) ? 0 : 1;
} catch (error) {
  console.error(`${error.code}: ${error.message}${error.hint ? ` ${error.hint}` : ""}`);
  process.exitCode = 1;
} finally {
  printers?.close();
}
