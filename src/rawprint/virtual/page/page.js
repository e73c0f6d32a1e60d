// The page of a virtual printer. Everything that a job says is shown as text, and never read as HTML.

const MOST_PIECES = 1000;
const MOST_TICKETS = 100;

const WORDS = {
  "media-empty": ["Paper out", "paper is out"],
  "cover-open": ["Cover open", "the cover is open"],
  "offline-report": ["Offline", "it is offline"],
  "paused": ["Paused", "it is paused"],
  "media-low": ["Paper low", "paper is low"],
  "media-jam": ["Paper jam", "paper is jammed"],
  "marker-supply-empty": ["Ribbon out", "the ribbon is out"],
  "marker-supply-low": ["Ribbon low", "the ribbon is low"],
  "trimmer-jam": ["Cutter jam", "the cutter is jammed"],
  "subunit-over-temperature": ["Too hot", "it is too hot"],
  "x-input-buffer-full": ["Buffer full", "it says that its buffer is full"],
  "x-label-waiting": ["Label waits", "a label waits to be taken"],
  "x-feed-button": ["Feed button held", "somebody holds the feed button"],
  "x-drawer-open": ["Drawer open", "the drawer is open"],
  "other": ["Other error", "it has another error"],
};
const MAIN = ["media-empty", "cover-open", "offline-report", "paused"];
const HARMLESS = ["media-low", "marker-supply-low", "x-drawer-open", "x-input-buffer-full"];
const SPEEDS = [20000, 5000, 1000, 200, 50];

const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
let last = null; // the last state
let life = 0; // pictures of an earlier life are not this one's

function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// -- what the printer is told

async function post(path, body) {
  byId("problem").textContent = "";
  try {
    const answer = await fetch(path, { method: "POST", body: body && JSON.stringify(body) });
    if (!answer.ok) {
      const { error } = await answer.json();
      byId("problem").textContent = `${error.message}. ${error.hint}`;
    }
  } catch {
    byId("problem").textContent = "The simulator does not answer.";
  }
}

function faultButton(reason) {
  const button = made("button", { type: "button", textContent: WORDS[reason]?.[0] ?? reason });
  button.dataset.reason = reason;
  button.onclick = () => post("state", { [reason]: button.getAttribute("aria-pressed") !== "true" });
  return button;
}

byId("refill").onsubmit = (event) => {
  event.preventDefault();
  const media = byId("media").value;
  post("state", { media: media === "" ? null : Number(media) });
};
byId("speed").onchange = (event) => post("state", { speed: event.target.value ? Number(event.target.value) : null });
byId("stall").onclick = () => post("state", { stall: !last?.stalled });
byId("drop").onclick = () => post("state", { drop: true });
byId("reset").onclick = () => post("reset");

// -- what it tells

function showState(state) {
  last = state;
  byId("dialect").textContent = state.clone ? `${state.dialect}, ${state.clone}` : state.dialect;
  const reasons = Object.keys(state.reasons);
  if (byId("main-faults").childElementCount + byId("other-faults").childElementCount === 0) {
    const main = MAIN.filter((reason) => reasons.includes(reason));
    byId("main-faults").append(...main.map(faultButton));
    byId("other-faults").append(...reasons.filter((reason) => !main.includes(reason)).map(faultButton));
  }
  for (const button of document.querySelectorAll("[data-reason]")) {
    button.setAttribute("aria-pressed", state.reasons[button.dataset.reason]);
  }
  const wrong = reasons.filter((reason) => state.reasons[reason]);
  const waiting = state.buffer_size - state.room;
  const stops = wrong.filter((reason) => !HARMLESS.includes(reason));
  const words = wrong.map((reason) => WORDS[reason]?.[1] ?? reason).join(", ");
  let sentence = waiting ? "Printing" : "Ready";
  if (stops.length) sentence = "Stopped";
  else if (state.stalled) sentence = "Reads nothing";
  byId("state").textContent = words ? `${sentence}: ${words}.` : `${sentence}.`;
  byId("state").dataset.state = stops.length || state.stalled ? "bad" : waiting ? "busy" : "good";
  const others = state.waiting ? `; ${state.waiting} more wait` : "";
  byId("host").textContent =
    (state.connected ? `A program is connected${others}.` : "No program is connected.") +
    ` Connections so far: ${number(state.connections_total)}.`;
  byId("bytes").textContent = number(state.bytes);
  byId("printed").textContent = number(state.printed_bytes);
  byId("tickets-count").textContent = number(state.tickets);
  byId("drawer").textContent = number(state.drawer_kicks);
  byId("fill").value = waiting / state.buffer_size;
  byId("fill-text").textContent = `${number(waiting)} of ${number(state.buffer_size)} bytes`;
  byId("stall").setAttribute("aria-pressed", state.stalled);
  byId("drop").disabled = !state.connected;
  showSpeed(state.speed);
  document.title = `${stops.length ? "! " : ""}${state.dialect}, ${number(state.tickets)} ${state.tickets === 1 ? "ticket" : "tickets"}`;
}

function showSpeed(speed) {
  const select = byId("speed");
  const wanted = [...new Set([...SPEEDS, ...(speed === null ? [] : [speed])])].sort((a, b) => b - a);
  if (select.dataset.speeds !== String(wanted)) {
    select.dataset.speeds = String(wanted);
    const options = wanted.map((each) => made("option", { value: each, textContent: `${number(each)} bytes/s` }));
    select.replaceChildren(made("option", { value: "", textContent: "at once" }), ...options);
  }
  select.value = speed ?? "";
}

function hex(digits, size) {
  const bytes = digits.match(/../g) ?? [];
  const more = size - bytes.length;
  return bytes.join(" ") + (more > 0 ? ` … ${number(more)} more` : "");
}

function pieceRow(piece) {
  const row = made("li", { className: "piece" }, made("span", { className: "at" }), made("span"), made("span", { className: "hex" }));
  fillRow(row, piece);
  return row;
}

function fillRow(row, piece) {
  row.piece = piece;
  row.dataset.kind = piece.kind;
  const [at, what, bytes] = row.children;
  at.textContent = number(piece.at);
  const plain = piece.kind === "data" ? piece.shown || `${number(piece.size)} bytes of data` : piece.shown;
  what.replaceChildren(made("span", { className: "shown", textContent: plain || "(line end)" }));
  if (piece.meaning) what.append(" ", made("span", { className: "meaning", textContent: piece.meaning }));
  bytes.textContent = hex(piece.hex, piece.size);
}

function showBytes({ pieces, open }) {
  const log = byId("log");
  const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const list = byId("pieces");
  const fresh = document.createDocumentFragment();
  for (const piece of pieces) {
    const before = fresh.lastElementChild ?? list.lastElementChild;
    const old = before?.piece;
    if (piece.kind === "data" && !piece.shown && old?.kind === "data" && !old.shown && old.at + old.size === piece.at) {
      fillRow(before, { ...old, size: old.size + piece.size, hex: (old.hex + piece.hex).slice(0, 128) });
    } else {
      fresh.append(pieceRow(piece));
    }
  }
  list.append(fresh);
  while (list.childElementCount > MOST_PIECES) list.firstElementChild.remove();
  const row = byId("open");
  row.hidden = open.size === 0;
  row.replaceChildren(
    made("span", { className: "at", textContent: number(open.at) }),
    made("span", { className: "shown", textContent: "the beginning of a command; its end has not come yet" }),
    made("span", { className: "hex", textContent: hex(open.hex, open.size) }),
  );
  row.dataset.kind = "open";
  byId("no-bytes").hidden = list.childElementCount > 0 || open.size > 0;
  if (follow) log.scrollTop = log.scrollHeight;
}

function showTicket(ticket) {
  const head = made("h3", { textContent: `Ticket ${ticket.number} ` }, made("span", { textContent: `${number(ticket.bytes)} bytes` }));
  const item = made("li", {}, head);
  item.dataset.ticket = ticket.number;
  for (let sheet = 1; sheet <= Math.min(ticket.sheets, 20); sheet += 1) {
    const name = sheet === 1 ? `${ticket.number}.png` : `${ticket.number}-${sheet}.png`;
    const picture = made("img", { alt: `The paper of ticket ${ticket.number}`, src: `ticket/${name}?life=${life}` });
    const link = made("a", { className: "sheet", href: `ticket/${name}`, target: "_blank", rel: "noopener" }, picture);
    item.append(link);
  }
  if (ticket.sheets === 0) item.append(made("p", { className: "soft", textContent: "Nothing is on it, or more than any printer takes." }));
  if (ticket.lines.length) {
    const lines = made("pre", { className: "lines", textContent: ticket.lines.join("\n"), tabIndex: 0 });
    item.append(made("details", {}, made("summary", { textContent: "Its text" }), lines));
  }
  byId("tickets").prepend(item);
  while (byId("tickets").childElementCount > MOST_TICKETS) byId("tickets").lastElementChild.remove();
  byId("no-tickets").hidden = true;
}

function begin() {
  life += 1;
  byId("pieces").replaceChildren();
  byId("tickets").replaceChildren();
  byId("open").hidden = true;
  byId("no-bytes").hidden = byId("no-tickets").hidden = false;
}

function usable(on) {
  for (const each of document.querySelectorAll("button, select, input")) each.disabled = !on;
  byId("printer").toggleAttribute("data-lost", !on);
}

// -- the stream; each one begins with everything, so that nothing is missed and nothing shown twice

let again = 0;

function listen() {
  const source = new EventSource("events");
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  source.onopen = () => {
    byId("link").textContent = "Live";
    byId("link").dataset.state = "good";
    usable(true);
  };
  source.onerror = () => {
    source.close();
    byId("link").textContent = "Not connected to the simulator; it is tried again.";
    byId("link").dataset.state = "bad";
    byId("state").textContent = "Not known.";
    byId("state").dataset.state = "busy";
    usable(false);
    clearTimeout(again);
    again = setTimeout(listen, 1000);
  };
  on("begin", begin);
  on("state", showState);
  on("bytes", showBytes);
  on("ticket", showTicket);
}

listen();
