/** The kernel in WebAssembly, which turns learned tiles into samples; its header says how. */

import { Sha256, checkSamples, hex } from "./digests.js";
import { AecError, allocate } from "./errors.js";
import { KERNEL_SHA256 } from "./kernel_digest.js";
import { STRIDE } from "./tiling.js";
import { decoderNames } from "./tensors.js";

const ABI = 3;
const FORMAT = "aecodec-weights-1";
const SIDE_MAX = 4096;
const SIZES = [
  "channels", "latent_channels", "hyper_channels", "context_channels", "synthesis_blocks",
  "synthesis_coarse_blocks",
];
/** Sizes that older weights do not state. */
const DEFAULTS = { synthesis_coarse_blocks: 1 };
const FAULTS = {
  3: ["PayloadError", "the words of a tile do not fit it"],
  4: ["LimitError", "no memory is left for a tile"],
};

/** An instance of the kernel with its memory. */
export class Kernel {
  /**
   * Compiles the kernel.
   *
   * @param {Uint8Array} bytes kernel.wasm
   * @returns {Promise<Kernel>}
   */
  static async load(bytes) {
    const digest = hex(new Sha256().update(bytes).digest());
    if (digest !== KERNEL_SHA256) {
      throw new AecError("WeightsError", "kernel.wasm is damaged or belongs to another version");
    }
    try {
      const module = await WebAssembly.compile(bytes);
      return new Kernel((await WebAssembly.instantiate(module, {})).exports);
    } catch (error) {
      const reason = `this browser does not run WebAssembly with SIMD: ${error.message}`;
      throw new AecError("UnsupportedError", reason);
    }
  }

  constructor(exports) {
    this.exports = exports;
    this.hasFailed = false;
    exports._initialize?.();
    if (exports.aec_abi() !== ABI) {
      throw new AecError("WeightsError", "kernel.wasm has another interface");
    }
  }

  /** Bytes that the kernel has taken so far. */
  get size() {
    return this.exports.memory.buffer.byteLength;
  }

  /** Calls a function; a trap becomes an error, after which the kernel must not be used. */
  call(name, ...values) {
    try {
      return this.exports[name](...values);
    } catch (error) {
      this.hasFailed = true;
      throw new AecError("LimitError", `the kernel has failed: ${error.message}`);
    }
  }

  /** Runs `use` with places for so many bytes each, which are given back afterwards. */
  withMemory(sizes, use) {
    const places = [];
    try {
      for (const size of sizes) {
        const place = this.call("aec_allocate", Math.max(size, 1)) >>> 0;
        if (!place) {
          throw new AecError("LimitError", `no memory is left for ${size} bytes`);
        }
        places.push(place);
      }
      return use(...places);
    } finally {
      if (!this.hasFailed) {
        places.reverse().forEach((place) => this.exports.aec_release(place));
      }
    }
  }

  write(place, array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.exports.memory.buffer, place, bytes.length).set(bytes);
  }

  /** Writes an array, and gives its place; 0 where there is none. */
  given(place, array) {
    if (!array) {
      return 0;
    }
    this.write(place, array);
    return place;
  }

  /** A copy of an array in memory. */
  read(Kind, place, length) {
    const copy = allocate(Kind, length);
    copy.set(new Kind(this.exports.memory.buffer, place, length));
    return copy;
  }

  text(place) {
    const bytes = new Uint8Array(this.exports.memory.buffer, place >>> 0);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}

/** A model of a weights file, ready to decode. */
export class LearnedModel {
  /**
   * @param {Kernel} kernel
   * @param {{metadata: object, tensors: Map}} weights as readTensors gives them
   */
  constructor(kernel, weights) {
    this.kernel = kernel;
    const sizes = sizesOf(weights.metadata);
    const [channels, latentChannels, , contextChannels, blocks, coarseBlocks] = sizes;
    Object.assign(this, { channels, latentChannels, contextChannels, blocks });
    this.halo = Math.ceil((16 * coarseBlocks + 8 * blocks) / STRIDE);
    this.model = kernel.call("aec_create", -1, ...sizes) >>> 0;
    if (!this.model) {
      throw new AecError("WeightsError", "the kernel takes no weights of these sizes");
    }
    this.prepare(weights.tensors);
  }

  prepare(tensors) {
    const { kernel } = this;
    const names = decoderNames(tensors);
    const parts = names.map((name) => tensors.get(name));
    kernel.withMemory(parts.map(({ bytes }) => bytes.length), (...places) => {
      names.forEach((name, number) => this.handOver(name, parts[number], places[number]));
      this.check(kernel.call("aec_ready", this.model));
    });
  }

  handOver(name, { bits, shape, bytes }, place) {
    const { kernel } = this;
    const letters = new TextEncoder().encode(`${name}\0`);
    kernel.withMemory([letters.length, 4 * shape.length], (atName, atShape) => {
      kernel.write(place, bytes);
      kernel.write(atName, letters);
      kernel.write(atShape, Uint32Array.from(shape));
      const { model } = this;
      this.check(kernel.call("aec_tensor", model, atName, place, bits, shape.length, atShape));
    });
  }

  check(code) {
    if (code === 4) {
      throw new AecError("LimitError", "no memory is left for the weights");
    }
    if (code) {
      const reason = this.kernel.text(this.kernel.call("aec_message", this.model));
      throw new AecError("WeightsError", `the weights cannot be used: ${reason || code}`);
    }
  }

  /**
   * The latents of a tile.
   *
   * @param {{checksum: number, words: Uint8Array}} tile without a quality map
   * @param {number} quality index of the picture
   * @param {?Int16Array} qualities those of the positions, (rows, columns), if they differ
   * @returns {Int16Array} (rows, columns, latent channels) in 1/16 step
   */
  latents(tile, rows, columns, quality, qualities = null) {
    const { kernel } = this;
    const length = rows * columns * this.latentChannels;
    const sizes = [tile.words.length, 2 * length, qualities?.byteLength ?? 0];
    return kernel.withMemory(sizes, (words, latents, map) => {
      kernel.write(words, tile.words);
      const count = tile.words.length / 4;
      fail(
        kernel.call(
          "aec_decode_latents", this.model, words, count, rows, columns, quality,
          kernel.given(map, qualities), 1, latents,
        ),
      );
      const found = kernel.read(Int16Array, latents, length);
      checkSamples("decoded latents", tile.checksum, found);
      return found;
    });
  }

  /**
   * The samples of a window.
   *
   * @param {Int16Array} latents (rows, columns, latent channels)
   * @param {number} quality as in `latents`
   * @param {?Int16Array} qualities as in `latents`
   * @param {{scale: number, inside: number[], gray: boolean, bits: number}} how `inside` are
   *   rows and columns of pixels up to the end of the picture
   * @returns {Uint8Array|Uint16Array} (16 rows / scale, 16 columns / scale, 1 or 3)
   */
  samples(latents, rows, columns, quality, qualities, { scale, inside, gray, bits }) {
    const { kernel } = this;
    const length = ((rows * columns * STRIDE * STRIDE) / scale ** 2) * (gray ? 1 : 3);
    const Kind = bits === 16 ? Uint16Array : Uint8Array;
    const size = length * Kind.BYTES_PER_ELEMENT;
    const sizes = [latents.byteLength, size, qualities?.byteLength ?? 0];
    return kernel.withMemory(sizes, (source, target, map) => {
      kernel.write(source, latents);
      fail(
        kernel.call(
          "aec_synthesize", this.model, source, rows, columns, quality,
          kernel.given(map, qualities), scale, ...inside, Number(bits === 16), Number(gray), 1,
          target,
        ),
      );
      return kernel.read(Kind, target, length);
    });
  }
}

function fail(code) {
  if (code) {
    throw new AecError(...(FAULTS[code] ?? ["InputError", `the kernel refuses: ${code}`]));
  }
}

function sizesOf(metadata) {
  if (metadata.format !== FORMAT) {
    throw new AecError("WeightsError", "these are no weights of aecodec");
  }
  let config;
  try {
    config = { ...DEFAULTS, ...JSON.parse(metadata.config) };
  } catch (error) {
    throw new AecError("WeightsError", `the weights state no sizes: ${error.message}`);
  }
  return SIZES.map((name) => {
    const size = config[name];
    if (!(Number.isInteger(size) && size >= 1 && size <= SIDE_MAX)) {
      throw new AecError("WeightsError", `the weights state no proper ${name}`);
    }
    return size;
  });
}
