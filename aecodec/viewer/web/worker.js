/** The decoder in a worker, so that pages stay responsive; client.js talks to it. */

import { Decoder } from "./decoder/decoder.js";
import { AecError } from "./decoder/errors.js";
import { turned, upright } from "./decoder/metadata.js";
import { encodePng } from "./png.js";
import { fetchedSources, givenSources } from "./sources.js";

/** A promise of the decoder, which rejects where its files are not there. */
let started = null;

const TASKS = {
  /** Where files are: {base} on a server, or {files} in the page. */
  async start({ base, files, limits }) {
    const sources = async () => (files ? givenSources(files) : fetchedSources(base));
    started = sources().then((found) => new Decoder(found, limits));
    await started;
  },

  inspect: async ({ bytes }) => (await started).inspect(bytes),

  /** Samples as they are stored. */
  async decode({ bytes, options }, progress) {
    return (await started).decode(bytes, { ...options, progress });
  },

  /**
   * A PNG, turned as the file says: to be shown with the colour profile alone, or to be saved
   * (`small`) with all metadata.
   */
  async picture({ bytes, options, small }, progress) {
    const decoder = await started;
    const info = decoder.inspect(bytes);
    await decoder.prepare(bytes);
    const start = performance.now();
    const picture = await decoder.decode(bytes, { ...options, progress });
    const milliseconds = performance.now() - start;
    const { icc } = info.metadata;
    const upper = turned(picture, info.orientation);
    const png = await encodePng(upper, small ? upright(info.metadata) : { icc }, small);
    return { png, info, width: upper.width, height: upper.height, milliseconds };
  },
};

/** Tasks run one after the other, in the order in which they come. */
let last = Promise.resolve();

self.addEventListener("message", ({ data }) => {
  last = last.then(() => run(data));
});

async function run({ id, task, values }) {
  const progress = (done, total) => self.postMessage({ id, progress: [done, total] });
  try {
    const result = await TASKS[task](values, progress);
    const moved = result?.samples ? [result.samples.buffer] : [];
    self.postMessage({ id, result }, moved);
  } catch (error) {
    const isKnown = error instanceof AecError || !(error instanceof RangeError);
    self.postMessage({
      id, error: { name: isKnown ? error.name : "LimitError", message: error.message },
    });
  }
}
