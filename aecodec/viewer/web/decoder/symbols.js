/** The entropy coder of quality maps and residual layers; SPECIFICATION.md, section 8. */

import { checkPayload } from "./errors.js";

const TOTAL = 2 ** 24;
const HALF_PRODUCT = 2 ** 20;

/** A distribution of symbols: `counts` of the symbols from `minimum` on, the last of the escape. */
export class SymbolTable {
  constructor(minimum, counts) {
    this.minimum = minimum;
    this.counts = counts;
    this.escape = counts.length - 1;
    this.starts = new Uint32Array(counts.length + 1);
    for (let at = 0; at < counts.length; at++) {
      this.starts[at + 1] = this.starts[at] + counts[at];
    }
    /** The position from which to search, by the 8 highest bits of 24. */
    this.hints = new Uint16Array(256);
    for (let high = 0, at = 0; high < 256; high++) {
      while (this.starts[at + 1] <= high * 2 ** 16) {
        at++;
      }
      this.hints[high] = at;
    }
  }
}

/** Takes symbols from words, group by group. */
export class SymbolDecoder {
  /** @param {Uint8Array} words as in the file */
  constructor(words) {
    this.words = new DataView(words.buffer, words.byteOffset, words.byteLength);
    this.at = 0;
    this.high = 0;
    this.low = 0;
    checkPayload(!words.length || this.words.getUint32(0, true), "the first word of a tile is 0");
    this.refill();
    this.refill();
  }

  /**
   * Decodes one group.
   *
   * @param {Uint8Array} numbers the table of each place
   * @param {SymbolTable[]} tables
   * @returns {Int32Array} symbols
   */
  take(numbers, tables) {
    const symbols = new Int32Array(numbers.length);
    const order = byTable(numbers, tables.length);
    const escapes = [];
    for (const place of order) {
      const table = tables[numbers[place]];
      const position = this.takePosition(table);
      if (position === table.escape) {
        escapes.push(place);
      }
      symbols[place] = table.minimum + position;
    }
    for (const place of escapes.sort((a, b) => a - b)) {
      symbols[place] = this.takeUniform() - 2 ** 15;
    }
    return symbols;
  }

  /** What is not taken yet, as words that another decoder takes; section 18.4. */
  rest() {
    const state = this.high ? [this.high, this.low] : this.low ? [this.low] : [];
    const { buffer, byteOffset, byteLength } = this.words;
    const rest = new Uint8Array(4 * state.length + byteLength - this.at);
    const view = new DataView(rest.buffer);
    state.forEach((word, number) => view.setUint32(4 * number, word, true));
    rest.set(new Uint8Array(buffer, byteOffset + this.at, byteLength - this.at), 4 * state.length);
    return rest;
  }

  /** Checks that nothing is left. */
  finish() {
    const ended = this.at === this.words.byteLength && !this.high && !this.low;
    checkPayload(ended, "words of a tile are left over");
  }

  takePosition({ starts, counts, hints }) {
    const rest = this.low & (TOTAL - 1);
    let position = hints[rest >>> 16];
    while (starts[position + 1] <= rest) {
      position++;
    }
    this.advance(counts[position], rest - starts[position]);
    return position;
  }

  takeUniform() {
    const rest = this.low & (TOTAL - 1);
    this.advance(256, rest & 255);
    return rest >>> 8;
  }

  /** s = (s >> 24) * count + more, in halves that are exact in 53 bits. */
  advance(count, more) {
    const quotient = this.high * 256 + (this.low >>> 24);
    const upper = Math.floor(quotient / HALF_PRODUCT);
    const product = (quotient - upper * HALF_PRODUCT) * count + more;
    const carry = Math.floor(product / HALF_PRODUCT);
    const rest = product - carry * HALF_PRODUCT;
    const sum = upper * count + carry;
    this.high = Math.floor(sum / 4096);
    this.low = ((sum % 4096) * HALF_PRODUCT + rest) >>> 0;
    if (this.high === 0) {
      this.refill();
    }
  }

  refill() {
    if (this.at < this.words.byteLength) {
      this.high = this.low;
      this.low = this.words.getUint32(this.at, true);
      this.at += 4;
    }
  }
}

/** Places in the order in which they are coded: by table, then as they stand. */
function byTable(numbers, tables) {
  const starts = new Uint32Array(tables + 1);
  for (const number of numbers) {
    starts[number + 1]++;
  }
  for (let table = 0; table < tables; table++) {
    starts[table + 1] += starts[table];
  }
  const order = new Uint32Array(numbers.length);
  for (let place = 0; place < numbers.length; place++) {
    order[starts[numbers[place]]++] = place;
  }
  return order;
}
