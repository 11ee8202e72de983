/** The decoder in a worker, so that pages stay responsive; client.js talks to it. */

import { Decoder } from "./decoder/decoder.js";
import { AecError } from "./decoder/errors.js";
import { turned, upright } from "./decoder/metadata.js";
import { encodePng } from "./png.js";
import { fetchedSources, givenSources } from "./sources.js";

let decoder = null;

const TASKS = {
  /** Where files are: {base} on a server, or {files} in the page. */
  async start({ base, files, limits }) {
    decoder = new Decoder(files ? givenSources(files) : await fetchedSources(base), limits);
  },

  inspect: async ({ bytes }) => decoder.inspect(bytes),

  /** Samples as they are stored. */
  decode: ({ bytes, options }, progress) => decoder.decode(bytes, { ...options, progress }),

  /**
   * A PNG, turned as the file says: to be shown with the colour profile alone, or to be saved
   * (`small`) with all metadata.
   */
  async picture({ bytes, options, small }, progress) {
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
    const name = error instanceof AecError ? error.name : "LimitError";
    self.postMessage({ id, error: { name, message: error.message } });
  }
}
