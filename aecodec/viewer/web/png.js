/** Pictures as PNG files, with their metadata; W3C PNG, third edition. */

import { adler32 } from "./decoder/inflate.js";
import { crc32 } from "./decoder/digests.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const COLOUR_TYPES = [0, 0, 4, 2, 6];
const STORED_MAX = 65535;
const INCH = 0.0254;

/**
 * A PNG of a picture.
 *
 * @param {{width, height, channels, bits, samples}} picture as the decoder gives it
 * @param {object} metadata what to keep: icc, exif, xmp, resolution and text, as metadataOf
 * @param {boolean} small compresses; otherwise it is quick and large, to be shown once
 * @returns {Promise<Blob>}
 */
export async function encodePng(picture, metadata = {}, small = false) {
  const deflate = small && globalThis.CompressionStream ? compressed : stored;
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, picture.width);
  head.setUint32(4, picture.height);
  head.setUint8(8, picture.bits);
  head.setUint8(9, COLOUR_TYPES[picture.channels]);
  const parts = [Uint8Array.from(SIGNATURE), ...chunk("IHDR", new Uint8Array(head.buffer))];
  for (const [type, payload] of metadataChunks(metadata)) {
    parts.push(...chunk(type, payload));
  }
  parts.push(...chunk("IDAT", await deflate(filtered(picture, small))), ...chunk("IEND", bytes()));
  return new Blob(parts, { type: "image/png" });
}

function bytes(...values) {
  return Uint8Array.from(values);
}

function chunk(type, payload) {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, payload.length);
  const body = new Uint8Array(4 + payload.length);
  [head, body].forEach((each, n) => each.set(ascii(type), n ? 0 : 4));
  body.set(payload, 4);
  const crc = new DataView(new ArrayBuffer(4));
  crc.setUint32(0, crc32(body));
  return [head, payload, new Uint8Array(crc.buffer)];
}

function ascii(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function metadataChunks({ icc, exif, xmp, resolution, text }) {
  const chunks = [];
  if (icc) {
    chunks.push(["iCCP", join(ascii("ICC profile\0\0"), stored(icc))]);
  }
  if (resolution) {
    const payload = new DataView(new ArrayBuffer(9));
    resolution.forEach((dpi, n) => payload.setUint32(4 * n, Math.round(dpi / INCH)));
    payload.setUint8(8, 1);
    chunks.push(["pHYs", new Uint8Array(payload.buffer)]);
  }
  if (exif) {
    chunks.push(["eXIf", exif]);
  }
  if (xmp) {
    chunks.push(["iTXt", join(ascii("XML:com.adobe.xmp\0\0\0\0\0"), xmp)]);
  }
  for (const { key, text: comment } of text ?? []) {
    if (/^[\x21-\x7e](?:[\x20-\x7e]{0,77}[\x21-\x7e])?$/.test(key) && !/ {2}/.test(key)) {
      chunks.push(["iTXt", join(ascii(`${key}\0\0\0\0\0`), new TextEncoder().encode(comment))]);
    }
  }
  return chunks;
}

/** Rows, each after the number of its filter; 16-bit samples with the high byte first. */
function filtered({ width, height, channels, bits, samples }, small) {
  const back = (channels * bits) / 8;
  const size = width * back;
  const rows = new Uint8Array(height * (size + 1));
  let before = new Uint8Array(size);
  let row = new Uint8Array(size);
  for (let number = 0; number < height; number++) {
    fillRow(row, samples.subarray(number * width * channels, (number + 1) * width * channels));
    const target = rows.subarray(number * (size + 1), (number + 1) * (size + 1));
    if (small) {
      filterRow(row, before, back, target);
    } else {
      target.set(row, 1);
    }
    [row, before] = [before, row];
  }
  return rows;
}

function fillRow(row, samples) {
  if (samples.BYTES_PER_ELEMENT === 1) {
    row.set(samples);
    return;
  }
  for (let at = 0; at < samples.length; at++) {
    row[2 * at] = samples[at] >> 8;
    row[2 * at + 1] = samples[at] & 255;
  }
}

/** Filters a row with the one of sub, up and Paeth that leaves the smallest differences. */
function filterRow(row, before, back, target) {
  let least = Infinity;
  for (const kind of [1, 2, 4]) {
    const found = new Uint8Array(row.length);
    let sum = 0;
    for (let at = 0; at < row.length; at++) {
      const left = at < back ? 0 : row[at - back];
      const corner = at < back ? 0 : before[at - back];
      const guess = kind === 1 ? left : kind === 2 ? before[at] : paeth(left, before[at], corner);
      found[at] = row[at] - guess;
      sum += Math.min(found[at], 256 - found[at]);
    }
    if (sum < least) {
      least = sum;
      target[0] = kind;
      target.set(found, 1);
    }
  }
}

function paeth(left, above, corner) {
  const [toLeft, toAbove] = [Math.abs(above - corner), Math.abs(left - corner)];
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) {
    return left;
  }
  return toAbove <= toCorner ? above : corner;
}

async function compressed(data) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A zlib stream of blocks that are not compressed. */
function stored(data) {
  const blocks = Math.max(Math.ceil(data.length / STORED_MAX), 1);
  const stream = new Uint8Array(2 + 5 * blocks + data.length + 4);
  const view = new DataView(stream.buffer);
  view.setUint16(0, 0x7801);
  for (let block = 0, to = 2; block < blocks; block++) {
    const part = data.subarray(block * STORED_MAX, (block + 1) * STORED_MAX);
    view.setUint8(to, Number(block === blocks - 1));
    view.setUint16(to + 1, part.length, true);
    view.setUint16(to + 3, 65535 - part.length, true);
    stream.set(part, to + 5);
    to += 5 + part.length;
  }
  view.setUint32(stream.length - 4, adler32(data));
  return stream;
}
