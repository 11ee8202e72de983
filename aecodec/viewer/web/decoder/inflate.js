/**
 * zlib streams (RFC 1950 and 1951) of a known size.
 *
 * Browsers' own DecompressionStream would do, but not all of them notice bytes behind the stream,
 * which a decoder must reject.
 */

import { BitReader, PrefixCode } from "./bits.js";
import { allocate, checkPayload } from "./errors.js";

const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTHS = extended(28, 4, 3);
const DISTANCES = extended(30, 2, 1);

/** Start and extra bits of each code, when extra bits begin to grow after 2 * `step` codes. */
function extended(count, step, start) {
  const starts = [];
  const extras = [];
  for (let code = 0; code < count; code++) {
    const extra = Math.max(Math.floor(code / step) - 1, 0);
    starts.push(start);
    extras.push(extra);
    start += 2 ** extra;
  }
  return { starts, extras };
}
LENGTHS.starts.push(258);
LENGTHS.extras.push(0);

/**
 * Decompresses a whole zlib stream.
 *
 * @param {Uint8Array} bytes the stream and nothing more
 * @param {number} size bytes that it must give
 * @returns {Uint8Array}
 */
export function inflate(bytes, size) {
  const head = bytes.length < 2 ? 0 : bytes[0] * 256 + bytes[1];
  const known = (bytes[0] & 15) === 8 && bytes[0] >> 4 <= 7 && !(bytes[1] & 32);
  checkPayload(head && head % 31 === 0 && known, "the PNG data of a tile are no zlib stream");
  const reader = new BitReader(bytes, 2);
  const output = { bytes: allocate(Uint8Array, size), at: 0 };
  let isLast = 0;
  while (!isLast) {
    isLast = reader.read(1);
    const kind = reader.read(2);
    checkPayload(kind < 3, "a block of the PNG data of a tile is of no known kind");
    if (kind === 0) {
      copyStored(reader, output);
    } else {
      const [literals, distances] = kind === 1 ? fixedCodes() : readCodes(reader);
      decodeBlock(reader, output, literals, distances);
    }
  }
  checkPayload(output.at === size, `the PNG data of a tile hold ${output.at} bytes, not ${size}`);
  const at = reader.align();
  checkPayload(at + 4 === bytes.length, "the PNG data of a tile have another length");
  const stored = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
  checkPayload(stored === adler32(output.bytes), "damaged PNG data of a tile");
  return output.bytes;
}

function copyStored(reader, output) {
  const at = reader.align();
  const { bytes } = reader;
  checkPayload(at + 4 <= bytes.length, "the data of a tile end too early");
  const length = bytes[at] + 256 * bytes[at + 1];
  const inverse = bytes[at + 2] + 256 * bytes[at + 3];
  checkPayload(length === 65535 - inverse, "damaged PNG data of a tile");
  checkPayload(at + 4 + length <= bytes.length, "the data of a tile end too early");
  checkPayload(output.at + length <= output.bytes.length, "the PNG data of a tile hold too much");
  output.bytes.set(bytes.subarray(at + 4, at + 4 + length), output.at);
  output.at += length;
  reader.at = at + 4 + length;
}

let fixed = null;

function fixedCodes() {
  const lengths = Uint8Array.from({ length: 288 }, (_, n) => 8 + (n > 143) - 2 * (n > 255));
  lengths.fill(8, 280);
  fixed ??= [new PrefixCode(lengths), new PrefixCode(new Uint8Array(32).fill(5))];
  return fixed;
}

function readCodes(reader) {
  const literals = reader.read(5) + 257;
  const distances = reader.read(5) + 1;
  checkPayload(literals <= 286 && distances <= 30, "too many codes in the PNG data of a tile");
  const count = reader.read(4) + 4;
  const own = new Uint8Array(19);
  for (let n = 0; n < count; n++) {
    own[LENGTH_ORDER[n]] = reader.read(3);
  }
  const code = new PrefixCode(own);
  const lengths = new Uint8Array(literals + distances);
  let at = 0;
  while (at < lengths.length) {
    const symbol = code.read(reader);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    checkPayload(symbol !== 16 || at, "damaged PNG data of a tile");
    const value = symbol === 16 ? lengths[at - 1] : 0;
    const more = symbol === 18 ? 11 + reader.read(7) : 3 + reader.read(symbol === 16 ? 2 : 3);
    checkPayload(at + more <= lengths.length, "damaged PNG data of a tile");
    lengths.fill(value, at, at + more);
    at += more;
  }
  checkPayload(lengths[256], "damaged PNG data of a tile");
  const parts = [lengths.subarray(0, literals), lengths.subarray(literals)];
  return parts.map((part) => new PrefixCode(part, true));
}

function decodeBlock(reader, output, literals, distances) {
  const { bytes } = output;
  let { at } = output;
  for (;;) {
    const symbol = literals.read(reader);
    if (symbol < 256) {
      checkPayload(at < bytes.length, "the PNG data of a tile hold too much");
      bytes[at++] = symbol;
      continue;
    }
    if (symbol === 256) {
      break;
    }
    checkPayload(symbol < 286, "damaged PNG data of a tile");
    const length = LENGTHS.starts[symbol - 257] + reader.read(LENGTHS.extras[symbol - 257]);
    const code = distances.read(reader);
    checkPayload(code < 30, "damaged PNG data of a tile");
    const distance = DISTANCES.starts[code] + reader.read(DISTANCES.extras[code]);
    checkPayload(distance <= at, "the PNG data of a tile refer to nothing");
    checkPayload(at + length <= bytes.length, "the PNG data of a tile hold too much");
    for (const end = at + length; at < end; at++) {
      bytes[at] = bytes[at - distance];
    }
  }
  output.at = at;
}

/** The Adler-32 of bytes. */
export function adler32(bytes) {
  let a = 1;
  let b = 0;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + 3800, bytes.length);
    for (; at < end; at++) {
      a += bytes[at];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
