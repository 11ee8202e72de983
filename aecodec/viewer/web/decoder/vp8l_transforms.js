/** The transforms of lossless WebP bitstreams, undone; RFC 9649, section 3.5. */

import { allocate } from "./errors.js";

const OPAQUE = 0xff000000 | 0;

/** Pixels as they were before a transform. */
export function undoTransform(transform, pixels, height) {
  const undo = [undoPrediction, undoColour, undoGreen, undoPalette][transform.kind];
  return undo(pixels, transform, height);
}

function undoPrediction(pixels, { width, bits, columns, blocks }) {
  pixels[0] = plus(pixels[0], OPAQUE);
  for (let at = 1; at < pixels.length; at++) {
    const row = Math.floor(at / width);
    const column = at - row * width;
    let predicted;
    if (row === 0) {
      predicted = pixels[at - 1];
    } else if (column === 0) {
      predicted = pixels[at - width];
    } else {
      const mode = (blocks[(row >> bits) * columns + (column >> bits)] >>> 8) & 15;
      predicted = predict(mode, pixels, at, width);
    }
    pixels[at] = plus(pixels[at], predicted);
  }
  return pixels;
}

function predict(mode, pixels, at, width) {
  const left = pixels[at - 1];
  const above = pixels[at - width];
  const corner = pixels[at - width - 1];
  const right = pixels[at - width + 1];
  switch (mode) {
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return right;
    case 4:
      return corner;
    case 5:
      return mean(mean(left, right), above);
    case 6:
      return mean(left, corner);
    case 7:
      return mean(left, above);
    case 8:
      return mean(corner, above);
    case 9:
      return mean(above, right);
    case 10:
      return mean(mean(left, corner), mean(above, right));
    case 11:
      return nearer(left, above, corner);
    case 12:
      return eachByte((n) => byteOf(left, n) + byteOf(above, n) - byteOf(corner, n));
    case 13:
      return halfway(mean(left, above), corner);
    default:
      return OPAQUE;
  }
}

/** Two pixels, byte by byte, modulo 256. */
function plus(a, b) {
  const high = ((a & 0xff00ff00) + (b & 0xff00ff00)) & 0xff00ff00;
  return high | (((a & 0x00ff00ff) + (b & 0x00ff00ff)) & 0x00ff00ff);
}

function mean(a, b) {
  return ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) | 0;
}

function byteOf(pixel, number) {
  return (pixel >>> (8 * number)) & 255;
}

function eachByte(value) {
  let pixel = 0;
  for (let n = 0; n < 4; n++) {
    pixel |= Math.min(Math.max(value(n), 0), 255) << (8 * n);
  }
  return pixel;
}

function nearer(left, above, corner) {
  let toLeft = 0;
  let toAbove = 0;
  for (let n = 0; n < 4; n++) {
    toLeft += Math.abs(byteOf(above, n) - byteOf(corner, n));
    toAbove += Math.abs(byteOf(left, n) - byteOf(corner, n));
  }
  return toLeft < toAbove ? left : above;
}

function halfway(average, corner) {
  return eachByte((n) => {
    const value = byteOf(average, n);
    return value + Math.trunc((value - byteOf(corner, n)) / 2);
  });
}

function undoColour(pixels, { width, bits, columns, blocks }) {
  for (let at = 0; at < pixels.length; at++) {
    const row = Math.floor(at / width);
    const block = blocks[(row >> bits) * columns + ((at - row * width) >> bits)];
    const pixel = pixels[at];
    const green = (pixel << 16) >> 24;
    const toRed = (block << 24) >> 24;
    const red = ((pixel >>> 16) + ((toRed * green) >> 5)) & 255;
    const blue = pixel + ((((block << 16) >> 24) * green) >> 5);
    const more = (((block << 8) >> 24) * ((red << 24) >> 24)) >> 5;
    pixels[at] = (pixel & 0xff00ff00) | (red << 16) | ((blue + more) & 255);
  }
  return pixels;
}

function undoGreen(pixels) {
  for (let at = 0; at < pixels.length; at++) {
    const green = (pixels[at] >>> 8) & 255;
    pixels[at] = plus(pixels[at], (green << 16) | green);
  }
  return pixels;
}

function undoPalette(pixels, { width, palette, bits, packedWidth }, height) {
  for (let n = 1; n < palette.length; n++) {
    palette[n] = plus(palette[n], palette[n - 1]);
  }
  const colours = new Int32Array(256);
  colours.set(palette);
  const found = allocate(Int32Array, width * height);
  const [depth, mask] = [8 >> bits, 2 ** (8 >> bits) - 1];
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      const packed = pixels[row * packedWidth + (column >> bits)] >>> 8;
      const place = depth * (column & (2 ** bits - 1));
      found[at] = colours[(packed >>> place) & mask];
    }
  }
  return found;
}
