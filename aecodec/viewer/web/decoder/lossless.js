/** The samples of PIXL and ALPH chunks; SPECIFICATION.md, section 12. */

import { FLAT, PNG } from "./container.js";
import { checkSamples } from "./digests.js";
import { allocate, checkPayload } from "./errors.js";
import { inflate } from "./inflate.js";
import { decodeVp8l } from "./vp8l.js";

const SIXTEEN_BIT_STEP = 257;

/**
 * Samples of a lossless tile.
 *
 * @param {{checksum: number, coder: number, data: Uint8Array}} tile
 * @param {number} height rows of the tile
 * @param {number} width columns of the tile
 * @param {boolean} gray one sample a pixel rather than three
 * @param {number} bits of a sample, 8 or 16
 * @returns {Uint8Array|Uint16Array} in the order row, column, channel
 */
export function decodeLossless(tile, height, width, gray, bits) {
  const decode = tile.coder === FLAT ? decodeFlat : tile.coder === PNG ? decodePng : decodeWebp;
  const samples = decode(tile.data, height, width, gray, bits);
  checkSamples("decoded pixels", tile.checksum, samples);
  return samples;
}

function samplesOf(bits, length) {
  return allocate(bits === 16 ? Uint16Array : Uint8Array, length);
}

function decodeFlat(data, height, width, gray, bits) {
  const channels = gray ? 1 : 3;
  const fits = data.length === (channels * bits) / 8;
  checkPayload(fits, `the flat data of a tile have ${data.length} bytes, which is no pixel`);
  const samples = samplesOf(bits, height * width * channels);
  for (let at = 0; at < samples.length; at++) {
    const channel = at % channels;
    samples[at] = bits === 8 ? data[channel] : data[2 * channel] + 256 * data[2 * channel + 1];
  }
  return samples;
}

function decodeWebp(data, height, width, gray, bits) {
  const pixels = decodeVp8l(data, width, height);
  const step = bits === 16 ? SIXTEEN_BIT_STEP : 1;
  const samples = samplesOf(bits, pixels.length * (gray ? 1 : 3));
  for (let at = 0, to = 0; at < pixels.length; at++) {
    const pixel = pixels[at];
    if (gray) {
      samples[to++] = ((pixel >>> 8) & 255) * step;
      continue;
    }
    samples[to++] = ((pixel >>> 16) & 255) * step;
    samples[to++] = ((pixel >>> 8) & 255) * step;
    samples[to++] = (pixel & 255) * step;
  }
  return samples;
}

function decodePng(data, height, width, gray, bits) {
  if (bits === 8) {
    const channels = gray ? 1 : 3;
    return unfilter(inflate(data, height * (1 + width * channels)), width * channels, channels);
  }
  const rows = gray ? height : 3 * height;
  const bytes = unfilter(inflate(data, rows * (1 + 2 * width)), 2 * width, 2);
  const samples = samplesOf(16, rows * width);
  for (let at = 0; at < samples.length; at++) {
    samples[at] = 256 * bytes[2 * at] + bytes[2 * at + 1];
  }
  return gray ? samples : unstacked(samples);
}

/** Pixels of the planes G, R - G and B - G. */
function unstacked(planes) {
  const size = planes.length / 3;
  const samples = samplesOf(16, planes.length);
  for (let at = 0; at < size; at++) {
    const green = planes[at];
    samples[3 * at] = planes[size + at] + green;
    samples[3 * at + 1] = green;
    samples[3 * at + 2] = planes[2 * size + at] + green;
  }
  return samples;
}

/**
 * Undoes the filters of a PNG.
 *
 * @param {Uint8Array} filtered rows, each after the number of its filter
 * @param {number} size bytes of a row
 * @param {number} back bytes of a pixel
 * @returns {Uint8Array} the rows
 */
function unfilter(filtered, size, back) {
  const rows = filtered.length / (size + 1);
  const bytes = allocate(Uint8Array, rows * size);
  for (let row = 0; row < rows; row++) {
    const kind = filtered[row * (size + 1)];
    checkPayload(kind <= 4, `the PNG data of a tile have the filter ${kind}`);
    const from = row * (size + 1) + 1;
    const to = row * size;
    for (let at = 0; at < size; at++) {
      const left = at < back ? 0 : bytes[to + at - back];
      const above = row ? bytes[to + at - size] : 0;
      const corner = row && at >= back ? bytes[to + at - size - back] : 0;
      bytes[to + at] = filtered[from + at] + predicted(kind, left, above, corner);
    }
  }
  return bytes;
}

function predicted(kind, left, above, corner) {
  switch (kind) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return (left + above) >> 1;
    default:
      return paeth(left, above, corner);
  }
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const [toLeft, toAbove] = [Math.abs(guess - left), Math.abs(guess - above)];
  const toCorner = Math.abs(guess - corner);
  if (toLeft <= toAbove && toLeft <= toCorner) {
    return left;
  }
  return toAbove <= toCorner ? above : corner;
}
