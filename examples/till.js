// What till.html does: taps become a receipt, paying prints it and opens the drawer, and the page says at any time how
// the printer is and which tickets are not on paper yet.
//
// What keeps a ticket from being lost or printed twice: it is remembered in sessionStorage, with an id of its own, before
// it is printed. After a reload it is looked up by that id; only a server that has the same memory of ids as then may be
// given it again. Where nobody can know, the page asks a person.

const PRODUCTS = new Map(Object.entries({ // cents
  "Espresso": 220, "Cappuccino": 340, "Tea": 260, "Orange juice": 380, "Croissant": 210, "Crème brûlée": 490,
  "Cheesecake": 450, "Sandwich": 560,
}));

// What stops a printer, the most telling reason first, and what to do about it.
const STOPS = {
  "media-empty": ["Paper is out", "Put in a new roll"],
  "cover-open": ["The cover is open", "Close it"],
  "media-jam": ["The paper is jammed", "Open the cover and take it out"],
  "trimmer-jam": ["The cutter is stuck", "Switch the printer off, free the cutter, switch it on"],
  "subunit-over-temperature": ["The printer is too hot", "Let it cool down"],
  "paused": ["The printer is paused", "Press its pause key"],
  "offline-report": ["The printer is offline", "Press its online key, or look at its lights"],
};
const HARMLESS = new Set(["media-low", "x-drawer-open", "x-input-buffer-full"]);
const TICKETS_SHOWN = 8;

const $ = (id) => document.getElementById(id);
const euros = (cents) => `${(cents / 100).toFixed(2)} €`;

// Writes only what is new, so that a screen reader is not told the same thing again.
function say(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

const sentences = (...texts) => texts.filter(Boolean).map((text) => text.replace(/[^.!?]$/, "$&.")).join(" ");

// --- the print server

// Its script runs in this page, so a link to this page must not name a server of just anywhere.
const named = new URLSearchParams(location.search).get("server") ?? "";
const server = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(named) ? named : "localhost:8765";

let printers = null; // until the server has told of them
let trouble = null; // why there is no connection: {message, hint}

async function start() {
  restore();
  const { connect } = await client();
  try {
    // A till waits for its print server as long as it takes; what it waits for, onConnection hears.
    printers = await connect({ url: `ws://${server}`, timeout: Infinity, onConnection });
  } catch (error) { // waiting would not help
    onConnection({ error });
    return;
  }
  printers.on("printer", render);
  printers.on("server", render);
  printers.on("job", (job) => {
    const ticket = tickets.get(job.id);
    if (ticket?.job) {
      look(ticket);
    }
  });
  render();
  for (const ticket of [...tickets.values()].filter(({ error }) => !error)) {
    find(ticket);
  }
}

async function client() {
  for (let tries = 0; ; tries += 1) {
    try {
      return await import(`http://${server}/rawprint.js?${tries}`); // a failure is remembered under its address
    } catch {
      trouble = {
        message: `This page does not reach a print server at ${server}`,
        hint: "Start rawprint-server on this computer, and choose Allow if the browser asks whether the page may reach it",
      };
      render();
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function onConnection({ error }) {
  trouble = error;
  render();
}

/** The chosen printer; null where there is none that prints receipts. */
function chosen() {
  const able = [...(printers ?? [])].filter((printer) => printer.dialect === "escpos");
  return able.find((printer) => printer.name === $("printers").value) ?? able[0] ?? null;
}

// --- the basket

const basket = new Map(Object.entries(JSON.parse(sessionStorage.basket ?? "{}"))); // product -> how many

function put(product, count) {
  basket.set(product, (basket.get(product) ?? 0) + count);
  if (basket.get(product) <= 0) {
    basket.delete(product);
  }
  render();
}

const total = () => [...basket].reduce((sum, [product, count]) => sum + count * PRODUCTS.get(product), 0);

// --- tickets

const tickets = new Map(); // id -> ticket, the oldest first; those that are done only as long as they are shown

function restore() {
  for (const ticket of JSON.parse(sessionStorage.tickets ?? "[]")) {
    tickets.set(ticket.id, ticket);
  }
}

function remember() {
  const open = [...tickets.values()].filter((ticket) => !ticket.done);
  sessionStorage.tickets = JSON.stringify(open.map(({ job, abort, item, ...kept }) => kept));
  sessionStorage.basket = JSON.stringify(Object.fromEntries(basket));
}

function pay(cash) {
  const printer = chosen();
  const number = (Number(sessionStorage.number) || 0) + 1;
  sessionStorage.number = number;
  const ticket = {
    id: `till-${freshId()}`, number, cash, printer: printer.name, total: total(), ...receipt(printer, number, cash),
  };
  basket.clear();
  if (cash && printer.drawer) {
    openDrawer(`${ticket.id}-drawer`); // first: the change does not wait for the paper
  }
  print(ticket);
}

/** Prints a ticket, or repeats it under its id, which a server with the same memory prints only once. */
async function print(ticket) {
  ticket.memory = printers.server.memory;
  ticket.job = ticket.error = null;
  ticket.abort = new AbortController();
  tickets.set(ticket.id, ticket);
  remember(); // before anything can go wrong
  render();
  try {
    const { id, data, encoding, number, abort: { signal } } = ticket;
    follow(ticket, await printers.get(ticket.printer).print(data, { id, encoding, jobName: `Receipt ${number}`, signal }));
  } catch (error) {
    end(ticket, error);
  }
}

/** After a reload: what became of a ticket that was open then. */
async function find(ticket) {
  try {
    follow(ticket, await printers.job(ticket.id));
  } catch (error) {
    if (error.code === "unknown-job" && ticket.memory === printers.server.memory) {
      print(ticket); // it never got there
    } else if (error.code === "unknown-job") {
      end(ticket, { code: "uncertain", message: "The print server was restarted and does not know this ticket" });
    } else {
      end(ticket, error);
    }
  }
}

function follow(ticket, job) {
  ticket.job = job;
  ticket.memory = null; // a server that knows nothing of it from here on has forgotten it
  look(ticket);
}

function look(ticket) {
  const { job } = ticket;
  if (job.state === "canceled" && job.bytesAccepted === 0 && printers.server.stopping) {
    print(ticket); // the server ends, and with it the jobs that had not begun: the next one gets it
    return;
  }
  ticket.done = ["completed", "delivered", "canceled"].includes(job.state);
  remember();
  render();
}

function end(ticket, { code, message, hint }) {
  ticket.error = { code, message, hint };
  ticket.done = code === "canceled";
  remember();
  render();
}

const WAYS = {
  done: (ticket) => tickets.delete(ticket.id),
  forget: (ticket) => tickets.delete(ticket.id),
  cancel: (ticket) => (ticket.job ? ticket.job.cancel().catch(() => render()) : ticket.abort?.abort()),
  // A person asked for it, so it is a new job.
  again: (ticket) => {
    tickets.delete(ticket.id);
    ticket.item.remove();
    print({ ...ticket, id: `till-${freshId()}`, item: null, done: false });
  },
};

async function openDrawer(id) {
  say($("note"), "");
  try {
    await chosen().openDrawer({ id });
  } catch (error) {
    const words = error.code === "uncertain" ? error.message : `The drawer did not open: ${error.message}`;
    say($("note"), sentences(words, error.hint));
  }
}

// Also where the page is not https, which has no crypto.randomUUID().
const freshId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("");

// --- the receipt as the printer reads it

// Code pages in ESC t n, as Epson numbers them and most others do.
const CODE_PAGES = { cp437: 0, cp850: 2, cp1252: 16, cp858: 19 };
const WITH_EURO = new Set(["cp1252", "cp858"]);

/** ESC/POS, and the encoding of its text. Without an `encoding` in the server's configuration: what every printer has. */
function receipt(printer, number, cash) {
  const encoding = printer.encoding in CODE_PAGES ? printer.encoding : "ascii";
  const euro = WITH_EURO.has(encoding) ? "€" : "EUR";
  const columns = (printer.media.width_mm ?? 80) < 70 ? 32 : 42;
  const row = (left, right) => `${left.slice(0, columns - right.length - 1).padEnd(columns - right.length)}${right}\n`;
  const price = (cents) => (cents / 100).toFixed(2);
  const text = [
    "\x1b@", // initialise
    encoding in CODE_PAGES ? `\x1bt${String.fromCharCode(CODE_PAGES[encoding])}` : "",
    "\x1ba\x01\x1b!\x30", "Corner Café\n", "\x1b!\x00\x1ba\x00", // centred and large; then left and normal
    row(`Receipt ${number}`, new Date().toLocaleString("sv").slice(0, 16)), "\n",
    ...[...basket].map(([product, count]) => row(`${count} x ${product}`, price(count * PRODUCTS.get(product)))),
    "-".repeat(columns), "\n",
    "\x1bE\x01", row("Total", `${euro} ${price(total())}`), "\x1bE\x00", // bold
    `Paid ${cash ? "cash" : "by card"}. Thank you!\n`,
    "\x1dVB\x00", // feed to the blade and cut
  ].join("");
  // An accent that the printer lacks would be refused: the letter without it is better than no receipt.
  const data = encoding === "ascii" ? text.normalize("NFD").replace(/[^\0-\x7f]/g, "") : text;
  return { data, encoding };
}

// --- what is seen

/** How the printer is, in words: [tone, words, advice, since when]. */
function printerWords(printer) {
  if (!printers?.connected) {
    const words = printers ? "Print server lost" : trouble ? "No print server" : "Looking for the print server …";
    return [trouble ? "bad" : "unknown", words, sentences(trouble?.message, trouble?.hint), ""];
  }
  if (printer === null) {
    return ["bad", "No receipt printer", 'Add one with dialect = "escpos" to the server\'s configuration.', ""];
  }
  // A shared printer is asked only now and then; of one that is the server's alone every change is told.
  const [when, told] = printer.share ? [printer.at, "heard $ ago"] : [printer.since, "live, for $"];
  const age = when && told.replace("$", duration(Date.now() - when));
  if (printer.state === "unknown") {
    const { error } = printer;
    return error
      ? ["bad", "Cannot be reached", sentences(error.message, error.hint), age]
      : ["unknown", "Not known", `${printer.name} has not said yet how it is.`, age];
  }
  const stop = stopWords(printer.reasons);
  if (stop || printer.state === "stopped") {
    const [words, advice] = stop ?? ["Stopped", "Look at the printer"];
    return ["bad", words, sentences(advice, printer.pending || printer.busy ? "Then it goes on by itself" : ""), age];
  }
  const low = printer.reasons["media-low"] ? "Paper is running low." : "";
  return printer.busy || printer.state === "processing" ? ["busy", "Printing", low, age] : ["good", "Ready", low, age];
}

function stopWords(reasons) {
  const known = Object.keys(STOPS).find((reason) => reasons[reason]);
  const other = Object.keys(reasons).find((reason) => reasons[reason] && !HARMLESS.has(reason));
  return known ? STOPS[known] : other ? [`The printer reports “${other}”`, "Look at the printer"] : null;
}

/** What became of a ticket, in words, and what can be done: [tone, words, advice, ways]. */
function ticketWords({ job, error, memory }) {
  const known = { uncertain: "uncertain", closed: "uncertain", canceled: "canceled" };
  const state = error ? (known[error.code] ?? "failed") : job?.state;
  const why = error ?? job?.error;
  if (!printers?.connected && !error && !job?.ended) {
    return memory
      ? ["bad", "Waits for the print server", "It is printed as soon as the server is back.", ["cancel"]]
      : ["bad", "Not known while the print server is away", "", []];
  }
  switch (state) {
    case undefined:
      return ["busy", "On its way", "", memory ? ["cancel"] : []];
    case "pending": case "stopped": {
      const stop = stopWords(job.reasons);
      const reason = stop?.[0] ?? why?.message;
      const advice = stop ? [stop[1], "Then it goes on by itself"] : [why?.hint, why && "It goes on by itself"];
      return [reason ? "bad" : "busy", reason ? `Waits: ${reason}` : "Waits for its turn", sentences(...advice), ["cancel"]];
    }
    case "processing":
      return ["busy", `Printing, ${Math.round(job.progress * 100)} %`, "", ["cancel"]];
    case "completed": case "delivered":
      return ["good", "Printed", "", []];
    case "canceled":
      return ["unknown", "Canceled", job?.bytesAccepted ? "A part of it may be printed." : "Nothing was printed.", ["again"]];
    case "uncertain":
      return ["bad", "Look at the printer: is it printed?", sentences(why?.message), ["done", "again"]];
    default:
      return ["bad", "Not printed", sentences(why?.message, why?.hint), ["again", "forget"]];
  }
}

function duration(ms) {
  const [unit, name] = ms < 60_000 ? [1000, "s"] : ms < 3_600_000 ? [60_000, "min"] : [3_600_000, "h"];
  return `${Math.max(0, Math.floor(ms / unit))} ${name}`;
}

function render() {
  renderPrinter();
  renderBasket();
  for (const ticket of tickets.values()) {
    renderTicket(ticket);
  }
  const done = [...tickets.values()].filter((ticket) => ticket.done);
  for (const ticket of done.slice(0, -TICKETS_SHOWN)) {
    tickets.delete(ticket.id);
    ticket.item.remove();
  }
}

function renderPrinter() {
  const able = [...(printers ?? [])].filter((printer) => printer.dialect === "escpos").map(({ name }) => name);
  if (able.join("\n") !== [...$("printers").options].map(({ value }) => value).join("\n")) {
    const before = $("printers").value;
    $("printers").replaceChildren(...able.map((name) => new Option(name, name, false, name === before)));
    $("choice").hidden = able.length < 2;
  }
  const printer = chosen();
  const [tone, words, advice, age] = printerWords(printer);
  $("printer").dataset.tone = tone;
  say($("state"), printers?.connected && printer ? `${printer.name}: ${words}` : words);
  say($("detail"), advice);
  say($("age"), age ?? "");
  $("cash").disabled = $("card").disabled = printer === null || basket.size === 0;
  $("drawer").disabled = !printer?.drawer;
}

function renderBasket() {
  say($("total"), euros(total()));
  const lines = [...basket].map(([product, count]) => `${count} × ${product}`);
  if (lines.join("\n") === [...$("lines").children].map((line) => line.firstChild.textContent).join("\n")) {
    return;
  }
  remember();
  $("lines").replaceChildren(...[...basket].map(([product, count], index) => {
    const less = element("button", "−", { onclick: () => put(product, -1), ariaLabel: `One ${product} less` });
    return element("li", [element("span", lines[index]), element("span", euros(count * PRODUCTS.get(product))), less]);
  }));
  $("lines").scrollTop = $("lines").scrollHeight;
}

function renderTicket(ticket) {
  if (!ticket.item) {
    ticket.item = $("ticket").content.cloneNode(true).firstElementChild;
    ticket.item.dataset.id = ticket.id;
    say(ticket.item.querySelector(".name"), `Receipt ${ticket.number}, ${ticket.cash ? "cash" : "card"}`);
    say(ticket.item.querySelector(".sum"), euros(ticket.total));
    for (const button of ticket.item.querySelectorAll("button")) {
      button.onclick = () => {
        WAYS[button.dataset.way](ticket);
        if (!tickets.has(ticket.id)) {
          ticket.item.remove();
        }
        remember();
        render();
      };
    }
    $("tickets").prepend(ticket.item);
  }
  const [tone, words, advice, ways] = ticketWords(ticket);
  ticket.item.dataset.tone = tone;
  ticket.item.dataset.state = ticket.error?.code ?? ticket.job?.state ?? "open";
  say(ticket.item.querySelector(".state"), words);
  say(ticket.item.querySelector(".advice"), advice);
  for (const button of ticket.item.querySelectorAll("button")) {
    button.hidden = !ways.includes(button.dataset.way);
  }
}

function element(tag, content, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat());
  return made;
}

$("products").append(...[...PRODUCTS].map(([product, cents], index) => {
  const button = element("button", [product, element("span", euros(cents))], { onclick: () => put(product, 1) });
  button.style.setProperty("--index", index);
  return button;
}));
$("cash").onclick = () => pay(true);
$("card").onclick = () => pay(false);
$("drawer").onclick = () => openDrawer();
$("printers").onchange = render;
setInterval(render, 1000); // for the ages
render();
await start();
