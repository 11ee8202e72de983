/** Smaller pictures; SPECIFICATION.md, section 14.1. */

import { allocate } from "./errors.js";

/**
 * The means of squares of pixels, rounded half up.
 *
 * @param {{samples, height, width, channels}} picture
 * @param {number} scale pixels along a side of a square; at the borders there may be fewer
 * @param {?Uint8Array|Uint16Array} alpha of the pixels: hidden ones count in no square that has
 *   visible ones
 * @returns {{samples, height, width, channels}}
 */
export function shrink(picture, scale, alpha = null) {
  if (scale === 1) {
    return picture;
  }
  const { samples, channels } = picture;
  const height = Math.ceil(picture.height / scale);
  const width = Math.ceil(picture.width / scale);
  const found = allocate(samples.constructor, height * width * channels);
  const sums = new Float64Array(channels);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to += channels) {
      const square = squareOf(picture, row * scale, column * scale, scale);
      const count = add(picture, square, alpha, sums) || add(picture, square, null, sums);
      for (let channel = 0; channel < channels; channel++) {
        found[to + channel] = mean(sums[channel], count, samples.BYTES_PER_ELEMENT);
      }
    }
  }
  return { samples: found, height, width, channels };
}

/**
 * A sum divided by a count, rounded half up; of 8-bit samples as the package's decoder in Python
 * rounds, which takes halves down where the count is no power of two.
 */
function mean(sum, count, width) {
  if (width === 2) {
    return Math.floor(sum / count + 0.5);
  }
  return Math.floor(((sum + (count >> 1)) * Math.floor(2 ** 24 / count)) / 2 ** 24);
}

function squareOf({ height, width }, top, left, scale) {
  return { top, left, bottom: Math.min(top + scale, height), right: Math.min(left + scale, width) };
}

/** Sums the samples of a square; how many pixels were counted. */
function add({ samples, width, channels }, { top, left, bottom, right }, alpha, sums) {
  let count = 0;
  sums.fill(0);
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const place = row * width + column;
      if (!alpha || alpha[place]) {
        count++;
        for (let channel = 0; channel < channels; channel++) {
          sums[channel] += samples[place * channels + channel];
        }
      }
    }
  }
  return count;
}
