/** The quality map of learned tiles; SPECIFICATION.md, section 9.6. */

import { checkPayload } from "./errors.js";
import { SymbolDecoder, SymbolTable } from "./symbols.js";
import { tileBox } from "./tiling.js";

const CELL = 4;
const STEP = 8;
const LIMIT = 50;
const QUALITY_MAX = 400;
const RADIUS = 20;
const RESIDUALS = new SymbolTable(-RADIUS, Int32Array.from({ length: 42 }, residualCount));

function residualCount(_, position) {
  const size = Math.abs(position - RADIUS);
  return size > RADIUS ? 8 : size ? 2 ** (22 - size) : 2 ** 23;
}

/**
 * Takes the map from the words of a tile.
 *
 * @param {Uint8Array} words of a tile of a file with maps
 * @param {number} rows of positions
 * @param {number} columns of positions
 * @param {number} index the quality index of the picture
 * @returns {{qualities: Int16Array, words: Uint8Array}} the quality index of each position, (rows,
 *   columns), and the words of the latents
 */
export function splitMap(words, rows, columns, index) {
  const [down, across] = [Math.ceil(rows / CELL), Math.ceil(columns / CELL)];
  const decoder = new SymbolDecoder(words);
  const cells = offsets(decoder.take(new Uint8Array(down * across), [RESIDUALS]), across);
  const qualities = new Int16Array(rows * columns);
  for (let place = 0; place < qualities.length; place++) {
    const row = Math.floor(place / columns);
    const cell = Math.floor(row / CELL) * across + Math.floor((place % columns) / CELL);
    qualities[place] = Math.min(Math.max(index + STEP * cells[cell], 0), QUALITY_MAX);
  }
  return { qualities, words: decoder.rest() };
}

/** The lowest and the highest quality of the learned tiles of a file; null if it has no maps. */
export function qualityRange({ header, tiles }) {
  const range = [Infinity, -Infinity];
  for (const [number, { words }] of header.hasQualityMap ? tiles.entries() : []) {
    if (words) {
      const { top, left, bottom, right } = tileBox(header, number);
      const { qualities } = splitMap(words, bottom - top, right - left, header.qualityIndex);
      for (const quality of qualities) {
        range[0] = Math.min(range[0], quality / 4);
        range[1] = Math.max(range[1], quality / 4);
      }
    }
  }
  return range[0] <= range[1] ? range : null;
}

/** The offsets of cells in rows of `across`, from what they lack of their prediction. */
function offsets(residuals, across) {
  const found = residuals.slice();
  for (let at = 0; at < found.length; at++) {
    found[at] += predicted(found, at, across);
    const known = found[at] >= -LIMIT && found[at] <= LIMIT;
    checkPayload(known, "an offset of a quality map is out of range");
  }
  return found;
}

/** The median edge predictor. */
function predicted(found, at, across) {
  const [isFirst, isTop] = [at % across === 0, at < across];
  if (isFirst || isTop) {
    return at === 0 ? 0 : found[isTop ? at - 1 : at - across];
  }
  const [left, up] = [found[at - 1], found[at - across]];
  const gradient = left + up - found[at - across - 1];
  return Math.min(Math.max(gradient, Math.min(left, up)), Math.max(left, up));
}
