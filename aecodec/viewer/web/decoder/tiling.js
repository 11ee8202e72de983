/**
 * Tiles and the windows around them; SPECIFICATION.md, section 7.
 *
 * A box is {top, left, bottom, right} in positions of the grid of latents, ends excluded.
 */

export const STRIDE = 16;

/** The box of all positions of a picture. */
export function gridOf({ width, height }) {
  return { top: 0, left: 0, bottom: Math.ceil(height / STRIDE), right: Math.ceil(width / STRIDE) };
}

/** The positions of the tile of a number. */
export function tileBox(header, number) {
  const step = 2 ** header.tileExponent / STRIDE;
  const row = Math.floor(number / header.columns);
  const column = number % header.columns;
  const whole = {
    top: row * step,
    left: column * step,
    bottom: (row + 1) * step,
    right: (column + 1) * step,
  };
  return overlap(whole, gridOf(header));
}

/** Rows and columns of pixels of a box within a picture. */
export function sidesOf({ width, height }, box) {
  return [
    Math.min(box.bottom * STRIDE, height) - box.top * STRIDE,
    Math.min(box.right * STRIDE, width) - box.left * STRIDE,
  ];
}

/** What two boxes share; null when that is nothing. */
export function overlap(one, other) {
  const shared = {
    top: Math.max(one.top, other.top),
    left: Math.max(one.left, other.left),
    bottom: Math.min(one.bottom, other.bottom),
    right: Math.min(one.right, other.right),
  };
  return shared.top < shared.bottom && shared.left < shared.right ? shared : null;
}

/** A box, grown by `halo` positions on each side within the grid. */
export function withHalo(box, halo, grid) {
  const grown = {
    top: box.top - halo,
    left: box.left - halo,
    bottom: box.bottom + halo,
    right: box.right + halo,
  };
  return overlap(grown, grid);
}

/**
 * The window of a learned tile, which ends where a lossless tile begins; section 7.3.
 *
 * @param {object} header of the file
 * @param {number} number of the tile
 * @param {number} halo of the model
 * @param {(number) => boolean} isLossless whether the tile of a number is
 */
export function windowOf(header, number, halo, isLossless) {
  const { columns, rows } = header;
  const box = tileBox(header, number);
  const window = withHalo(box, halo, gridOf(header));
  const column = number % columns;
  const row = Math.floor(number / columns);
  if (row > 0 && isLossless(number - columns)) {
    window.top = box.top;
  }
  if (column > 0 && isLossless(number - 1)) {
    window.left = box.left;
  }
  if (row + 1 < rows && isLossless(number + columns)) {
    window.bottom = box.bottom;
  }
  if (column + 1 < columns && isLossless(number + 1)) {
    window.right = box.right;
  }
  return window;
}

/** Numbers of the tiles that a box touches, in rising order. */
export function tilesOf(header, box) {
  const step = 2 ** header.tileExponent / STRIDE;
  const found = [];
  for (let row = Math.floor(box.top / step); row * step < box.bottom; row++) {
    for (let column = Math.floor(box.left / step); column * step < box.right; column++) {
      found.push(row * header.columns + column);
    }
  }
  return found;
}

/** Parts of a box of at most `side` positions a side, so that memory stays bounded. */
export function* partsOf(box, side) {
  for (let top = box.top; top < box.bottom; top += side) {
    for (let left = box.left; left < box.right; left += side) {
      yield overlap(box, { top, left, bottom: top + side, right: left + side });
    }
  }
}
