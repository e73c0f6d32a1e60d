// The client of rawprint-server: what its printers say, and printing on them, from a web page or a program.
//
//   import { connect } from "http://localhost:8765/rawprint.js";
//
//   const printers = await connect();
//   const label = printers.get("Label");
//   label.on("status", () => console.log(label.state, label.reasons));
//   const job = await label.print("CLS\r\nTEXT 10,10,\"3\",0,1,1,\"Hello\"\r\nPRINT 1,1\r\n");
//   await job.finished;
//
// Two promises hold whatever happens to the connection. What is printed is printed once: a print whose answer was lost
// is asked again under the same id, and only of a server that remembers that id. And the caller hears of it: every
// promise settles, where nobody can know any more with an error whose code is "uncertain".
//
// It needs nothing but ES2022. Where there is no global WebSocket, it takes `options.WebSocket` or the package `ws`.

/**
 * A printer as the server describes it. Times are in ISO 8601.
 * @typedef {{ name: string, address: string, dialect: string | null,
 *   state: "idle" | "processing" | "stopped" | "unknown", reasons: Reasons, at: string | null, since: string | null,
 *   source: string | null, busy: boolean, pending: number, paused: boolean, share: boolean, drawer: boolean, encoding: string | null,
 *   media: Media, capabilities: Capabilities, error: ErrorData | null }} PrinterData
 *
 * A job as the server describes it.
 * @typedef {{ id: string, printer: string, name: string | null, state: JobState, bytes_total: number,
 *   bytes_accepted: number, evidence: readonly string[], reasons: Reasons, error: ErrorData | null, created: string,
 *   ended: string | null, notes: readonly string[], by: string | null }} JobData
 *
 * What is plugged into the server's machine and has no name in its configuration.
 * @typedef {{ address: string, make_model: string, serial: string, dialect: string | null, how: string,
 *   error: ErrorData | null }} FoundData
 *
 * The server itself. `memory` names its memory of job ids: another name means that it has forgotten them all.
 * @typedef {{ version: string, memory: string, started: string, printers: readonly string[], max_message_bytes: number,
 *   stopping: boolean, found: readonly FoundData[] }} ServerData
 *
 * What a printer says of itself, by IPP's keywords ("media-empty": true); what it did not say is not there.
 * @typedef {Readonly<Record<string, boolean>>} Reasons
 *
 * What lies in the printer; null where nobody has said.
 * @typedef {{ width_mm: number | null, height_mm: number | null, gap_mm: number | null, dpi: number | null,
 *   cut: unknown }} Media
 *
 * What a printer has shown that it answers; `feeds`: it feeds paper when it is asked, and so is not asked any more.
 * @typedef {{ answered: readonly string[], silent: readonly string[], feeds: boolean, learnt: string | null }} Capabilities
 * @typedef {{ code: string, message: string, hint: string }} ErrorData
 * @typedef {{ server: ServerData, printers: PrinterData[], jobs: JobData[] }} Snapshot
 *
 * "completed": the printer itself said that it finished. "delivered": it took every byte and cannot say more.
 * "uncertain": it may have printed. "failed", "canceled", "expired": nothing was printed.
 * @typedef {"pending" | "processing" | "stopped" | "completed" | "delivered" | "uncertain" | "failed" | "canceled"
 *   | "expired"} JobState
 *
 * What strings and bytes do not say: what `data` is, and how it is printed. A string is "plain" text where `flavor` does not say otherwise:
 * commands, text, or the markup of a ticket. A "file" is a URL at the page's own host, for a server that may fetch it. The options are
 * those of the server's message schema (ItemOptions), such as `{ widthMm: 40, dither: "threshold" }`.
 * @typedef {{ type?: "raw", format?: "command" | "image" | "pdf" | "text" | "ticket" | "stored",
 *   flavor?: "plain" | "base64" | "hex" | "file", data?: string | Binary, blocks?: readonly object[], options?: object }} Item
 * @typedef {ArrayBuffer | ArrayBufferView | Blob | Canvas} Binary
 * @typedef {HTMLCanvasElement | OffscreenCanvas} Canvas
 *
 * A string or bytes are commands of the printer's language. A Blob or File is an image or a PDF where its type says so, else commands; a
 * canvas is an image.
 * @typedef {string | Binary | Item} Part
 *
 * `id` names the job: the same id with the same data is the same job and never printed again (default: a new one).
 * `expires` (seconds): a job that has not begun by then is not printed. `encoding` is for text, by Python's name.
 * One with a higher `priority` (1 to 100, else 50) goes before the lower ones that wait.
 * `wait` says when print() resolves: when the server has taken the job (default), when the printer has taken every
 * byte, or when the job has ended; the last two resolve with a job that failed, too. `signal` takes it back as long
 * as that is possible.
 * @typedef {object} PrintOptions
 * @property {string} [id]
 * @property {number} [copies]
 * @property {string} [encoding]
 * @property {string} [jobName]
 * @property {number} [expires]
 * @property {number} [priority]
 * @property {"accepted" | "delivered" | "ended"} [wait]
 * @property {AbortSignal} [signal]
 *
 * `pin` is the pin of the printer's drawer connector, 2 (default) or 5.
 * @typedef {{ pin?: 2 | 5, id?: string, signal?: AbortSignal }} DrawerOptions
 *
 * `url`: where the server is, ws:// or http:// (default: where this module came from, else this computer).
 * `token`: what `rawprint-server access token new` printed. `timeout`: milliseconds until connect() gives up (default
 * 10 000; Infinity is allowed). `onConnection` hears the "connection" events from the first attempt on, so that a page
 * can point at the browser's question.
 * @typedef {object} ConnectOptions
 * @property {string | URL} [url]
 * @property {string} [token]
 * @property {number} [timeout]
 * @property {SocketClass} [WebSocket]
 * @property {AbortSignal} [signal]
 * @property {(state: ConnectionState) => void} [onConnection]
 *
 * @typedef {{ connected: boolean, error: RawprintError | null }} ConnectionState
 * @typedef {{ readonly readyState: number, readonly bufferedAmount: number, readonly protocol: string,
 *   send(data: any): void, close(): void, onopen: any, onmessage: any, onclose: any, onerror: any }} Socket
 * @typedef {new (url: string, protocols: string | string[]) => Socket} SocketClass
 *
 * A code that waits to be typed in. `where`: the printer that prints it, or "dashboard", the server's own page.
 * `seconds`: how long it lives. `enter` resolves when the server has taken it: connect() works from then on. It rejects
 * with "wrong-code", or with "pairing" where the code is void and pair() has to make a new one. `close` makes it void.
 * @typedef {{ where: string, seconds: number, enter(code: string): Promise<void>, close(): void }} Pairing
 */

const PROTOCOL = "rawprint.v1";
const PAIRING = "rawprint.pair.v1";
const TOKEN = "rawprint.token."; // and the token: a browser lets a page send no headers
const HOME = "ws://127.0.0.1:8765";
const OPEN = 1; // WebSocket.OPEN

const OPEN_MS = 10_000; // for one attempt to connect, the first state of everything included
const REPLY_MS = 5_000; // for the reply to a request, twice as long at each repetition
const SLOW_MS = 60_000; // for the reply to a request that may take its time
const VERIFY_MS = 2_000; // for a connection to show that it is alive
const PROMPT_MS = 300; // until a browser that asks has asked
const BEAT_MS = 30_000; // between two looks whether it is
const RETRY_MS = 100; // before connecting again; twice as long each time
const LONGEST_RETRY_MS = 5_000;
const DRAWER_MS = 10_000; // after that nobody waits for the drawer any more
const MOST_SENDS = 5; // a request that gets no answer so often gets none
const MOST_JOBS = 500; // that are remembered, ended ones first to be forgotten

const FAILURES = new Set(["uncertain", "failed", "canceled", "expired"]);
const ENDS = new Set(["completed", "delivered", ...FAILURES]);

// These may be asked twice: they change nothing, or nothing more.
const REPEATABLE = new Set(["server.version", "printers.find", "printers.list", "printers.status", "printers.pause", "printers.resume", "jobs.get",
  "jobs.list", "jobs.cancel", "subscribe", "unsubscribe"]);
// These may be asked twice under one id, of a server that remembers it.
const KEYED = new Set(["print", "drawer.open"]);
// These wait for a printer, or for nobody knows what; the others are answered at once.
const takesItsTime = (/** @type {Request} */ { call, params }) =>
  call === "printers.status" || (KEYED.has(call) ? params.options.wait !== undefined || isDrawn(params) : !REPEATABLE.has(call));
/** Documents are made first, and later prints of the page wait behind them. @param {any} params */
const isDrawn = ({ data }) => Array.isArray(data) && data.some((item) => isObject(item) && (item.format ?? "command") !== "command");

/**
 * What went wrong: `code` is stable and for programs, `message` says it to a person, `hint` how to mend it.
 *
 * The codes of the server, and of this client: not-running, origin-not-allowed, bad-token, token-needed, lna-denied,
 * lna-prompt, lna-insecure-page, too-many-connections, timeout, disconnected, closed, uncertain, expired, too-large,
 * canceled, pairing, wrong-code, backend-missing, bad-address, bad-request, bad-reply, unknown-printer.
 */
export class RawprintError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {string} [hint]
   */
  constructor(code, message, hint = "") {
    super(message);
    this.name = "RawprintError";
    /** @readonly */
    this.code = code;
    /** @readonly */
    this.hint = hint;
  }
}

// ------------------------------------------------------------------------------------------------------------------
// Why there is no connection

/**
 * What is known of an attempt to connect that failed, or of a connection that ended. `token`: what is wrong with the
 * token, where that is why it ended. `page` is the host of the page, null outside of a browser; `secure` whether the
 * page is a secure context; `target` the host of the server; `opened` whether the WebSocket opened; `served` whether the server told its state; `pending` whether there is no outcome yet;
 * `permission` what the browser says of the permission to reach the target (null where it knows none).
 * @typedef {{ closeCode: number, token?: "bad-token" | "token-needed" | undefined, opened: boolean, served: boolean,
 *   pending: boolean, page: string | null, secure: boolean, target: string, permission: PermissionState | null }} Facts
 */

/**
 * Why there is no connection, as a code: the whole decision, with nothing asked but the facts.
 *
 * A browser does not tell a page why a WebSocket failed. Browsers with Local Network Access let a page reach addresses
 * nearer to the computer than its own only from a secure context and with a permission.
 * @param {Facts} facts
 */
export function refusal({ closeCode, token, opened, served, pending, page, secure, target, permission }) {
  if (closeCode === 4403) {
    return token ?? "origin-not-allowed";
  }
  if (closeCode === 4429) {
    return "too-many-connections";
  }
  if (closeCode === 4408) {
    return "timeout";
  }
  if (served) {
    return "disconnected";
  }
  if (!opened && page !== null && distance(target) < distance(page) && permission !== "granted") {
    if (!secure) {
      return "lna-insecure-page";
    }
    if (permission !== null) {
      return permission === "denied" ? "lna-denied" : "lna-prompt";
    }
  }
  return pending ? "timeout" : "not-running";
}

// No further attempt changes these by itself.
const FINAL = new Set(["origin-not-allowed", "bad-token", "token-needed", "lna-denied"]);

/**
 * How far away a host is: 0 this computer, 1 the local network, 2 anywhere.
 * @param {string} host As in `location.hostname`; empty for a page from a file.
 */
function distance(host) {
  if (/^(|localhost|.*\.localhost|127\.[\d.]+|\[::1\])$/.test(host)) {
    return 0;
  }
  const near = /^((10|192\.168|172\.(1[6-9]|2\d|3[01])|169\.254)\.[\d.]+|\[(f[cd]|fe[89ab]).*\]|.*\.local)$/;
  return near.test(host) ? 1 : 2;
}

/**
 * What the browser says of the permission to reach a host; `null` where it knows no such permission. The names have
 * changed, so it is asked by the newer one first.
 * @param {string} target
 * @returns {Promise<PermissionStatus | null>}
 */
async function permission(target) {
  for (const name of [distance(target) === 0 ? "loopback-network" : "local-network", "local-network-access"]) {
    try {
      return await navigator.permissions.query({ name: /** @type {any} */ (name) });
    } catch {
      // This browser does not know the name, or no permissions at all.
    }
  }
  return null;
}

/**
 * How a WebSocket ended, or that it has not (`pending`).
 * @typedef {{ code: number, reason: string, opened: boolean, served: boolean, pending: boolean }} End
 * @type {End}
 */
const PENDING = { code: 0, reason: "", opened: false, served: false, pending: true };

/**
 * @param {string} url
 * @param {End} end
 */
async function explain(url, end) {
  const target = new URL(url).hostname;
  const { location: page = null, isSecureContext: secure = true } = globalThis;
  const state = page === null ? null : ((await permission(target))?.state ?? null);
  const [, article] = /^(the|a) token /.exec(end.reason) ?? []; // where it is the page, the reason begins with its origin
  const token = article === "the" ? "bad-token" : article === "a" ? "token-needed" : undefined;
  const code = refusal({
    ...end, closeCode: end.code, token, page: page && page.hostname, secure, target, permission: state,
  });
  const place = distance(target) === 0 ? "this computer" : "the local network";
  const origin = page?.origin ?? "this program";
  const detail = end.reason || end.code > 1006 ? ` (${[end.code, end.reason].filter(Boolean).join(" ")})` : "";
  const [message, hint] = /** @type {const} */ ({
    "origin-not-allowed": [`The print server refuses this page: ${end.reason || `${origin} is not allowed`}.`,
      `On the print server's machine: rawprint-server access allow ${origin}`],
    "bad-token": [`The print server refuses this page: ${end.reason}.`,
      "On the print server's machine: rawprint-server access token new NAME"],
    "token-needed": [`The print server refuses this page: ${end.reason}.`, "Then give connect() what that printed."],
    "too-many-connections": [`The print server takes no more connections${detail}.`, "Close other tabs of this page."],
    "lna-denied": [`The browser does not let this page reach the print server on ${place}.`,
      "Allow it in the browser's settings of this site; an iframe needs allow=\"loopback-network; local-network\"."],
    "lna-prompt": [`The browser asks whether this page may reach the print server on ${place}.`,
      "Choose \"Allow\" where the browser asks; where it does not ask, see that rawprint-server runs."],
    "lna-insecure-page": [`The browser lets only https pages reach a print server on ${place}, and this page is none.`,
      "Open the page with https:// instead of http://; on an intranet, see that rawprint-server runs."],
    "disconnected": [`The connection to the print server was lost${detail}.`, "It is being restored."],
    "timeout": end.code === 4408
      ? [`This page was too slow for the print server at ${url}${detail}.`, "Keep its tab awake while it connects."]
      : [`The print server at ${url} does not answer${detail}.`,
        "Check the address, and that no firewall stands between."],
    "not-running": end.opened
      ? [`What answers at ${url} does not speak ${PROTOCOL}${detail}.`, "Check the address, or update rawprint-server."]
      : [`No print server answers at ${url}${detail}.`, "Start rawprint-server there, or correct the address."],
  })[code];
  return new RawprintError(code, message, hint);
}

// ------------------------------------------------------------------------------------------------------------------
// Small helpers

const nothing = () => {};

/** @param {unknown} error */
function report(error) {
  // A page's own handler for errors hears of it; Node has no reportError.
  (typeof reportError === "function" ? reportError : console.error)(error);
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} error As it comes over the wire. */
function received(error) {
  const { code = "internal", message = "The print server reports an error.", hint = "" } = isObject(error) ? error : {};
  return new RawprintError(String(code), String(message), String(hint));
}

/** A new job id. Unlike randomUUID(), this is there on pages without https, too. */
function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * setTimeout() for times that may be longer than the 24 days that it knows. Returns what stops it.
 * @param {number} ms
 * @param {() => void} act
 */
function after(ms, act) {
  if (ms === Infinity) {
    return nothing;
  }
  const timer = setTimeout(act, Math.min(ms, 2 ** 31 - 1));
  return () => clearTimeout(timer);
}

/**
 * Gives something up after a while, unless it is stopped. In a tab that was frozen, timers fire before the messages are
 * read that came meanwhile: one that is late grants the same time once more.
 * @param {number} ms
 * @param {() => void} act
 */
function giveUpAfter(ms, act) {
  const due = Date.now() + ms;
  let stop = after(ms, () => {
    if (Date.now() - due > 1_000) {
      stop = after(ms, act);
    } else {
      act();
    }
  });
  return () => stop();
}

// What the classes below use of each other, and nobody else.
const EMIT = Symbol("emit");
const TAKE = Symbol("take");
const START = Symbol("start");
const JOB = Symbol("job");
const STATUS = Symbol("status");
const UNTIL = Symbol("until");
const CLOSE = Symbol("close");

/** @template {Record<string, any>} Events */
class Emitter {
  /** @type {Map<keyof Events, Set<(value: any) => unknown>>} */
  #listeners = new Map();

  /**
   * Calls the function at each such event, until the function that is returned here is called.
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(value: Events[Name]) => unknown} listener
   * @returns {() => void}
   */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    const entry = (/** @type {Events[Name]} */ value) => listener(value);
    this.#listeners.set(event, listeners.add(entry));
    return () => void listeners.delete(entry);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {Events[Name]} value
   * @internal
   */
  [EMIT](event, value) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        const result = listener(value);
        if (result instanceof Promise) {
          result.catch(report);
        }
      } catch (error) {
        report(error);
      }
    }
  }
}

// ------------------------------------------------------------------------------------------------------------------
// Requests on the wire

/** @param {unknown} part */
function bytesOf(part) {
  // A copy: the page may use its buffer again while the print waits for a connection.
  if (ArrayBuffer.isView(part)) {
    return new Uint8Array(part.buffer, part.byteOffset, part.byteLength).slice();
  }
  return Object.prototype.toString.call(part) === "[object ArrayBuffer]"
    ? new Uint8Array(/** @type {ArrayBuffer} */ (part)).slice()
    : null;
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) { // a call takes only so many arguments
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

/**
 * A part of which the bytes are known. What has to be read for that is read now.
 * @param {unknown} part
 * @returns {unknown} The part, or a promise of it.
 */
function readyPart(part) {
  if (isObject(part) && "data" in part) {
    const data = readyPart(part.data); // an image of its own accord keeps what the item says of it
    const join = (/** @type {any} */ read) => ({ ...part, data: isObject(read) && "data" in read ? read.data : read });
    return data instanceof Promise ? data.then(join) : data === part.data ? part : join(data);
  }
  if (part instanceof Blob) {
    const format = /^image\//.test(part.type) ? "image" : part.type === "application/pdf" ? "pdf" : "command";
    return part.arrayBuffer().then((data) => ({ type: "raw", format, data }));
  }
  if (typeof OffscreenCanvas === "function" && part instanceof OffscreenCanvas) {
    return part.convertToBlob().then(readyPart);
  }
  if (typeof HTMLCanvasElement === "function" && part instanceof HTMLCanvasElement) {
    return new Promise((resolve, reject) => part.toBlob((blob) => (blob ? resolve(readyPart(blob)) : reject(
      new RawprintError("bad-request", "There is nothing on the canvas.", "Give it a width and a height.")))));
  }
  return part;
}

/**
 * Things to print as the `data` of a request, and the bytes that travel beside it: of several pieces the largest, since
 * there is room for one; the others go as base64.
 * @param {readonly unknown[]} parts
 */
function dataOf(parts) {
  const bytes = parts.map((part) => bytesOf(isObject(part) && "data" in part ? part.data : part));
  const attached = bytes.reduce((most, one) => (one && (!most || one.length > most.length) ? one : most), null);
  const data = parts.map((part, index) => {
    const piece = bytes[index] ?? null;
    if (piece !== null) {
      const raw = { type: "raw", format: "command", ...(isObject(part) && "data" in part ? { ...part, data: undefined } : {}) };
      return piece === attached ? { ...raw, flavor: "attached" } : { ...raw, flavor: "base64", data: base64(piece) };
    }
    if (typeof part !== "string" && !isObject(part)) {
      const what = part === null ? "null" : typeof part;
      throw new RawprintError("bad-request", `There is nothing to print: the data is ${what}.`,
        "Give print() a string, bytes, or a list of them.");
    }
    return part;
  });
  return { data: data.length === 1 && typeof data[0] === "string" ? data[0] : data, attached };
}

/**
 * A request that has no outcome yet. `sentTo`: the memory of the server that has it, on the present WebSocket. `doubt`:
 * the memory of a server that may have carried it out, its WebSocket having ended before it answered.
 * @typedef {object} Request
 * @property {number} uid
 * @property {string} call
 * @property {any} params
 * @property {string} text The message, as it was when it was asked.
 * @property {Uint8Array | null} attached
 * @property {AbortSignal | undefined} signal
 * @property {number} deadline Ms since 1970: the computer's sleep counts. After it, nothing is sent any more.
 * @property {number} sends
 * @property {string | null} sentTo
 * @property {string | null} doubt
 * @property {(result: any) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {() => void} stopWatch
 */

/** @param {Request} request */
function frameOf({ call, text, attached, deadline }) {
  if (call === "print" && deadline < Infinity) { // it may have waited for the connection
    const message = JSON.parse(text);
    const { options } = message.params;
    options.expires = Math.min(options.expires, Math.ceil((deadline - Date.now()) / 1000));
    text = JSON.stringify(message);
  }
  if (attached === null) {
    return text;
  }
  const head = new TextEncoder().encode(text);
  const frame = new Uint8Array(4 + head.length + attached.length);
  new DataView(frame.buffer).setUint32(0, head.length);
  frame.set(head, 4);
  frame.set(attached, 4 + head.length);
  return frame;
}

/** @param {unknown} data */
function parse(data) {
  try {
    const frame = JSON.parse(/** @type {string} */ (data));
    return isObject(frame) ? frame : null;
  } catch {
    return null; // not ours
  }
}

/**
 * @param {string} call
 * @param {any} params
 */
function uncertain(call, params) {
  const printer = params?.printer?.name ?? params?.printer;
  const [what, hint] = {
    "print": [`the job for ${printer} was printed`, "Look at the printer; if nothing came, print it as a new job."],
    "drawer.open": [`the drawer at ${printer} opened`, "Look at the drawer, and open it again if need be."],
  }[call] ?? [`${call} was carried out`, "See what the server says now, and ask again if need be."];
  return new RawprintError("uncertain", `The print server was lost, and nobody knows whether ${what}.`, hint);
}

/** @param {string} call */
const noReply = (call) =>
  new RawprintError("timeout", `The print server gave no answer to ${call}.`, "See what the server logged.");
const canceled = () => new RawprintError("canceled", "It was taken back before anything was printed.");
const closed = () =>
  new RawprintError("closed", "The connection to the print server was closed from here.", "Call connect() again.");

/**
 * Closes a WebSocket and hears nothing of it any more.
 * @param {Socket & { terminate?: () => void }} socket
 */
function discard(socket) {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.onerror = nothing; // the package `ws` throws an error that nobody listens to
  socket.close();
  if (socket.terminate) {
    // `ws` waits half a minute for a server that does not close its end, and keeps the process alive so long.
    const timer = setTimeout(() => socket.terminate?.(), 1_000);
    /** @type {any} */ (timer).unref?.();
  }
}

/**
 * The connection: opens it again and again, and sees to it that each request gets one answer, over as many WebSockets
 * as that takes. A request is on the wire only between the server's first state and the end of that WebSocket.
 */
class Connection {
  #url;
  #Socket;
  #protocols;
  #hears;
  /** @type {Socket | null} */
  #socket = null;
  /** Ends the present WebSocket, for a reason of our own. @type {(reason: string) => void} */
  #drop = nothing;
  /** As the server describes itself on the present WebSocket; null until it has. @type {ServerData | null} */
  #server = null;
  /** @type {Map<unknown, Request>} */
  #requests = new Map();
  #count = 0;
  #closed = false;
  #verifying = false;
  #stopVerifying = nothing;
  #wake = nothing; // ends the wait before the next attempt
  #prompted = false;
  /** @type {RawprintError | null} */
  #lastError = null;
  /** @type {{ resolve(value?: unknown): void, reject(error: RawprintError): void } | null} */
  #opening = null;

  /**
   * @param {string} url
   * @param {SocketClass} Socket
   * @param {string | undefined} token
   * @param {{ snapshot(data: any): () => void, event(name: unknown, data: any): void,
   *   state(state: ConnectionState): void }} hears Who is told; `snapshot` returns what is to be said of it once the
   *   requests that waited have gone out.
   */
  constructor(url, Socket, token, hears) {
    this.#url = url;
    this.#Socket = Socket;
    this.#protocols = token === undefined ? PROTOCOL : [PROTOCOL, TOKEN + token];
    this.#hears = hears;
  }

  get connected() { return this.#server !== null; }

  /**
   * Resolves when the first state is there.
   * @param {number} timeout
   * @param {AbortSignal | undefined} signal
   */
  async open(timeout, signal) {
    const abort = () => this.#opening?.reject(canceled());
    const stop = giveUpAfter(timeout, async () => {
      const error = await explain(this.#url, PENDING);
      // An attempt that failed says more than that another one is still going on.
      this.#opening?.reject(error.code === "timeout" && this.#lastError !== null ? this.#lastError : error);
    });
    signal?.addEventListener("abort", abort);
    this.#watchPage("addEventListener");
    try {
      await new Promise((resolve, reject) => {
        this.#opening = { resolve, reject };
        if (signal?.aborted) {
          abort();
        } else {
          this.#run().catch(report);
        }
      });
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#opening = null;
      signal?.removeEventListener("abort", abort);
      stop();
    }
  }

  close() {
    this.#closed = true;
    this.#watchPage("removeEventListener");
    for (const request of [...this.#requests.values()]) {
      this.#take(request).reject(closed());
    }
    this.#drop("closed");
    this.#wake();
  }

  /**
   * The result of a call, whatever happens to the connection meanwhile.
   * @param {string} call
   * @param {any} params
   * @param {{ attached?: Uint8Array | null, signal?: AbortSignal | undefined }} [how]
   * @returns {Promise<any>}
   */
  ask(call, params, { attached = null, signal } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#closed || signal?.aborted) {
        throw this.#closed ? closed() : canceled();
      }
      if (KEYED.has(call)) {
        params = { ...params, options: { ...params?.options, id: params?.options?.id ?? freshId() } };
      }
      const uid = ++this.#count;
      const text = JSON.stringify({ call, uid, params });
      const expires = call === "print" ? params.options.expires * 1000 : call === "drawer.open" ? DRAWER_MS : NaN;
      const deadline = expires > 0 ? Date.now() + expires : Infinity;
      const abort = () => request.sentTo === null && this.#abort(request);
      let stopExpiry = nothing;
      const expire = () => {
        if (!this.#expire(request) && Date.now() < deadline) { // a timer may be early, and is short of 25 days
          stopExpiry = after(deadline - Date.now(), expire);
        }
      };
      const settle = () => {
        stopExpiry();
        signal?.removeEventListener("abort", abort);
      };
      /** @type {Request} */
      const request = {
        uid, call, params, text, attached, signal, deadline, sends: 0, sentTo: null, doubt: null, stopWatch: nothing,
        resolve: (result) => (settle(), resolve(result)),
        reject: (error) => (settle(), reject(error)),
      };
      signal?.addEventListener("abort", abort);
      this.#requests.set(uid, request);
      expire();
      this.#send(request);
    });
  }

  /** Finds out whether the connection is alive; where there is none, it does not wait any longer before it tries. */
  verify() {
    this.#wake();
    if (this.#server !== null && !this.#verifying) {
      this.#verifying = true;
      this.#stopVerifying = giveUpAfter(VERIFY_MS, () => this.#drop("it gave no sign of life"));
      this.#socket?.send('{"call":"server.version","uid":"verify"}');
    }
  }

  // For a page that was asleep or a network that was away: what was connected then need not be now.
  #look = () => {
    if (globalThis.document?.visibilityState !== "hidden") {
      this.verify();
    }
  };

  /** @param {"addEventListener" | "removeEventListener"} method */
  #watchPage(method) {
    globalThis.document?.[method]("visibilitychange", this.#look);
    globalThis[method]?.("pageshow", this.#look);
    globalThis[method]?.("online", this.#look);
  }

  async #run() {
    for (let failures = 0; !this.#closed; failures += 1) {
      void this.#mindPrompt();
      const end = await this.#attempt();
      const error = await explain(this.#url, end);
      if (this.#closed) {
        return;
      }
      this.#lastError = error;
      this.#hears.state({ connected: false, error });
      if (FINAL.has(error.code)) {
        this.#opening?.reject(error);
        for (const request of [...this.#requests.values()]) {
          this.#take(request).reject(request.doubt === null ? error : uncertain(request.call, request.params));
        }
      }
      failures = end.served ? 0 : failures;
      const wait = Math.min(RETRY_MS * 2 ** failures, LONGEST_RETRY_MS) * (0.75 + Math.random() / 2);
      await new Promise((resolve) => {
        const stop = after(wait, () => resolve(null));
        this.#wake = () => (stop(), resolve(null));
      });
      this.#wake = nothing;
    }
  }

  /** The page is told before the browser asks its user, which holds an attempt up rather than fail it. */
  async #mindPrompt() {
    const error = await explain(this.#url, PENDING);
    if (error.code !== "lna-prompt") {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, PROMPT_MS)); // where there is nothing to ask, it is open by then
    if (this.#prompted || this.#closed || this.#server !== null) {
      return;
    }
    this.#prompted = true;
    this.#hears.state({ connected: false, error });
    const health = new URL("/health", this.#url.replace(/^ws/, "http"));
    fetch(health, { mode: "cors", cache: "no-store" }).catch(nothing); // it asks where a WebSocket does not
    (await permission(health.hostname))?.addEventListener("change", () => this.#wake());
  }

  /**
   * One WebSocket from its beginning to its end.
   * @returns {Promise<End>}
   */
  #attempt() {
    return new Promise((resolve) => {
      /** @type {Socket | null} */
      let socket = null;
      let opened = false;
      /** @type {ReturnType<typeof setInterval> | undefined} */
      let beat;
      const end = ({ code = 1006, reason = "", wasClean = false, pending = false }) => {
        const served = this.#server !== null;
        this.#socket = this.#server = null;
        this.#drop = nothing;
        stopWaiting();
        clearInterval(beat);
        this.#verified();
        if (socket) {
          discard(socket);
        }
        this.#lose(wasClean && code === 1012);
        resolve({ code, reason: String(reason), opened, served, pending });
      };
      const giveUp = async () => {
        // Another attempt would take the browser's question away from under the user's finger.
        const asking = !opened && (await permission(new URL(this.#url).hostname))?.state === "prompt";
        if (this.#socket === socket && this.#server === null) {
          if (asking) {
            stopWaiting = giveUpAfter(OPEN_MS, giveUp);
          } else {
            end({ pending: true });
          }
        }
      };
      let stopWaiting = giveUpAfter(OPEN_MS, giveUp);
      try {
        socket = this.#socket = new this.#Socket(this.#url, this.#protocols);
      } catch (error) {
        end({ reason: String(error) });
        return;
      }
      this.#drop = (reason) => end({ reason });
      socket.onopen = () => {
        opened = true;
        if (socket?.protocol === PROTOCOL) {
          socket.send('{"call":"subscribe","uid":"subscribe"}');
        } else {
          end({});
        }
      };
      socket.onclose = end;
      socket.onerror = () => !opened && end({}); // one that never opened need not be closed after it
      socket.onmessage = (/** @type {{ data: unknown }} */ { data }) => {
        const frame = parse(data);
        if (frame?.uid === "verify") {
          this.#verified();
        } else if (frame?.uid !== "subscribe" || this.#server !== null) {
          this.#receive(frame ?? {});
        } else if (typeof frame.result?.server?.memory === "string") {
          stopWaiting();
          beat = setInterval(() => this.verify(), BEAT_MS);
          this.#start(frame.result);
        } else {
          end({ reason: received(frame.error).message });
        }
      };
    });
  }

  #verified() {
    this.#verifying = false;
    this.#stopVerifying();
  }

  /** @param {Record<string, any>} snapshot */
  #start(snapshot) {
    this.#lastError = null;
    this.#server = /** @type {ServerData} */ (snapshot.server);
    const tell = this.#hears.snapshot(snapshot);
    for (const request of [...this.#requests.values()]) {
      const forgotten = request.doubt !== null && request.doubt !== this.#server.memory;
      if (KEYED.has(request.call) && (forgotten || request.sends >= MOST_SENDS)) {
        this.#take(request).reject(uncertain(request.call, request.params));
      } else if (request.sends >= MOST_SENDS) {
        this.#take(request).reject(noReply(request.call));
      } else {
        this.#send(request);
      }
    }
    this.#opening?.resolve();
    this.#hears.state({ connected: true, error: null });
    tell();
  }

  /** @param {Record<string, any>} frame */
  #receive(frame) {
    const request = this.#requests.get(frame.uid);
    if (request && request.sentTo !== null && isObject(frame.error)) {
      this.#take(request).reject(received(frame.error));
    } else if (request && request.sentTo !== null && "result" in frame) {
      this.#take(request).resolve(frame.result);
    } else if (isObject(frame.data) && this.#server !== null) {
      if (frame.event === "server") { // its memory is that of the whole connection
        this.#server = { .../** @type {ServerData} */ (frame.data), memory: this.#server.memory };
      }
      this.#hears.event(frame.event, frame.data);
    }
  }

  /** @param {Request} request */
  #send(request) {
    const socket = this.#socket;
    if (socket?.readyState !== OPEN || this.#server === null || this.#expire(request)) {
      return; // a WebSocket that is about to end takes nothing any more: the next one will
    }
    const frame = frameOf(request);
    const limit = this.#server.max_message_bytes;
    // A character is at most three bytes, so that only long texts have to be counted.
    const counted = typeof frame === "string" && frame.length * 3 > limit ? new TextEncoder().encode(frame) : frame;
    if (counted.length > limit) {
      this.#take(request).reject(new RawprintError("too-large",
        `The message has ${counted.length} bytes, and the server takes ${limit}.`,
        "Print it in several jobs, or raise max_message_bytes in the server's configuration."));
      return;
    }
    request.sends += 1;
    request.sentTo = this.#server.memory;
    socket.send(frame);
    this.#watch(request, socket, socket.bufferedAmount);
  }

  /**
   * A reply that does not come, although the request has gone out, shows a connection that only looks alive.
   * @param {Request} request
   * @param {Socket} socket
   * @param {number} buffered
   * @param {number} [looks] How often nothing has moved since then.
   */
  #watch(request, socket, buffered, looks = 0) {
    const pause = (REPLY_MS / 5) * 2 ** (request.sends - 1);
    request.stopWatch = giveUpAfter(pause, () => {
      const rest = socket.bufferedAmount;
      const silent = rest < buffered ? 0 : looks + 1;
      if (silent >= 5 && !takesItsTime(request) && ![...this.#requests.values()].some(({ call, params: one }) => call === "print" && isDrawn(one))) {
        this.#drop("a reply did not come");
      } else if (silent * pause >= SLOW_MS && !KEYED.has(request.call)) {
        this.#take(request).reject(noReply(request.call));
      } else {
        if (silent % 5 === 4) {
          this.verify();
        }
        this.#watch(request, socket, rest, silent);
      }
    });
  }

  /**
   * The WebSocket has ended: what was on the wire is in doubt, unless the server promised that it did nothing.
   * @param {boolean} promised
   */
  #lose(promised) {
    for (const request of [...this.#requests.values()].filter((one) => one.sentTo !== null)) {
      request.stopWatch();
      request.doubt = promised ? request.doubt : request.sentTo;
      request.sentTo = null;
      if (request.signal?.aborted) {
        this.#abort(request);
      } else if (request.doubt !== null && !REPEATABLE.has(request.call) && !KEYED.has(request.call)) {
        this.#take(request).reject(uncertain(request.call, request.params));
      } else {
        this.#expire(request);
      }
    }
  }

  /** @param {Request} request Not on the wire. */
  #abort(request) {
    this.#take(request).reject(request.doubt === null ? canceled() : uncertain(request.call, request.params));
  }

  /**
   * Ends a request that is too old to be sent; one that is on the wire is the server's to judge.
   * @param {Request} request
   * @returns {boolean} Whether it was.
   */
  #expire(request) {
    if (request.sentTo !== null || Date.now() < request.deadline) {
      return false;
    }
    this.#take(request).reject(request.doubt !== null
      ? uncertain(request.call, request.params)
      : new RawprintError("expired", `The print server was not reached in time: ${request.call} is not sent any more.`,
        "See that rawprint-server runs, then ask again."));
    return true;
  }

  /** @param {Request} request */
  #take(request) {
    request.stopWatch();
    this.#requests.delete(request.uid);
    return request;
  }
}

// ------------------------------------------------------------------------------------------------------------------
// What a page works with

/**
 * The printers of a server, in the order of its configuration.
 *
 * Events: "printer" (a Printer that changed), "job" (a Job that changed, whoever printed it), "server" (ServerData),
 * "connection" (ConnectionState).
 * @extends {Emitter<{ printer: Printer, job: Job, server: ServerData, connection: ConnectionState }>}
 */
export class Printers extends Emitter {
  #connection;
  /** @type {ServerData} */
  #server = { version: "", memory: "", started: "", printers: [], max_message_bytes: 0, stopping: false, found: [] };
  /** All there ever were, so that one that comes back is the same object. @type {Map<string, Printer>} */
  #printers = new Map();
  /** @type {Map<string, Job>} */
  #jobs = new Map();

  /**
   * @param {string} url
   * @param {SocketClass} Socket
   * @param {string | undefined} token
   * @internal Use connect().
   */
  constructor(url, Socket, token) {
    super();
    this.#connection = new Connection(url, Socket, token, {
      snapshot: (data) => this.#adopt(data),
      event: (name, data) => this.#event(name, data),
      state: (state) => this[EMIT]("connection", state),
    });
  }

  /** The server, as it last described itself. */
  get server() { return this.#server; }
  /** Whether what printers and jobs say is live. While it is not, they say what was heard last. */
  get connected() { return this.#connection.connected; }
  get names() { return [...this].map((printer) => printer.name); }
  get size() { return this.names.length; }

  *[Symbol.iterator]() {
    for (const name of this.#server.printers) {
      const printer = this.#printers.get(name);
      if (printer) {
        yield printer;
      }
    }
  }

  /**
   * @param {string} name
   * @returns {Printer}
   * @throws {RawprintError} unknown-printer
   */
  get(name) {
    const printer = this.#server.printers.includes(name) && this.#printers.get(name);
    if (!printer) {
      throw new RawprintError("unknown-printer", `There is no printer "${name}".`,
        this.size ? `The server has: ${this.names.join(", ")}.` : "Add a printer to the server's configuration.");
    }
    return printer;
  }

  /**
   * Any call of the server by its own name; resolves with its `result`. One that does more than ask, and whose answer
   * was lost, rejects with "uncertain".
   * @param {string} name
   * @param {object} [params]
   * @returns {Promise<any>}
   */
  call(name, params) {
    return this.#connection.ask(name, params);
  }

  /**
   * A job by its id, whoever printed it.
   * @param {string} id
   * @returns {Promise<Job>}
   * @throws {RawprintError} unknown-job
   */
  async job(id) {
    return this.#job(await this.call("jobs.get", { id }));
  }

  /** Ends the connection. What has no outcome yet rejects with "closed"; what the server has may still be printed. */
  close() {
    this.#connection.close();
    for (const job of this.#jobs.values()) {
      job[CLOSE](closed());
    }
  }

  /**
   * @param {number} timeout
   * @param {AbortSignal | undefined} signal
   * @internal
   */
  [START](timeout, signal) {
    return this.#connection.open(timeout, signal);
  }

  /**
   * Asks for a job, or about one.
   * @param {string} call
   * @param {object} params
   * @param {{ attached?: Uint8Array | null, signal?: AbortSignal | undefined }} [how]
   * @internal
   */
  async [JOB](call, params, how) {
    return this.#job(await this.#connection.ask(call, params, how));
  }

  /**
   * @param {string} name
   * @internal
   */
  async [STATUS](name) {
    this.#event("printer", await this.call("printers.status", { printer: name }));
  }

  /**
   * Takes over what the server says at the beginning of a connection; returns what tells the listeners.
   * @param {Snapshot} snapshot
   */
  #adopt({ server, printers, jobs }) {
    this.#takeServer(server);
    const tells = [
      ...listOf(printers).map((data) => this.#takePrinter(data)),
      ...listOf(jobs).map((data) => this.#takeJob(data)),
    ];
    const told = new Set(listOf(jobs).map((job) => job?.id));
    const missing = [...this.#jobs.values()].filter((job) => !job.ended && !told.has(job.id));
    return () => {
      tells.forEach((tell) => tell());
      this.#ask(missing).catch(report);
    };
  }

  /**
   * What became of jobs that the server does not tell of by itself.
   * @param {Job[]} jobs
   */
  async #ask(jobs) {
    for (const job of jobs) {
      try {
        await this.job(job.id);
      } catch (error) {
        if (/** @type {RawprintError} */ (error).code === "closed") {
          return;
        }
        if (!job.ended) {
          const call = job.name === "drawer" ? "drawer.open" : "print";
          const { code, message, hint } = uncertain(call, { printer: job.printer });
          const ended = new Date().toISOString();
          this.#takeJob({ ...job.toJSON(), state: "uncertain", ended, error: { code, message, hint } })();
        }
      }
    }
  }

  /**
   * @param {unknown} name
   * @param {any} data
   */
  #event(name, data) {
    if (name === "server") {
      this.#takeServer(data);
      this[EMIT]("server", this.#server);
    } else if (name === "printer") {
      this.#takePrinter(data)();
    } else if (name === "job") {
      this.#takeJob(data)();
    }
  }

  /** @param {ServerData} data */
  #takeServer(data) {
    this.#server = Object.freeze({ ...data, printers: listOf(data.printers), found: listOf(data.found) });
  }

  /** @param {PrinterData} data */
  #takePrinter(data) {
    if (typeof data?.name !== "string") {
      return nothing;
    }
    const printer = this.#printers.get(data.name) ?? new Printer(this, data.name);
    this.#printers.set(data.name, printer);
    return printer[TAKE](data) ? () => (printer[EMIT]("status", printer), this[EMIT]("printer", printer)) : nothing;
  }

  /** @param {JobData} data */
  #takeJob(data) {
    if (typeof data?.id !== "string") {
      return nothing;
    }
    if (this.#jobs.size >= MOST_JOBS && !this.#jobs.has(data.id)) {
      const ended = [...this.#jobs.values()].find((one) => one.ended);
      this.#jobs.delete(ended?.id ?? "");
    }
    const job = this.#jobs.get(data.id) ?? new Job(this, data.id);
    this.#jobs.set(data.id, job);
    const changes = job[TAKE](data);
    return () => {
      for (const change of changes) {
        job[EMIT](change, job);
      }
      if (changes.length > 0) {
        this.#printers.get(job.printer)?.[EMIT]("job", job);
        this[EMIT]("job", job);
      }
    };
  }

  /** @param {JobData} data */
  #job(data) {
    this.#takeJob(data)();
    const job = this.#jobs.get(data?.id);
    if (!job) {
      throw new RawprintError("bad-reply", "The print server's answer is no job.", "Update rawprint-server.");
    }
    return job;
  }
}

/**
 * A printer: what it last said, and printing on it.
 *
 * Events: "status" (this Printer, anything of which changed), "job" (a Job of it that changed).
 * @extends {Emitter<{ status: Printer, job: Job }>}
 */
export class Printer extends Emitter {
  #printers;
  #data = /** @type {PrinterData} */ ({});
  #text = "";

  /**
   * @param {Printers} printers
   * @param {string} name
   * @internal
   */
  constructor(printers, name) {
    super();
    this.#printers = printers;
    /** @readonly */
    this.name = name;
  }

  /** "unknown" where the printer does not say, which is not the same as being fine. */
  get state() { return this.#data.state; }
  get reasons() { return this.#data.reasons ?? {}; }
  /** When the printer last said so; null: never. */
  get at() { return dateOf(this.#data.at); }
  /** Since when state and reasons are what they are. */
  get since() { return dateOf(this.#data.since); }
  /** Who said so: "printer", or the name of another channel. */
  get source() { return this.#data.source; }
  /** Why it cannot be reached now; null: it can, or nobody has tried. */
  get error() { return errorOf(this.#data.error); }
  /** Whether a job is going out to it. */
  get busy() { return this.#data.busy; }
  /** How many jobs wait for it. */
  get pending() { return this.#data.pending; }
  /** Whether somebody has its jobs wait: `printers.call("printers.resume", { printer })` lets them go on. */
  get paused() { return this.#data.paused; }
  get address() { return this.#data.address; }
  /** Its language: "tspl", "escpos" …; null where it is not known yet. */
  get dialect() { return this.#data.dialect; }
  /** What text is encoded with where print() does not say; null: UTF-8. */
  get encoding() { return this.#data.encoding; }
  get media() { return this.#data.media; }
  /** Whether its language can open a drawer. */
  get drawer() { return this.#data.drawer; }
  /** Whether the server leaves the printer to others while it has nothing to print. */
  get share() { return this.#data.share; }

  toJSON() {
    return this.#data;
  }

  /**
   * Prints commands, documents, or a list of them, one after the other; commands exactly as given. Prints of one page go out in the order in
   * which they were called; a Blob or a canvas has to be read first and may be overtaken. Each page of a PDF is a job of its own, and this
   * resolves with the last one's, whose `notes` say what could not be printed as it was meant.
   *
   * While the server is away, the print waits for it: `expires` and `signal` end that.
   * @param {Part | readonly Part[]} data
   * @param {PrintOptions} [options]
   * @returns {Promise<Job>}
   * @throws {RawprintError} What the server says; too-large, canceled, expired: it was not printed; uncertain, closed:
   *   it may have been.
   */
  async print(data, { wait = "accepted", signal, ...options } = {}) {
    const reached = { accepted: () => true, delivered: isDelivered, ended: hasEnded }[wait];
    if (!reached) {
      throw new RawprintError("bad-request", `print() cannot wait for "${wait}".`, "Say accepted, delivered or ended.");
    }
    /** @type {readonly unknown[]} */
    let parts = Array.isArray(data) ? data : [data];
    const ready = parts.map(readyPart);
    parts = ready.some((part) => part instanceof Promise) ? await Promise.all(ready) : ready;
    const { attached, ...sent } = dataOf(parts);
    const job = await this.#printers[JOB]("print", { printer: this.name, ...sent, options }, { attached, signal });
    return follow(job, reached, signal);
  }

  /** Asks the printer now; resolves with this object, which then says what was heard. */
  async status() {
    await this.#printers[STATUS](this.name);
    return this;
  }

  /**
   * Opens the drawer; resolves when the printer has taken the command. Nothing opens it later than ten seconds after.
   * @param {DrawerOptions} [options]
   * @returns {Promise<Job>}
   * @throws {RawprintError} expired, failed and what the server says: it did not open; uncertain: it may have.
   */
  async openDrawer({ pin = 2, id, signal } = {}) {
    const params = { printer: this.name, pin, options: { id } };
    const job = await follow(await this.#printers[JOB]("drawer.open", params, { signal }), isDelivered, signal);
    if (FAILURES.has(job.state)) {
      const { code, message, hint } = job.error ?? {
        code: "failed", message: `The drawer at ${this.name} did not open: ${job.state}.`, hint: "Look at the printer.",
      };
      throw new RawprintError(job.state === "failed" ? code : job.state, message, hint);
    }
    return job;
  }

  /**
   * @param {PrinterData} data
   * @returns {boolean} Whether anything changed.
   * @internal
   */
  [TAKE](data) {
    const before = this.#text;
    this.#data = Object.freeze(data);
    this.#text = JSON.stringify(data);
    return this.#text !== before;
  }
}

/**
 * A job: what became of it so far.
 *
 * Events: "state" (anything but the progress changed), "progress" (the printer took more of it); both give this Job.
 * @extends {Emitter<{ state: Job, progress: Job }>}
 */
export class Job extends Emitter {
  #printers;
  #data = /** @type {JobData} */ ({});
  /** @type {RawprintError | null} */
  #closed = null;
  /** @type {Set<{ reached: (job: Job) => boolean, resolve(job: Job): void, reject(error: RawprintError): void }>} */
  #waiting = new Set();

  /**
   * @param {Printers} printers
   * @param {string} id
   * @internal
   */
  constructor(printers, id) {
    super();
    this.#printers = printers;
    /** @readonly */
    this.id = id;
  }

  get state() { return this.#data.state; }
  /** The name of its printer. */
  get printer() { return this.#data.printer; }
  /** The name that it was given; null: none. */
  get name() { return this.#data.name; }
  get bytesTotal() { return this.#data.bytes_total; }
  /** How many bytes the printer has taken. */
  get bytesAccepted() { return this.#data.bytes_accepted; }
  /** How much of it the printer has taken, from 0 to 1. */
  get progress() { return this.bytesTotal ? Math.min(1, this.bytesAccepted / this.bytesTotal) : Number(this.ended); }
  /** What its state rests on. */
  get evidence() { return this.#data.evidence ?? []; }
  /** What there is to know of its documents, such as a character that no font has. */
  get notes() { return this.#data.notes ?? []; }
  /** Who asked for it: a page's origin, "token NAME" or "program ADDRESS"; null: that is not known any more. */
  get by() { return this.#data.by ?? null; }
  /** What the printer says while it does not get on. */
  get reasons() { return this.#data.reasons ?? {}; }
  get error() { return errorOf(this.#data.error); }
  get createdAt() { return dateOf(this.#data.created); }
  get endedAt() { return dateOf(this.#data.ended); }
  /** Whether this is its last state. */
  get ended() { return ENDS.has(this.state); }

  /**
   * Resolves with this job when it has ended, however it did; rejects only where the connection is closed before.
   * @returns {Promise<Job>}
   */
  get finished() {
    const finished = this[UNTIL](hasEnded);
    finished.catch(nothing); // it may well be that nobody looks at it
    return finished;
  }

  toJSON() {
    return this.#data;
  }

  /**
   * Takes back what is not printed yet; resolves with this job when that is done.
   * @returns {Promise<Job>}
   * @throws {RawprintError} too-late: there is nothing left to take back.
   */
  async cancel() {
    try {
      return await this.#printers[JOB]("jobs.cancel", { id: this.id });
    } catch (error) {
      if (this.state === "canceled") { // the first answer was lost with its connection
        return this;
      }
      throw error;
    }
  }

  /**
   * Says what became of a job that is uncertain, so that those which wait for it go on: "discard", it came out or is not
   * wanted, or "print-again", which resolves with the new job.
   * @param {"print-again" | "discard"} action
   * @returns {Promise<Job>}
   * @throws {RawprintError} not-uncertain: somebody has said so already, or it is not uncertain.
   */
  async resolve(action) {
    return this.#printers[JOB]("jobs.resolve", { id: this.id, action });
  }

  /**
   * @param {JobData} data
   * @returns {("state" | "progress")[]} What changed.
   * @internal
   */
  [TAKE](data) {
    const before = this.#data;
    this.#data = Object.freeze(data);
    for (const one of [...this.#waiting].filter(({ reached }) => reached(this))) {
      this.#waiting.delete(one);
      one.resolve(this);
    }
    /** @type {("state" | "progress")[]} */
    const changes = [];
    if (before.bytes_accepted !== data.bytes_accepted) {
      changes.push("progress");
    }
    if (JSON.stringify({ ...before, bytes_accepted: 0 }) !== JSON.stringify({ ...data, bytes_accepted: 0 })) {
      changes.push("state");
    }
    return changes;
  }

  /**
   * @param {(job: Job) => boolean} reached
   * @returns {Promise<Job>}
   * @internal
   */
  [UNTIL](reached) {
    return new Promise((resolve, reject) => {
      if (reached(this)) {
        resolve(this);
      } else if (this.#closed) {
        reject(this.#closed);
      } else {
        this.#waiting.add({ reached, resolve, reject });
      }
    });
  }

  /**
   * @param {RawprintError} error
   * @internal
   */
  [CLOSE](error) {
    this.#closed = error;
    this.#waiting.forEach(({ reject }) => reject(error));
    this.#waiting.clear();
  }
}

const hasEnded = (/** @type {Job} */ job) => job.ended;
const isDelivered = (/** @type {Job} */ job) =>
  job.ended || (job.state !== "pending" && job.bytesAccepted >= job.bytesTotal);

/**
 * Waits until a job has come so far, or is taken back.
 * @param {Job} job
 * @param {(job: Job) => boolean} reached
 * @param {AbortSignal | undefined} signal
 */
async function follow(job, reached, signal) {
  const cancel = () => job.cancel().catch(nothing); // too late, then: it goes on as if nobody had said anything
  if (signal?.aborted) {
    await cancel();
  }
  signal?.addEventListener("abort", cancel);
  try {
    await job[UNTIL](reached);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  if (signal?.aborted && job.state === "canceled") {
    throw canceled();
  }
  return job;
}

/** @param {string | null} text */
const dateOf = (text) => (typeof text === "string" ? new Date(text) : null);

/** @param {ErrorData | null} data */
const errorOf = (data) => (isObject(data) ? received(data) : null);

/**
 * @template Item
 * @param {readonly Item[]} list
 */
const listOf = (list) => (Array.isArray(list) ? /** @type {Item[]} */ (list) : []);

// ------------------------------------------------------------------------------------------------------------------

/** Where the server is: where this module came from, or else on this computer. */
function home() {
  const here = new URL(import.meta.url);
  // In a bundle, or in a copy of a page's own, the module's address says nothing of the server's.
  return here.protocol.startsWith("http") && here.pathname === "/rawprint.js" ? here.origin : HOME;
}

/** @param {string | URL} address */
function socketUrl(address) {
  try {
    const url = new URL(String(address).replace(/^http/i, "ws"));
    if (/^wss?:$/.test(url.protocol)) {
      url.hash = "";
      return url.href;
    }
  } catch {
    // said below
  }
  throw new RawprintError("bad-address", `${address} is no print server's address.`, `An address looks like ${HOME}.`);
}

/** @returns {Promise<SocketClass>} */
async function anySocket() {
  if (typeof WebSocket === "function") {
    return WebSocket;
  }
  try {
    const name = "ws"; // as a variable: bundlers need not find it
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).WebSocket;
  } catch {
    const hint = "Use Node 22 or newer, or: npm install ws.";
    throw new RawprintError("backend-missing", "There is no WebSocket here.", hint);
  }
}

/**
 * Connects to a print server; resolves when it has told its whole state. From then on, a connection that is lost is
 * restored without end, until close().
 * @param {ConnectOptions} [options]
 * @returns {Promise<Printers>}
 * @throws {RawprintError} not-running, timeout, origin-not-allowed, bad-token, token-needed, lna-denied, lna-prompt,
 *   lna-insecure-page, too-many-connections, canceled, bad-address, backend-missing.
 */
export async function connect({ url = home(), token, timeout = 10_000, WebSocket, signal, onConnection } = {}) {
  if (token !== undefined && !/^[\w-]+$/.test(token)) {
    throw new RawprintError("bad-token", "That is no token.", "rawprint-server access token new NAME prints one.");
  }
  const printers = new Printers(socketUrl(url), WebSocket ?? (await anySocket()), token);
  if (onConnection) {
    printers.on("connection", onConnection);
  }
  await printers[START](timeout, signal);
  return printers;
}

/**
 * For a page that gets "origin-not-allowed": the server prints a code of six digits, and who stands beside it and types
 * that in lets the page in. It uses up paper, so have somebody ask for it.
 * @param {Pick<ConnectOptions, "url" | "WebSocket">} [options]
 * @returns {Promise<Pairing>}
 * @throws {RawprintError} pairing: there were too many codes, another page waits for its, or this one needs none; the
 *   printer's error where it does not take it; what connect() says.
 */
export async function pair({ url = home(), WebSocket } = {}) {
  const address = socketUrl(url);
  const Socket = WebSocket ?? (await anySocket());
  const none = { code: 1006, reason: "", opened: false, served: false, pending: false };
  /** @type {Socket} */
  let socket;
  try {
    socket = new Socket(address, PAIRING);
  } catch (error) {
    throw await explain(address, { ...none, reason: String(error) });
  }
  let opened = false;
  let begun = false;
  let count = 0;
  /** @type {Map<unknown, { resolve(result: any): void, reject(error: unknown): void }>} */
  const waiting = new Map();
  /** @type {(how: Partial<End>) => void} */
  let end = nothing;
  const over = new Promise((_, reject) => {
    end = async ({ code = 1006, reason = "", pending = false }) => {
      discard(socket);
      reject(begun || code === 1000
        ? new RawprintError("pairing", `There is no code: ${reason || "the connection has ended"}.`,
          "Call connect(), and pair() if it is refused.")
        : await explain(address, { ...none, code, reason, opened, pending }));
    };
  });
  over.catch(nothing); // who asks hears of it
  const ask = (/** @type {string} */ call, params = {}) =>
    Promise.race([over, new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject });
      socket.send(JSON.stringify({ call, uid: count, params }));
    })]);
  socket.onclose = end;
  socket.onerror = () => !opened && end({});
  socket.onmessage = (/** @type {{ data: unknown }} */ { data }) => {
    const { uid, result, error } = parse(data) ?? {};
    waiting.get(uid)?.[error ? "reject" : "resolve"](error ? received(error) : result);
    waiting.delete(uid);
  };
  const stop = giveUpAfter(OPEN_MS, () => end({ pending: true }));
  try {
    await Promise.race([over, new Promise((resolve) => {
      socket.onopen = resolve;
    })]);
    opened = true;
    if (socket.protocol !== PAIRING) { // a server that is older than pairing
      end({});
    }
    const { where, seconds } = await ask("pair.begin");
    begun = true;
    return {
      where,
      seconds,
      async enter(code) {
        try {
          await ask("pair.enter", { code: String(code) });
        } catch (error) {
          if (/** @type {RawprintError} */ (error).code !== "wrong-code") {
            end({ reason: "it is void" });
          }
          throw error;
        }
        end({ reason: "it was used" });
      },
      close: () => end({ reason: "it was closed from here" }),
    };
  } catch (error) {
    discard(socket);
    throw error;
  } finally {
    stop();
  }
}
