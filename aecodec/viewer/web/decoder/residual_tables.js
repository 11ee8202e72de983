/** Stored tables of residual layers; SPECIFICATION.md, section 16. */

import { Sha256, hex } from "./digests.js";
import { AecError } from "./errors.js";
import { planesOf } from "./residual_planes.js";
import { SymbolTable } from "./symbols.js";
import { integers, readTensors } from "./tensors.js";

export const LEVELS = 48;
export const FRACTIONS = 4;
const NAMES = ["thresholds", "sizes", "counts", "lengths", "weights"];
const TOTAL = 2 ** 24;

/**
 * Reads a file of tables.
 *
 * @param {Uint8Array} bytes the file
 * @returns {{id: string, thresholds: Int32Array, symbols: SymbolTable[], priors: object[]}} the
 *   lists V, A, W, F and G of each plane are `priors[plane.index]`
 */
export function readTables(bytes) {
  const { tensors } = readTensors(bytes);
  const digest = new Sha256();
  const lists = NAMES.map((name) => {
    const tensor = tensors.get(name);
    check(tensor?.bits === 32 && tensor.shape.length === 1, `there is no list ${name}`);
    digest.update(tensor.bytes);
    return integers(tensor);
  });
  const [thresholds, sizes, counts, lengths, weights] = lists;
  check(thresholds.length === LEVELS - 1 && sizes.length === FRACTIONS * LEVELS, "other sizes");
  check(thresholds.every((value, at) => !at || value > thresholds[at - 1]), "falling thresholds");
  check(sizes.every((size) => size >= 2) && sum(sizes) === counts.length, "the counts do not fit");
  check(lengths.length === 140 && lengths.every((length) => length >= 1), "other lists");
  check(sum(lengths) === weights.length, "the weights do not fit");
  const symbols = split(counts, sizes).map(tableOf);
  const parts = split(weights, lengths);
  const priors = [...planesOf(1), ...planesOf(3)].map((plane) => priorOf(plane, parts));
  return { id: hex(digest.digest().subarray(0, 4)), thresholds, symbols, priors };
}

function priorOf(plane, parts) {
  const [v, a, w, f, g] = parts.slice(5 * plane.index, 5 * plane.index + 5);
  const [activities, features] = [activityCount(plane), featureCount(plane)];
  check(v.length === activities && a.length === activities, "the weights do not fit");
  check([w, f, g].every((list) => list.length === features), "the weights do not fit");
  return { activity: v, activityLevels: a, features: w, featureLevels: f, stepLevels: g };
}

function tableOf(counts) {
  check(counts.every((count) => count >= 1) && sum(counts) === TOTAL, "the counts do not fit");
  return new SymbolTable(-Math.floor((counts.length - 2) / 2), counts);
}

/** Features of a sample, in the order of section 13.5. */
function featureCount(plane) {
  const before = plane.before.length;
  const later = plane.others.length - before;
  const others = before * (plane.around(13).length + 5) + later * (plane.near(4).length + 5);
  const guess = plane.hasNeighbours ? 1 : 0;
  return plane.near(16).length + 8 + others + before + plane.near(4).length + guess + 1;
}

/** Activities of a sample, in the order of section 13.6. */
function activityCount(plane) {
  const before = plane.before.length;
  const later = plane.others.length - before;
  const known = plane.hasNeighbours ? 1 : 0;
  return plane.near(12).length + known + 2 * (before + 1) + 3 + 2 * before + known * later + 1;
}

function split(list, lengths) {
  let at = 0;
  return Array.from(lengths, (length) => list.subarray(at, (at += length)));
}

function sum(list) {
  return list.reduce((total, value) => total + value, 0);
}

function check(holds, reason) {
  if (!holds) {
    throw new AecError("WeightsError", `the tables of residual layers cannot be used: ${reason}`);
  }
}
