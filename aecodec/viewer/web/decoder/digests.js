/** CRC-32 and SHA-256 of bytes; SPECIFICATION.md, section 1.4. */

import { AecError } from "./errors.js";

const CRC_TABLES = crcTables();

function crcTables() {
  const tables = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) {
      value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    }
    tables[byte] = value;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256];
    tables[at] = (before >>> 8) ^ tables[before & 255];
  }
  return tables;
}

/**
 * The CRC-32 of bytes.
 *
 * @param {Uint8Array} bytes
 * @returns {number} 0 to 2^32 - 1
 */
export function crc32(bytes) {
  const table = CRC_TABLES;
  let crc = -1;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      table[768 + (crc & 255)] ^
      table[512 + ((crc >>> 8) & 255)] ^
      table[256 + ((crc >>> 16) & 255)] ^
      table[crc >>> 24];
  }
  for (; at < bytes.length; at++) {
    crc = (crc >>> 8) ^ table[(crc ^ bytes[at]) & 255];
  }
  return ~crc >>> 0;
}

/** The bytes of samples, with the least significant byte first on every machine. */
export function littleEndian(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  if (samples.BYTES_PER_ELEMENT === 1 || new Uint8Array(new Uint16Array([1]).buffer)[0]) {
    return bytes;
  }
  const turned = new Uint8Array(bytes.length);
  const width = samples.BYTES_PER_ELEMENT;
  for (let at = 0; at < bytes.length; at++) {
    turned[at] = bytes[at - (at % width) + width - 1 - (at % width)];
  }
  return turned;
}

/** Throws a ChecksumError if the CRC-32 of samples is another than the stored one. */
export function checkSamples(what, stored, samples) {
  checkCrc(what, stored, crc32(littleEndian(samples)));
}

/** Throws a ChecksumError if two CRC-32 differ. */
export function checkCrc(what, stored, computed) {
  if (stored !== computed) {
    const [found, wanted] = [computed, stored].map((each) => each.toString(16).padStart(8, "0"));
    throw new AecError("ChecksumError", `checksum of ${what} is ${found}, the file says ${wanted}`);
  }
}

const SHA_CONSTANTS = fractions(64, 1 / 3);
const SHA_START = fractions(8, 1 / 2);

/** The first 32 bits of the fractions of roots of the first primes. */
function fractions(count, power) {
  const found = [];
  for (let number = 2; found.length < count; number++) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= number; divisor++) {
      prime &&= number % divisor !== 0;
    }
    if (prime) {
      const root = number ** power;
      found.push(Math.floor((root - Math.floor(root)) * 2 ** 32));
    }
  }
  return Int32Array.from(found, (each) => each | 0);
}

/**
 * SHA-256 of bytes that come in parts.
 *
 * Browsers offer their own on secure origins only, and pages on a local network are none.
 */
export class Sha256 {
  constructor() {
    this.state = Int32Array.from(SHA_START);
    this.block = new Uint8Array(64);
    this.words = new Int32Array(64);
    this.size = 0;
  }

  /** Takes more bytes. */
  update(bytes) {
    let at = 0;
    const used = this.size % 64;
    this.size += bytes.length;
    if (used) {
      at = Math.min(64 - used, bytes.length);
      this.block.set(bytes.subarray(0, at), used);
      if (used + at < 64) {
        return this;
      }
      this.compress(this.block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) {
      this.compress(bytes, at);
    }
    this.block.set(bytes.subarray(at));
    return this;
  }

  /** The 32 bytes of the digest; nothing can be added afterwards. */
  digest() {
    const size = this.size;
    const padding = new Uint8Array((size % 64 < 56 ? 64 : 128) - (size % 64));
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(size / 2 ** 29));
    view.setUint32(padding.length - 4, (size * 8) >>> 0);
    this.update(padding);
    const bytes = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, number) => bytes.setInt32(4 * number, word));
    return new Uint8Array(bytes.buffer);
  }

  compress(bytes, at) {
    const w = this.words;
    for (let i = 0; i < 16; i++, at += 4) {
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const [x, y] = [w[i - 15], w[i - 2]];
      const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + low + w[i - 7] + high) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i++) {
      const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + high + ((e & f) ^ (~e & g)) + SHA_CONSTANTS[i] + w[i]) | 0;
      const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    const s = this.state;
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
  }
}

/** Bytes as hexadecimal digits. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
