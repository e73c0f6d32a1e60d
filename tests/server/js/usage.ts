// How programs use rawprint.js, for the type checker alone: what is wrong here on purpose says so.

import { WebSocket as NodeWebSocket } from "ws";
import { type Job, type Pairing, type Printer, type Printers, RawprintError, connect, pair, refusal } from "../../../src/rawprint_server/static/rawprint.js";

export async function till(): Promise<void> {
  const printers: Printers = await connect();
  const label: Printer = printers.get("Label");
  const stop: () => void = label.on("status", (printer) => console.log(printer.state === "stopped", printer.reasons["media-empty"]));
  const job: Job = await label.print("CLS\r\n", { id: "A-1", copies: 2, jobName: "A", expires: 60, wait: "delivered" });
  job.on("progress", ({ progress, bytesAccepted, bytesTotal }) => console.log(progress * 100, bytesAccepted, bytesTotal));
  await label.print(["text", new Uint8Array([27, 64]), { type: "raw", format: "command", flavor: "hex", data: "1b40" }]);
  await label.print(new Blob(["x"]), { signal: AbortSignal.timeout(1000) });
  await label.print([
    new File([new Uint8Array(3)], "logo.png", { type: "image/png" }),
    document.createElement("canvas"),
    { format: "pdf", data: new Blob([]), options: { pages: "1-3", widthMm: 100 } },
    { format: "text", data: "日本\n", options: { policy: "raster" } },
    { format: "ticket", blocks: [{ type: "qr", data: "https://example.com" }] },
    { format: "image", flavor: "file", data: "https://pos.example.com/logo.png" },
  ]).then(({ notes }: Job) => notes.forEach((note: string) => console.log(note)));
  const ended: Job = await job.finished;
  if (ended.state === "uncertain" && ended.error) {
    const hint: string = ended.error.hint;
    console.log(hint, ended.endedAt?.getTime(), label.at?.toISOString(), label.media.width_mm);
  }
  stop();

  try {
    await label.openDrawer({ pin: 5 });
  } catch (error) {
    if (error instanceof RawprintError) {
      console.log(error.code, error.message, error.hint);
    }
  }
  for (const printer of printers) {
    console.log((await printer.status()).name, printers.names.length, printers.size, printers.server.memory);
  }
  printers.on("connection", ({ connected, error }) => console.log(connected, error?.code));
  printers.on("job", (one) => console.log(one.printer, one.state));
  const jobs: unknown = await printers.call("jobs.list", { limit: 10 });
  console.log(jobs, (await printers.job("A-1")).evidence);
  printers.close();

  // @ts-expect-error There is no such event.
  printers.on("paper", () => {});
  // @ts-expect-error Nothing can be printed of a number.
  await label.print(7);
  // @ts-expect-error There is no such kind of document.
  await label.print({ format: "spreadsheet", data: "x" });
  // @ts-expect-error What the printer says is not the page's to write.
  label.reasons["media-empty"] = false;
  // @ts-expect-error A printer has no such state.
  label.state === "ready";
}

export async function letIn(ask: (where: string, seconds: number) => Promise<string>): Promise<Printers> {
  const pairing: Pairing = await pair({ url: "ws://localhost:8765" });
  await pairing.enter(await ask(pairing.where, pairing.seconds)).catch((error: RawprintError) => console.log(error.code));
  pairing.close();
  // @ts-expect-error A number would lose its zeros.
  await pairing.enter(12345);
  return connect({ token: "rp_0" });
}

export const inNode = () => connect({ url: "ws://localhost:8765", timeout: Infinity, WebSocket: NodeWebSocket });
export const inPage = () => connect({ url: new URL("http://localhost:8765"), WebSocket, signal: new AbortController().signal });
export const code: string = refusal({
  closeCode: 1006, opened: false, served: false, pending: false, page: null, secure: true, target: "localhost", permission: null,
});
