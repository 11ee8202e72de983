/** The decoder of .aec files: needs the bytes of a file, and where models and tables are. */

import { DEFAULT_LIMITS, parse } from "./container.js";
import { AecError } from "./errors.js";
import { Kernel, LearnedModel } from "./kernel.js";
import { metadataOf, orientationOf } from "./metadata.js";
import { PictureDecoder, viewOf } from "./picture.js";
import { qualityRange } from "./quality_map.js";
import { readTables } from "./residual_tables.js";
import { modelId, readTensors } from "./tensors.js";

/** Memory of a kernel, in bytes, that is worth keeping for the next picture. */
const KEPT_MEMORY = 2 ** 28;

/**
 * Decodes files, one after the other. What a file needs is loaded when it first does, and kept.
 */
export class Decoder {
  /**
   * @param {{kernel: () => Promise<Uint8Array>, models: Object<string, () => Promise<Uint8Array>>,
   *   tables: Object<string, () => Promise<Uint8Array>>}} sources kernel.wasm, weights files by
   *   model id, and files of residual tables by tables id; ids are hexadecimal
   * @param {object} limits what a file may ask for, as DEFAULT_LIMITS; others stay as there
   */
  constructor(sources, limits = {}) {
    this.sources = sources;
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.models = new Map();
    this.tables = new Map();
  }

  /**
   * What a file says without decoding it.
   *
   * @param {Uint8Array} bytes the file
   * @returns {{header: object, metadata: object, orientation: number, tiles: object,
   *   qualities: ?number[]}} `qualities` are the lowest and the highest of a quality map; throws an
   *   AecError if the file is damaged
   */
  inspect(bytes) {
    const stream = parse(bytes, this.limits);
    const metadata = metadataOf(stream.optional);
    const lossless = stream.tiles.filter((tile) => "coder" in tile).length;
    const tiles = { learned: stream.tiles.length - lossless, lossless };
    const { header, layer } = stream;
    const qualities = qualityRange(stream);
    return { header, layer, metadata, orientation: orientationOf(metadata), tiles, qualities };
  }

  /**
   * Decodes a file, or a part of it.
   *
   * @param {Uint8Array} bytes the file
   * @param {{region: ?object, scale: number, eightBit: boolean,
   *   progress: (done: number, total: number) => ?Promise}} options as of viewOf, and what is
   *   called after each tile
   * @returns {Promise<{width: number, height: number, channels: number, bits: number,
   *   samples: Uint8Array|Uint16Array}>} samples in the order row, column, channel, alpha last, as
   *   they are stored: not turned, not multiplied by alpha
   */
  async decode(bytes, options = {}) {
    const stream = parse(bytes, this.limits);
    const view = viewOf(stream.header, options);
    const resources = await this.resources(stream, view);
    try {
      const picture = new PictureDecoder(stream, view, resources);
      return await picture.decode(this.limits.memoryBytes, options.progress);
    } finally {
      const kernel = resources.model?.kernel;
      if (kernel?.hasFailed || kernel?.size > KEPT_MEMORY) {
        this.models.delete(stream.header.modelId);
      }
    }
  }

  /** Loads what decoding a file needs, so that it is there when `decode` is called. */
  async prepare(bytes) {
    const stream = parse(bytes, this.limits);
    await this.resources(stream, viewOf(stream.header));
  }

  async resources(stream, view) {
    const numbers = PictureDecoder.tiles(stream, view);
    if (numbers.every((number) => "coder" in stream.tiles[number])) {
      return { model: null, tables: null };
    }
    const { header, layer } = stream;
    const model = await this.loaded(this.models, header.modelId, (id) => this.loadModel(id));
    const tables =
      layer && (await this.loaded(this.tables, layer.tablesId, (id) => this.loadTables(id)));
    return { model, tables };
  }

  /** What `load` gives for an id, kept unless it fails. */
  async loaded(kept, id, load) {
    if (!kept.has(id)) {
      kept.set(id, load(id));
    }
    try {
      return await kept.get(id);
    } catch (error) {
      kept.delete(id);
      throw error;
    }
  }

  async loadModel(id) {
    const source = this.sources.models[id];
    if (!Object.hasOwn(this.sources.models, id)) {
      throw new AecError("UnsupportedError", `the file needs model ${id}, which is not there`);
    }
    const [bytes, kernel] = await Promise.all([source(), this.sources.kernel()]);
    const weights = readTensors(bytes);
    const found = modelId(weights.tensors);
    if (found !== id) {
      throw new AecError("WeightsError", `the weights are damaged: model ${found}, not ${id}`);
    }
    return new LearnedModel(await Kernel.load(kernel), weights);
  }

  async loadTables(id) {
    if (!Object.hasOwn(this.sources.tables, id)) {
      throw new AecError("UnsupportedError", `residual tables ${id} are not there`);
    }
    const tables = readTables(await this.sources.tables[id]());
    if (tables.id !== id) {
      const reason = `${tables.id}, not ${id}`;
      throw new AecError("WeightsError", `the residual tables are damaged: ${reason}`);
    }
    return tables;
  }
}
