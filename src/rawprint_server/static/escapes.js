// Commands as people type them, and the bytes that they mean.

"use strict";

const NAMED = { n: 10, r: 13, t: 9, e: 27, "\\": 92 };

/** The bytes of text in which \x1B is one byte, and \n, \r, \t, \e and \\ are what they are elsewhere. */
export function unescaped(text) {
  const bytes = [];
  const encoder = new TextEncoder();
  for (const [whole, hex, letter] of text.matchAll(/\\x([0-9a-f]{2})|\\([nrte\\])|[^\\]+|\\/gi)) {
    if (hex !== undefined) {
      bytes.push(parseInt(hex, 16));
    } else if (letter !== undefined && letter in NAMED) {
      bytes.push(NAMED[letter]);
    } else {
      encoder.encode(whole).forEach((byte) => bytes.push(byte));
    }
  }
  return new Uint8Array(bytes);
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The bytes of hex digits with any white space between; null: it is none. */
export function fromHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) {
    return null;
  }
  return new Uint8Array((digits.match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
}

/** Sixteen bytes a line: hex, and what of it is a character. */
export function dump(bytes) {
  const lines = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const row = bytes.subarray(start, start + 16);
    const shown = Array.from(row, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${(toHex(row).match(/../g) ?? []).join(" ").padEnd(48)} ${shown}`);
  }
  return lines.join("\n");
}
