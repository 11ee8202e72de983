/** The chunks of an .aec file, checked; SPECIFICATION.md, sections 2 to 6. */

import { checkCrc, crc32, hex } from "./digests.js";
import { AecError, checkRange } from "./errors.js";

const VERSION = 1;
const SIGNATURE = [0x89, 0x41, 0x45, 0x43, VERSION, 0x0d, 0x0a, 0x1a];
const CRITICAL = ["HEAD", "LAYR", "TILE", "PIXL", "ALPH", "RESI", "DONE"];
const LENGTH_MAX = 2 ** 31 - 1;
const SIDE_MAX = LENGTH_MAX;
const HEADER_BYTES = 36;
/** What HEAD adds to the quality index where TILEs hold quality maps. */
const MAP_FLAG = 2 ** 15;

/** The coders of PIXL and ALPH. */
export const WEBP = 0;
export const PNG = 1;
export const FLAT = 2;

/** What a file may ask for; section 5.5. */
export const DEFAULT_LIMITS = Object.freeze({
  pixels: 178956970,
  fileBytes: LENGTH_MAX,
  metadataBytes: 2 ** 26,
  metadataChunks: 4096,
  memoryBytes: 2 ** 31,
});

/**
 * Reads a whole file and checks everything but the meaning of the tiles.
 *
 * @param {Uint8Array} bytes the file; payloads are views of it
 * @param {object} limits as DEFAULT_LIMITS
 * @returns {{header: object, tiles: object[], alphas: object[], optional: object[],
 *   layer: ?object, residuals: object[]}} a tile is {checksum, words} of a TILE, or
 *   {checksum, coder, data} of a PIXL
 */
export function parse(bytes, limits = DEFAULT_LIMITS) {
  if (bytes.length > limits.fileBytes) {
    const message = `the file has ${bytes.length} bytes, the limit is ${limits.fileBytes}`;
    throw new AecError("LimitError", message);
  }
  checkSignature(bytes);
  let chunk = readChunk(bytes, SIGNATURE.length, 0);
  const header = readHeader(chunk, limits);
  const stream = { header, tiles: [], alphas: [], optional: [], layer: null, residuals: [] };
  const order = new ChunkOrder(header);
  let metadataBytes = 0;
  while (chunk.type !== "DONE") {
    chunk = readChunk(bytes, chunk.end, stream.tiles.length);
    order.check(chunk);
    if (chunk.type[0] >= "a") {
      metadataBytes += chunk.payload.length;
      checkMetadata(stream.optional.length + 1, metadataBytes, limits);
    }
    keep(chunk, stream);
  }
  if (chunk.end !== bytes.length) {
    const more = bytes.length - chunk.end;
    throw new AecError("HeaderError", `${more} trailing bytes after the DONE chunk`);
  }
  return stream;
}

function keep(chunk, stream) {
  switch (chunk.type) {
    case "TILE":
      stream.tiles.push(readWords(chunk));
      break;
    case "PIXL":
      stream.tiles.push(readLossless(chunk));
      break;
    case "ALPH":
      stream.alphas.push(readLossless(chunk));
      break;
    case "LAYR":
      checkRange(`length of the ${chunk.name}`, chunk.payload.length, 5, 5);
      stream.layer = { tablesId: hex(chunk.payload.subarray(0, 4)), bound: chunk.payload[4] };
      break;
    case "RESI":
      stream.residuals.push(readWords(chunk));
      break;
    case "DONE":
      checkRange(`length of the ${chunk.name}`, chunk.payload.length, 0, 0);
      break;
    default:
      stream.optional.push({ type: chunk.type, payload: chunk.payload });
  }
}

function checkSignature(bytes) {
  const found = bytes.subarray(0, SIGNATURE.length);
  if (found.some((byte, at) => at !== 4 && byte !== SIGNATURE[at])) {
    throw new AecError("SignatureError", `not an .aec file: it begins with ${hex(found)}`);
  }
  if (found.length < SIGNATURE.length) {
    throw truncated("signature", SIGNATURE.length, found.length);
  }
  if (found[4] === 0) {
    throw new AecError("HeaderError", "version 0 is invalid");
  }
  if (found[4] > VERSION) {
    const message = `format version ${found[4]}, this decoder reads up to ${VERSION}`;
    throw new AecError("UnsupportedError", message);
  }
}

function truncated(what, needed, available) {
  const message = `truncated: ${what} needs ${needed} bytes, ${available} left`;
  return new AecError("TruncatedError", message);
}

/** The chunk at an offset, whole and with the right crc; a tile there has the number `tile`. */
function readChunk(bytes, offset, tile) {
  const start = offset + 8;
  if (start > bytes.length) {
    throw truncated(`chunk at byte ${offset}`, 8, bytes.length - offset);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(offset, true);
  const type = String.fromCharCode(...bytes.subarray(offset + 4, start));
  checkRange(`length of the chunk at byte ${offset}`, length, 0, LENGTH_MAX);
  if (!/^[A-Za-z]{4}$/.test(type)) {
    const code = hex(bytes.subarray(offset + 4, start));
    throw new AecError("HeaderError", `type ${code} at byte ${offset} is not four letters`);
  }
  if (type === "HEAD") {
    checkRange("length of the HEAD chunk", length, 16, 16);
  }
  const name = `${type} ${["TILE", "PIXL", "ALPH"].includes(type) ? tile : "chunk"}`;
  if (length + 4 > bytes.length - start) {
    throw truncated(`payload and crc of ${name}`, length + 4, bytes.length - start);
  }
  const stored = view.getUint32(start + length, true);
  checkCrc(name, stored, crc32(bytes.subarray(offset + 4, start + length)));
  const payload = bytes.subarray(start, start + length);
  return { type, payload, offset, end: start + length + 4, name };
}

function readHeader(chunk, limits) {
  if (chunk.type !== "HEAD") {
    throw new AecError("HeaderError", `the first chunk is not HEAD but ${chunk.type}`);
  }
  const view = new DataView(chunk.payload.buffer, chunk.payload.byteOffset, 16);
  const [width, height] = [view.getUint32(0, true), view.getUint32(4, true)];
  const [format, exponent] = [view.getUint8(8), view.getUint8(9)];
  const field = view.getUint16(10, true);
  const quality = field % MAP_FLAG;
  if (format > 7) {
    throw new AecError("UnsupportedError", `pixel format ${format} is unknown`);
  }
  checkRange("width", width, 1, SIDE_MAX);
  checkRange("height", height, 1, SIDE_MAX);
  checkRange("tile exponent", exponent, 6, 14);
  checkRange("quality index", quality, 0, 400);
  if (width * height > limits.pixels) {
    const picture = `${width} x ${height} = ${width * height} pixels`;
    throw new AecError("LimitError", `${picture}, the limit is ${limits.pixels}`);
  }
  const columns = Math.ceil(width / 2 ** exponent);
  const rows = Math.ceil(height / 2 ** exponent);
  return Object.freeze({
    width,
    height,
    gray: !(format & 1),
    bits: format & 2 ? 16 : 8,
    alpha: Boolean(format & 4),
    channels: (format & 1 ? 3 : 1) + (format & 4 ? 1 : 0),
    tileExponent: exponent,
    qualityIndex: quality,
    hasQualityMap: field >= MAP_FLAG,
    modelId: hex(chunk.payload.subarray(12, 16)),
    columns,
    rows,
    tileCount: columns * rows,
  });
}

function readWords(chunk) {
  const size = chunk.payload.length;
  if (size < 4 || size % 4) {
    const message = `${chunk.name} has ${size} bytes, not a multiple of 4 and at least 4`;
    throw new AecError("HeaderError", message);
  }
  return { checksum: readU32(chunk.payload), words: chunk.payload.subarray(4) };
}

function readLossless(chunk) {
  const { payload, name } = chunk;
  if (payload.length < 5) {
    throw new AecError("HeaderError", `${name} has ${payload.length} bytes, at least 5 are needed`);
  }
  if (payload[4] > FLAT) {
    throw new AecError("UnsupportedError", `coder ${payload[4]} of ${name} is unknown`);
  }
  return { checksum: readU32(payload), coder: payload[4], data: payload.subarray(5) };
}

function readU32(payload) {
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0, true);
}

function checkMetadata(count, size, limits) {
  if (count > limits.metadataChunks) {
    const message = `${count} optional chunks, the limit is ${limits.metadataChunks}`;
    throw new AecError("LimitError", message);
  }
  if (size > limits.metadataBytes) {
    const message = `${size} bytes of metadata, the limit is ${limits.metadataBytes}`;
    throw new AecError("LimitError", message);
  }
}

/** Checks, chunk by chunk, that each one behind HEAD may stand where it does. */
class ChunkOrder {
  constructor(header) {
    this.header = header;
    this.tiles = this.learned = this.residuals = 0;
    this.hasLayer = this.isWaiting = false;
  }

  check({ type, offset }) {
    const name = `${type} chunk at byte ${offset}`;
    if (type[0] < "a" && !CRITICAL.includes(type)) {
      throw new AecError("UnsupportedError", `critical ${name} is unknown`);
    }
    if (this.isWaiting && type !== "TILE" && type !== "PIXL") {
      this.refuse(`${name} follows an ALPH, which a TILE or PIXL must follow`);
    }
    if (["TILE", "PIXL", "ALPH"].includes(type)) {
      this.checkTile(type, name);
    } else if (type === "RESI" || type === "DONE") {
      this.checkEnd(type, name);
    } else if (type === "LAYR") {
      this.checkLayer(offset, name);
    } else if (type === "HEAD") {
      this.refuse(`a second ${name}`);
    } else if (this.tiles) {
      this.refuse(`optional ${name} follows a tile`);
    }
  }

  refuse(message) {
    throw new AecError("HeaderError", message);
  }

  checkTile(type, name) {
    const { tileCount, alpha } = this.header;
    if (this.tiles === tileCount || this.residuals) {
      this.refuse(`${name} begins one more tile than the ${tileCount} of the header`);
    }
    if (type === "ALPH" && !alpha) {
      this.refuse(`${name} in a picture without alpha`);
    }
    if (type !== "ALPH" && alpha && !this.isWaiting) {
      this.refuse(`${name} without an ALPH before it`);
    }
    this.isWaiting = type === "ALPH";
    this.tiles += type !== "ALPH";
    this.learned += type === "TILE";
  }

  checkEnd(type, name) {
    const { tileCount } = this.header;
    if (this.tiles !== tileCount) {
      this.refuse(`${name} follows ${this.tiles} tiles, the header asks ${tileCount}`);
    }
    if (type === "RESI" && !this.hasLayer) {
      this.refuse(`${name} in a file without LAYR`);
    }
    this.residuals += type === "RESI";
    const missing = this.hasLayer ? this.learned - this.residuals : 0;
    if (missing < 0 || (type === "DONE" && missing)) {
      const found = `${this.residuals} residuals up to the ${name}`;
      this.refuse(`${found}, but ${this.learned} learned tiles`);
    }
  }

  checkLayer(offset, name) {
    if (offset !== HEADER_BYTES) {
      this.refuse(`${name} does not follow HEAD`);
    }
    if (this.header.bits === 16) {
      this.refuse(`${name} in a 16-bit picture`);
    }
    this.hasLayer = true;
  }
}
