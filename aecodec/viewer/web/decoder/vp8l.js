/**
 * Lossless WebP bitstreams; RFC 9649, section 3.
 *
 * Browsers decode WebP themselves, but give pixels out through a canvas only, where some of them
 * alter samples against fingerprinting.
 */

import { BitReader, PrefixCode } from "./bits.js";
import { allocate, checkPayload } from "./errors.js";
import { undoTransform } from "./vp8l_transforms.js";

const LENGTH_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const LITERALS = 256;
const LENGTH_CODES = 24;
const DISTANCE_CODES = 40;
const HASH = 0x1e35a7bd;

/** What distance codes 1 to 120 mean: rows up times 16, plus 8 less columns to the left. */
const NEAR = [
  0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39,
  0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a,
  0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
  0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e,
  0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
  0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
  0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72,
  0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
];

/**
 * Decodes a VP8L bitstream without alpha.
 *
 * @param {Uint8Array} bytes from the signature on
 * @param {number} width that it must state
 * @param {number} height likewise
 * @returns {Int32Array} pixels, each alpha, red, green and blue from the highest byte on
 */
export function decodeVp8l(bytes, width, height) {
  checkPayload(bytes.length >= 5 && bytes[0] === 0x2f, "the WebP data of a tile are not VP8L");
  const reader = new BitReader(bytes, 1);
  const stated = [reader.read(14) + 1, reader.read(14) + 1];
  checkPayload(reader.read(4) === 0, "the WebP data of a tile are not VP8L without alpha");
  const fits = stated[0] === width && stated[1] === height;
  checkPayload(fits, `${stated.join(" x ")} WebP pixels in a tile ${width} x ${height}`);
  const transforms = [];
  let packedWidth = width;
  while (reader.read(1)) {
    const transform = readTransform(reader, packedWidth, height);
    const repeated = transforms.some(({ kind }) => kind === transform.kind);
    checkPayload(!repeated, "the WebP data of a tile repeat a transform");
    transforms.push(transform);
    packedWidth = transform.packedWidth ?? packedWidth;
  }
  let pixels = decodeImage(reader, packedWidth, height, true);
  reader.checkEnd();
  for (const transform of transforms.reverse()) {
    pixels = undoTransform(transform, pixels, height);
  }
  return pixels;
}

function readTransform(reader, width, height) {
  const kind = reader.read(2);
  if (kind === 2) {
    return { kind, width };
  }
  if (kind === 3) {
    const size = reader.read(8) + 1;
    const palette = decodeImage(reader, size, 1, false);
    const bits = size > 16 ? 0 : size > 4 ? 1 : size > 2 ? 2 : 3;
    return { kind, width, palette, bits, packedWidth: Math.ceil(width / 2 ** bits) };
  }
  const bits = reader.read(3) + 2;
  const columns = Math.ceil(width / 2 ** bits);
  const blocks = decodeImage(reader, columns, Math.ceil(height / 2 ** bits), false);
  return { kind, width, bits, columns, blocks };
}

/** One of the pictures that the bitstream holds; `isMain` for the one that is shown. */
function decodeImage(reader, width, height, isMain) {
  let cacheBits = 0;
  if (reader.read(1)) {
    cacheBits = reader.read(4);
    checkPayload(cacheBits >= 1 && cacheBits <= 11, "damaged WebP data of a tile");
  }
  const meta = { bits: 0, columns: 0, groups: null };
  let count = 1;
  if (isMain && reader.read(1)) {
    meta.bits = reader.read(3) + 2;
    meta.columns = Math.ceil(width / 2 ** meta.bits);
    const rows = Math.ceil(height / 2 ** meta.bits);
    meta.groups = decodeImage(reader, meta.columns, rows, false);
    for (let at = 0; at < meta.groups.length; at++) {
      meta.groups[at] = (meta.groups[at] >>> 8) & 0xffff;
      count = Math.max(count, meta.groups[at] + 1);
    }
  }
  const cacheSize = cacheBits ? 2 ** cacheBits : 0;
  const sizes = [LITERALS + LENGTH_CODES + cacheSize, LITERALS, LITERALS, LITERALS, DISTANCE_CODES];
  const groups = [];
  for (let group = 0; group < count; group++) {
    groups.push(sizes.map((size) => readCode(reader, size)));
  }
  return decodePixels(reader, width, height, groups, meta, cacheBits);
}

/** A prefix code; one with a single word takes no bits, and is given as `{only}`. */
function readCode(reader, size) {
  const lengths = reader.read(1) ? simpleLengths(reader, size) : codedLengths(reader, size);
  return codeOf(lengths);
}

function codeOf(lengths) {
  let used = 0;
  let only = 0;
  lengths.forEach((length, symbol) => {
    if (length) {
      used++;
      only = symbol;
    }
  });
  return used === 1 ? { only, read: () => only } : new PrefixCode(lengths);
}

function simpleLengths(reader, size) {
  const lengths = new Uint8Array(size);
  const count = reader.read(1) + 1;
  const symbols = [reader.read(reader.read(1) ? 8 : 1)];
  if (count === 2) {
    symbols.push(reader.read(8));
  }
  for (const symbol of symbols) {
    checkPayload(symbol < size, "damaged WebP data of a tile");
    lengths[symbol] = 1;
  }
  return lengths;
}

function codedLengths(reader, size) {
  const own = new Uint8Array(19);
  const count = reader.read(4) + 4;
  for (let n = 0; n < count; n++) {
    own[LENGTH_ORDER[n]] = reader.read(3);
  }
  let left = size;
  if (reader.read(1)) {
    left = 2 + reader.read(2 + 2 * reader.read(3));
    checkPayload(left <= size, "damaged WebP data of a tile");
  }
  const code = codeOf(own);
  const lengths = new Uint8Array(size);
  let before = 8;
  for (let at = 0; at < size && left > 0; left--) {
    const symbol = code.read(reader);
    if (symbol < 16) {
      lengths[at++] = symbol;
      before = symbol || before;
      continue;
    }
    const value = symbol === 16 ? before : 0;
    const more = symbol === 18 ? 11 + reader.read(7) : 3 + reader.read(symbol === 16 ? 2 : 3);
    checkPayload(at + more <= size, "damaged WebP data of a tile");
    lengths.fill(value, at, at + more);
    at += more;
  }
  return lengths;
}

function decodePixels(reader, width, height, groups, meta, cacheBits) {
  const size = width * height;
  const pixels = allocate(Int32Array, size);
  const cache = new Int32Array(2 ** cacheBits);
  let [green, red, blue, alpha, distance] = groups[0];
  let [at, cached, column, row, block] = [0, 0, 0, 0, 0];
  while (at < size) {
    if (meta.groups) {
      const here = (row >> meta.bits) * meta.columns + (column >> meta.bits);
      if (here !== block || !at) {
        [green, red, blue, alpha, distance] = groups[meta.groups[here]];
        block = here;
      }
    }
    const symbol = green.read(reader);
    const before = at;
    if (symbol < LITERALS) {
      const high = red.read(reader) << 16;
      const low = blue.read(reader);
      pixels[at++] = (alpha.read(reader) << 24) | high | (symbol << 8) | low;
    } else if (symbol < LITERALS + LENGTH_CODES) {
      const length = readExtended(reader, symbol - LITERALS);
      const back = distanceOf(readExtended(reader, distance.read(reader)), width);
      checkPayload(back <= at && at + length <= size, "damaged WebP data of a tile");
      for (const end = at + length; at < end; at++) {
        pixels[at] = pixels[at - back];
      }
    } else {
      for (; cached < at; cached++) {
        cache[Math.imul(HASH, pixels[cached]) >>> (32 - cacheBits)] = pixels[cached];
      }
      pixels[at++] = cache[symbol - LITERALS - LENGTH_CODES];
    }
    for (column += at - before; column >= width; row++) {
      column -= width;
    }
  }
  return pixels;
}

/** The length or distance code that a prefix and more bits give. */
function readExtended(reader, prefix) {
  if (prefix < 4) {
    return prefix + 1;
  }
  const extra = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << extra) + reader.read(extra) + 1;
}

function distanceOf(code, width) {
  if (code > NEAR.length) {
    return code - NEAR.length;
  }
  const near = NEAR[code - 1];
  return Math.max((near >> 4) * width + 8 - (near & 15), 1);
}
