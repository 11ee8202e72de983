/** Asks the decoder in a worker. */

import { AecError } from "./decoder/errors.js";

/** Pictures with more pixels are shown smaller: a PNG to show takes 4 bytes for each. */
const SHOWN_PIXELS_MAX = 2 ** 25;

/** The decoder, as pages use it: each method gives a promise, or rejects with an AecError. */
export class DecoderClient {
  /**
   * @param {Worker} worker that runs worker.js
   * @param {object} start what it gets first: {base} or {files}, and {limits}
   */
  constructor(worker, start) {
    this.worker = worker;
    this.waiting = new Map();
    this.next = 0;
    worker.addEventListener("message", ({ data }) => this.receive(data));
    worker.addEventListener("error", (event) => this.fail(event.message));
    this.started = this.ask("start", start);
    this.started.catch(() => {});
  }

  /** The decoder whose files a server has in one folder, on the origin of the page. */
  static served(base, limits = {}) {
    const worker = new Worker(new URL("worker.js", base), { type: "module" });
    return new DecoderClient(worker, { base: String(base), limits });
  }

  /** What a file says, see Decoder.inspect. */
  inspect(bytes) {
    return this.ask("inspect", { bytes });
  }

  /** The samples of a file or of a part of it, see Decoder.decode. */
  decode(bytes, options = {}, progress = null) {
    return this.ask("decode", { bytes, options }, progress);
  }

  /**
   * A picture to show: {png, info, width, height, milliseconds, scale}, where the PNG is upright
   * and has the colour profile.
   */
  async show(bytes, progress = null) {
    const { header } = await this.inspect(bytes);
    let scale = 1;
    while (scale < 8 && (header.width * header.height) / scale ** 2 > SHOWN_PIXELS_MAX) {
      scale *= 2;
    }
    const shown = await this.ask("picture", { bytes, options: { scale }, small: false }, progress);
    return { ...shown, scale };
  }

  /** A PNG to keep, upright and with all metadata. */
  async save(bytes, progress = null) {
    return (await this.ask("picture", { bytes, options: {}, small: true }, progress)).png;
  }

  ask(task, values, progress = null) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, { resolve, reject, progress });
      this.worker.postMessage({ id, task, values });
    });
  }

  receive({ id, result, error, progress }) {
    const { resolve, reject, progress: told } = this.waiting.get(id);
    if (progress) {
      told?.(...progress);
      return;
    }
    this.waiting.delete(id);
    if (error) {
      reject(new AecError(error.name, error.message));
    } else {
      resolve(result);
    }
  }

  fail(message) {
    const error = new AecError("UnsupportedError", `the decoder does not start: ${message}`);
    this.waiting.forEach(({ reject }) => reject(error));
    this.waiting.clear();
  }
}
