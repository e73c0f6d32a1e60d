// Plays a golden file of the native protocol (see test_golden.py) against a server, and prints as one JSON list where
// its replies were others than in the file: node golden.js URL FILE.

"use strict";

const fs = require("node:fs");

const ANY = {
  "<time>": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/,
  "<id>": /^[0-9a-f]{16}$/,
  "<address>": /^tcp:\/\/127\.0\.0\.1:\d+$/,
  "<version>": /^\d+\.\d+\.\d+.*$/,
  "<text>": /^.+$/s,
};

const isObject = (value) => typeof value === "object" && value !== null;

// Where the two are not the same, or null; the order of keys counts.
function difference(wanted, got, where = "") {
  if (typeof wanted === "string" && Object.hasOwn(ANY, wanted)) {
    return typeof got === "string" && ANY[wanted].test(got) ? null : `${where}: ${JSON.stringify(got)} is no ${wanted}`;
  }
  if (isObject(wanted) && isObject(got) && Array.isArray(wanted) === Array.isArray(got)) {
    const keys = Object.keys(wanted);
    if (JSON.stringify(keys) === JSON.stringify(Object.keys(got))) {
      return keys.map((key) => difference(wanted[key], got[key], `${where}.${key}`)).find(Boolean) ?? null;
    }
  } else if (wanted === got) {
    return null;
  }
  return `${where}: ${JSON.stringify(got)} and not ${JSON.stringify(wanted)}`;
}

function frame(send) {
  if ("frame" in send) {
    return send.frame;
  }
  if (!("attached" in send)) {
    return JSON.stringify(send);
  }
  const header = Buffer.from(JSON.stringify(send.attached));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return Buffer.concat([length, header, Buffer.from(send.bytes_base64, "base64")]);
}

const [url, file] = process.argv.slice(2);
const steps = JSON.parse(fs.readFileSync(file, "utf8"));
const socket = new WebSocket(url, "rawprint.v1");
const came = [];
let wake = () => {};

socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (!("event" in message)) {
    came.push(message);
    wake();
  }
};

async function read() {
  while (came.length === 0) {
    await new Promise((resolve) => (wake = resolve));
  }
  return came.shift();
}

socket.onopen = async () => {
  const differences = [];
  for (const { send, replies } of steps) {
    socket.send(frame(send));
    const got = [];
    while (got.length < replies.length) {
      got.push(await read());
    }
    const found = difference(replies, got);
    if (found !== null) {
      differences.push([send, found]);
    }
    socket.send('{"call":"server.version","uid":"sentinel"}');
    const sentinel = await read();
    if (sentinel.uid !== "sentinel") {
      differences.push([send, `one reply too many: ${JSON.stringify(sentinel)}`]);
      break;
    }
  }
  socket.onclose = null;
  socket.close();
  process.stdout.write(JSON.stringify(differences) + "\n", () => process.exit(0));
};

socket.onclose = ({ code, reason }) => {
  process.stderr.write(`the connection ended with ${code} ${reason}\n`, () => process.exit(1));
};
