/** Bits from the least significant on, and prefix codes, as DEFLATE and VP8L have them. */

import { checkPayload } from "./errors.js";

const ROOT_BITS = 9;
const LENGTH_MAX = 15;

/** Reads bits; throws a PayloadError where the bytes have ended. */
export class BitReader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.buffer = 0;
    this.count = 0;
    this.missing = 0;
  }

  /** Makes up to 24 bits stand in `buffer`; zeros where the bytes have ended. */
  need(count) {
    while (this.count < count) {
      if (this.at < this.bytes.length) {
        this.buffer |= this.bytes[this.at++] << this.count;
      } else {
        checkPayload(++this.missing <= 4, "the data of a tile end too early");
      }
      this.count += 8;
    }
  }

  /** The next bits, at most 24. */
  read(count) {
    this.need(count);
    const value = this.buffer & ((1 << count) - 1);
    this.skip(count);
    return value;
  }

  skip(count) {
    this.buffer >>>= count;
    this.count -= count;
  }

  /** Checks that no bit was read behind the bytes. */
  checkEnd() {
    checkPayload(this.missing * 8 <= this.count, "the data of a tile end too early");
  }

  /** Leaves the rest of a byte out and returns the offset of the next one. */
  align() {
    this.checkEnd();
    this.at -= (this.count >>> 3) - this.missing;
    this.buffer = this.count = this.missing = 0;
    return this.at;
  }
}

/** A canonical prefix code, made of the lengths of its words. */
export class PrefixCode {
  /**
   * @param {Uint8Array} lengths of each symbol, 0 to 15; 0 for those without a word
   * @param {boolean} incomplete whether a single word of one bit, or none, is a code, too
   */
  constructor(lengths, incomplete = false) {
    const counts = new Uint16Array(LENGTH_MAX + 1);
    lengths.forEach((length) => counts[length]++);
    const used = lengths.length - counts[0];
    let left = 1;
    for (let length = 1; length <= LENGTH_MAX; length++) {
      left = 2 * left - counts[length];
      checkPayload(left >= 0, "a prefix code of a tile has too many words");
    }
    const few = incomplete && (used === 0 || (used === 1 && counts[1] === 1));
    checkPayload(left === 0 || few, "a prefix code of a tile has too few words");
    counts[0] = 0;
    this.counts = counts;
    this.symbols = sorted(lengths, counts, used);
    this.table = this.shortWords();
  }

  /** Symbol * 16 + length at each ending of ROOT_BITS bits; 0 where words are longer. */
  shortWords() {
    const table = new Int32Array(1 << ROOT_BITS);
    let code = 0;
    let place = 0;
    for (let length = 1; length <= ROOT_BITS; length++, code <<= 1) {
      for (let n = 0; n < this.counts[length]; n++, code++, place++) {
        let turned = 0;
        for (let bit = 0; bit < length; bit++) {
          turned |= ((code >>> bit) & 1) << (length - 1 - bit);
        }
        for (let at = turned; at < table.length; at += 1 << length) {
          table[at] = this.symbols[place] * 16 + length;
        }
      }
    }
    return table;
  }

  /** The next symbol. */
  read(reader) {
    reader.need(LENGTH_MAX);
    const entry = this.table[reader.buffer & ((1 << ROOT_BITS) - 1)];
    if (entry) {
      reader.skip(entry & 15);
      return entry >>> 4;
    }
    return this.readLong(reader);
  }

  readLong(reader) {
    let code = 0;
    let first = 0;
    let place = 0;
    for (let length = 1; length <= LENGTH_MAX; length++) {
      code |= (reader.buffer >>> (length - 1)) & 1;
      const count = this.counts[length];
      if (code - first < count) {
        reader.skip(length);
        return this.symbols[place + code - first];
      }
      place += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return checkPayload(false, "a word of a tile is in no prefix code");
  }
}

/** The symbols that have words, in the order of these. */
function sorted(lengths, counts, used) {
  const places = new Uint16Array(LENGTH_MAX + 2);
  for (let length = 1; length <= LENGTH_MAX; length++) {
    places[length + 1] = places[length] + counts[length];
  }
  const symbols = new Uint16Array(used);
  lengths.forEach((length, symbol) => {
    if (length) {
      symbols[places[length]++] = symbol;
    }
  });
  return symbols;
}
