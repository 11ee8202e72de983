/** From tiles to the samples of a picture or of a part of it; SPECIFICATION.md, sections 7, 14. */

import { AecError, allocate } from "./errors.js";
import { decodeLossless } from "./lossless.js";
import { splitMap } from "./quality_map.js";
import { decodeResidual } from "./residual.js";
import { NUMBERS_KEPT } from "./residual_context.js";
import { shrink } from "./shrinking.js";
import {
  STRIDE, gridOf, overlap, partsOf, sidesOf, tileBox, tilesOf, windowOf, withHalo,
} from "./tiling.js";

const SCALES = [1, 2, 4, 8];
/** Positions a side of the parts in which large tiles are synthesized. */
const PART = 64;

/**
 * What of a picture is wanted.
 *
 * @param {object} header of the file
 * @param {{region: ?{left, top, width, height}, scale: number, eightBit: boolean}} options a region
 *   in pixels, grown to whole squares of `scale` pixels a side; each gives one pixel
 */
export function viewOf(header, { region = null, scale = 1, eightBit = false } = {}) {
  const { left, top, width, height } = region ?? { left: 0, top: 0, ...header };
  if (!SCALES.includes(scale)) {
    throw new AecError("InputError", `scale must be 1, 2, 4 or 8, not ${scale}`);
  }
  const whole = [left, top, width, height].every(Number.isInteger);
  const inside = left + width <= header.width && top + height <= header.height;
  if (!whole || left < 0 || top < 0 || width < 1 || height < 1 || !inside) {
    const picture = `${header.width} x ${header.height} pixels`;
    throw new AecError("InputError", `the region does not lie within the picture of ${picture}`);
  }
  return {
    scale,
    bits: eightBit ? 8 : header.bits,
    positions: {
      top: Math.floor(top / STRIDE),
      left: Math.floor(left / STRIDE),
      bottom: Math.ceil((top + height) / STRIDE),
      right: Math.ceil((left + width) / STRIDE),
    },
    area: {
      top: Math.floor(top / scale),
      left: Math.floor(left / scale),
      bottom: Math.ceil((top + height) / scale),
      right: Math.ceil((left + width) / scale),
    },
  };
}

/** Decodes one view of a file. */
export class PictureDecoder {
  /**
   * @param {object} stream as parse gives it
   * @param {object} view as viewOf gives it
   * @param {{model: ?object, tables: ?object}} resources what the file's learned tiles need
   */
  constructor(stream, view, { model, tables }) {
    Object.assign(this, { stream, view, model, tables, header: stream.header });
    this.kept = new Map();
    this.isLossless = (number) => "coder" in stream.tiles[number];
    /** Learned tiles before each tile: RESIs have their order. */
    this.places = new Int32Array(stream.tiles.length);
    for (let number = 1; number < this.places.length; number++) {
      this.places[number] = this.places[number - 1] + Number(!this.isLossless(number - 1));
    }
    const { top, left, bottom, right } = view.area;
    this.width = right - left;
    this.height = bottom - top;
    this.samples = null;
  }

  /** Numbers of the tiles that the view touches. */
  static tiles(stream, view) {
    return tilesOf(stream.header, view.positions);
  }

  /**
   * Decodes the view.
   *
   * @param {number} memoryBytes the limit
   * @param {(done: number, total: number) => ?Promise} progress is called after each tile
   * @returns {Promise<{width, height, channels, bits, samples}>}
   */
  async decode(memoryBytes, progress = () => null) {
    const needed = this.memoryNeeded();
    if (needed > memoryBytes) {
      const [asked, limit] = [needed, memoryBytes].map((bytes) => Math.ceil(bytes / 2 ** 20));
      const message = `decoding needs about ${asked} MiB of memory, the limit is ${limit}`;
      throw new AecError("LimitError", message);
    }
    const { channels } = this.header;
    const { bits } = this.view;
    const length = this.width * this.height * channels;
    this.samples = allocate(bits === 16 ? Uint16Array : Uint8Array, length);
    const numbers = PictureDecoder.tiles(this.stream, this.view);
    let row = 0;
    for (const [done, number] of numbers.entries()) {
      if (Math.floor(number / this.header.columns) !== row) {
        row = Math.floor(number / this.header.columns);
        this.forget(number);
      }
      this.decodeTile(number);
      await progress(done + 1, numbers.length);
    }
    return { width: this.width, height: this.height, channels, bits, samples: this.samples };
  }

  /** About how many bytes decoding takes at once, beside the file. */
  memoryNeeded() {
    const { header, model, stream } = this;
    const sample = this.view.bits / 8;
    const side = 2 ** header.tileExponent;
    const pixels = Math.min(side, header.width) * Math.min(side, header.height);
    let needed = this.width * this.height * header.channels * sample;
    needed += pixels * (header.channels + 4) * (header.bits / 8);
    if (model) {
      const positions = pixels / STRIDE ** 2;
      const row = (Math.min(3 * side, header.height) * header.width) / STRIDE ** 2;
      needed += 2 * model.latentChannels * row;
      needed += positions * (10 * model.contextChannels + 8 * model.latentChannels);
      const window = Math.min(positions, PART ** 2) * 4;
      needed += window * (16 * model.channels + 4 * model.latentChannels);
    }
    if (stream.layer) {
      needed += pixels * 4 * NUMBERS_KEPT * (header.gray ? 1 : 3);
    }
    return needed;
  }

  decodeTile(number) {
    const { header, stream } = this;
    const box = tileBox(header, number);
    let whole = null;
    if (this.isLossless(number)) {
      whole = this.lossless(stream.tiles[number], box, header.gray);
    } else if (stream.layer) {
      whole = this.refined(number, box);
    } else {
      for (const part of partsOf(overlap(box, this.view.positions), PART)) {
        this.pasteLearned(number, part);
      }
    }
    const alpha = header.alpha ? this.lossless(stream.alphas[number], box, true) : null;
    if (whole) {
      this.pasteWhole(whole, header.gray ? 1 : 3, 0, box, alpha);
    }
    if (alpha) {
      this.pasteWhole(alpha, 1, header.channels - 1, box);
    }
  }

  lossless(tile, box, gray) {
    const [height, width] = sidesOf(this.header, box);
    return decodeLossless(tile, height, width, gray, this.header.bits);
  }

  /** The samples of a learned tile with its residual. */
  refined(number, box) {
    const { header, stream } = this;
    const [height, width] = sidesOf(header, box);
    const channels = header.gray ? 1 : 3;
    const lossy = allocate(Uint8Array, height * width * channels);
    for (const part of partsOf(box, PART)) {
      const { window, samples } = this.synthesize(number, part, 1, 8);
      const [rows, columns] = sidesOf(header, part);
      const top = STRIDE * (part.top - window.top);
      const left = STRIDE * (part.left - window.left);
      const step = STRIDE * (window.right - window.left);
      for (let row = 0; row < rows; row++) {
        const from = ((top + row) * step + left) * channels;
        const to = STRIDE * (part.left - box.left) + (STRIDE * (part.top - box.top) + row) * width;
        lossy.set(samples.subarray(from, from + columns * channels), to * channels);
      }
    }
    const residual = stream.residuals[this.places[number]];
    return decodeResidual(residual, lossy, height, width, this.tables, stream.layer.bound);
  }

  /** The samples of a part of a learned tile and of what is around it. */
  synthesize(number, part, scale, bits) {
    const { header, model } = this;
    const whole = windowOf(header, number, model.halo, this.isLossless);
    const window = overlap(withHalo(part, model.halo, gridOf(header)), whole);
    const { latents, qualities } = this.gather(window);
    const [rows, columns] = [window.bottom - window.top, window.right - window.left];
    const inside = [header.height - window.top * STRIDE, header.width - window.left * STRIDE];
    const how = { scale, inside, gray: header.gray, bits };
    const { qualityIndex } = header;
    const samples = model.samples(latents, rows, columns, qualityIndex, qualities, how);
    return { window, samples };
  }

  /** The latents of a window, 0 in lossless tiles, and their qualities where there are maps. */
  gather(window) {
    const { header } = this;
    const channels = this.model.latentChannels;
    const places = (window.bottom - window.top) * (window.right - window.left);
    const latents = allocate(Int16Array, places * channels);
    const qualities = header.hasQualityMap
      ? allocate(Int16Array, places).fill(header.qualityIndex)
      : null;
    for (const number of tilesOf(header, window)) {
      const tile = this.learned(number);
      const box = tileBox(header, number);
      if (tile) {
        copyShared(tile.latents, box, latents, window, channels);
      }
      if (tile && qualities) {
        copyShared(tile.qualities, box, qualities, window, 1);
      }
    }
    return { latents, qualities };
  }

  /** Latents and qualities of a tile, decoded once; null of a lossless one. */
  learned(number) {
    if (this.isLossless(number)) {
      return null;
    }
    if (!this.kept.has(number)) {
      const { top, left, bottom, right } = tileBox(this.header, number);
      const [rows, columns] = [bottom - top, right - left];
      const { hasQualityMap, qualityIndex } = this.header;
      let { checksum, words } = this.stream.tiles[number];
      let qualities = null;
      if (hasQualityMap) {
        ({ qualities, words } = splitMap(words, rows, columns, qualityIndex));
      }
      const tile = { checksum, words };
      const latents = this.model.latents(tile, rows, columns, qualityIndex, qualities);
      this.kept.set(number, { latents, qualities });
    }
    return this.kept.get(number);
  }

  /** Drops latents that no tile from the row of tiles of `number` on looks into. */
  forget(number) {
    const { columns } = this.header;
    const above = Math.floor(number / columns) - 1;
    for (const kept of this.kept.keys()) {
      if (Math.floor(kept / columns) < above) {
        this.kept.delete(kept);
      }
    }
  }

  /** Puts samples of a whole tile into the view, from its channel `first` on. */
  pasteWhole(samples, channels, first, box, alpha = null) {
    const [height, width] = sidesOf(this.header, box);
    const small = shrink({ samples, height, width, channels }, this.view.scale, alpha);
    const place = this.scaled(box);
    this.paste(this.wanted(small.samples), channels, first, place, place);
  }

  /** Puts a part of a learned tile into the view. */
  pasteLearned(number, part) {
    const { scale, bits } = this.view;
    const { window, samples } = this.synthesize(number, part, scale, bits);
    const side = STRIDE / scale;
    const whole = { top: window.top * side, left: window.left * side, right: window.right * side };
    this.paste(samples, this.header.gray ? 1 : 3, 0, whole, this.scaled(part));
  }

  /** The pixels of a box in the smaller picture. */
  scaled(box) {
    const side = STRIDE / this.view.scale;
    const [height, width] = sidesOf(this.header, box);
    const [top, left] = [box.top * side, box.left * side];
    const bottom = top + Math.ceil(height / this.view.scale);
    return { top, left, bottom, right: left + Math.ceil(width / this.view.scale) };
  }

  /** Samples in the depth of the view. */
  wanted(samples) {
    if (this.header.bits === this.view.bits) {
      return samples;
    }
    return Uint8Array.from(samples, (value) => Math.floor((value + 128) / 257));
  }

  /** Copies the part `area` of samples that lie at `whole` into the view, where it wants them. */
  paste(samples, channels, first, whole, area) {
    const { view } = this;
    const shared = overlap(area, view.area);
    if (!shared) {
      return;
    }
    const all = this.header.channels;
    for (let row = shared.top; row < shared.bottom; row++) {
      const start = (row - whole.top) * (whole.right - whole.left) + shared.left - whole.left;
      let to = ((row - view.area.top) * this.width + shared.left - view.area.left) * all + first;
      const end = (start + shared.right - shared.left) * channels;
      if (all === channels) {
        this.samples.set(samples.subarray(start * channels, end), to);
        continue;
      }
      for (let from = start * channels; from < end; from += channels, to += all) {
        for (let channel = 0; channel < channels; channel++) {
          this.samples[to + channel] = samples[from + channel];
        }
      }
    }
  }
}

/** Copies what two boxes share from one array to the other, `channels` numbers of each position. */
function copyShared(from, box, to, window, channels) {
  const shared = overlap(box, window);
  const [broad, wide] = [box.right - box.left, window.right - window.left];
  for (let row = shared.top; row < shared.bottom; row++) {
    const start = ((row - box.top) * broad + shared.left - box.left) * channels;
    const part = from.subarray(start, start + (shared.right - shared.left) * channels);
    to.set(part, ((row - window.top) * wide + shared.left - window.left) * channels);
  }
}
