/** Residual layers: from lossy samples to final ones; SPECIFICATION.md, section 13. */

import { checkSamples } from "./digests.js";
import { checkPayload } from "./errors.js";
import { ResidualContext } from "./residual_context.js";
import { planesOf } from "./residual_planes.js";
import { FRACTIONS, LEVELS } from "./residual_tables.js";
import { SymbolDecoder, SymbolTable } from "./symbols.js";

const CLASSES_MAX = 16;
const SHIFTS = 16;
const SHIFT_LEVELS = 5;
const MAP_LEVEL = 12;
const WEIGHT_LIMIT = 2 ** 17;
const CODES = new SymbolTable(0, Int32Array.from({ length: 65 }, codeCount));

function codeCount(_, code) {
  return code < 63 ? 2 ** 18 : code === 63 ? 2 ** 18 - 1 : 1;
}

/**
 * Applies a RESI to a tile.
 *
 * @param {{checksum: number, words: Uint8Array}} residual
 * @param {Uint8Array} lossy samples in the order row, column, channel
 * @param {number} height rows
 * @param {number} width columns
 * @param {object} tables as readTables gives them
 * @param {number} bound the largest error, as LAYR says
 * @returns {Uint8Array} the final samples
 */
export function decodeResidual(residual, lossy, height, width, tables, bound) {
  const channels = lossy.length / (height * width);
  const context = new ResidualContext(lossy, height, width, channels, bound);
  const decoder = new SymbolDecoder(residual.words);
  for (const plane of planesOf(channels)) {
    const { rows, columns } = plane.extent(height, width);
    if (rows && columns) {
      const model = readModel(decoder, tables, tables.priors[plane.index]);
      const { numbers, predictions } = context.predict(plane, model, tables.thresholds);
      context.put(plane, decoder.take(numbers, tables.symbols), predictions);
    }
  }
  decoder.finish();
  const samples = context.samples();
  checkSamples("decoded pixels", residual.checksum, samples);
  return samples;
}

/** What is sent about one plane; sections 13.8 and 13.9. */
function readModel(decoder, tables, prior) {
  const weights = (levels) => decoder.take(Uint8Array.from(levels, tableNumber), tables.symbols);
  const [more, first, span] = readCodes(decoder, 3, LEVELS);
  checkPayload(more < CLASSES_MAX, "too many classes in a residual layer");
  checkPayload(first + span < LEVELS, "too many levels in a residual layer");
  const cuts = readCodes(decoder, more, LEVELS);
  const rising = cuts.every((cut, at) => !at || cut >= cuts[at - 1]);
  checkPayload(rising, "the cuts of a residual layer are not in rising order");
  const shifts = readCodes(decoder, more + 1, SHIFTS);
  const sent = weights(prior.activityLevels);
  const activity = Float64Array.from(prior.activity, (value, at) => value + sent[at]);
  const classes = [];
  let before = prior.features;
  shifts.forEach((shift, number) => {
    const levels = number ? prior.stepLevels : prior.featureLevels;
    const steps = weights(levels.map((level) => level - SHIFT_LEVELS * shift));
    const base = before;
    before = Float64Array.from(steps, (step, at) => base[at] + step * 2 ** shift);
    const small = before.every((weight) => Math.abs(weight) < WEIGHT_LIMIT);
    checkPayload(small, "a weight of a residual layer is out of range");
    classes.push(before);
  });
  const used = Array.from({ length: span + 1 }, (_, at) => first + at);
  const changes = weights(used.map(() => MAP_LEVEL));
  const map = new Int32Array(LEVELS).fill(-1);
  used.forEach((level, at) => {
    map[level] = level + changes[at];
    const known = map[level] >= 0 && map[level] < LEVELS;
    checkPayload(known, "a table of a residual layer is out of range");
  });
  return { activity, cuts, classes, map };
}

function readCodes(decoder, count, limit) {
  const codes = decoder.take(new Uint8Array(count), [CODES]);
  const known = codes.every((code) => code >= 0 && code < limit);
  checkPayload(known, "a code of a residual layer is out of range");
  return codes;
}

function tableNumber(level) {
  return FRACTIONS * Math.min(Math.max(level, 0), LEVELS - 1);
}
