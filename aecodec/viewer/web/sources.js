/** Where the decoder finds its kernel, weights and tables. */

import { AecError } from "./decoder/errors.js";
import { inflate } from "./decoder/inflate.js";

/** Names the files beside a page, and which ids they have. */
const INDEX = "resources.json";

/**
 * Files that a server has; they are fetched when they are needed.
 *
 * @param {string} base URL of the folder where the index is
 */
export async function fetchedSources(base) {
  const index = readIndex(await fetched(new URL(INDEX, base)));
  const source = (name) => () => fetched(new URL(name, base));
  const each = (names) =>
    Object.fromEntries(Object.entries(names).map(([id, name]) => [id, source(name)]));
  return { kernel: source(index.kernel), models: each(index.models), tables: each(index.tables) };
}

function readIndex(bytes) {
  try {
    const { kernel, models, tables } = JSON.parse(new TextDecoder().decode(bytes));
    if (kernel && models && tables) {
      return { kernel, models, tables };
    }
  } catch (error) {
    throw new AecError("WeightsError", `${INDEX} is damaged: ${error.message}`);
  }
  throw new AecError("WeightsError", `${INDEX} is damaged`);
}

async function fetched(url) {
  let reason;
  try {
    const response = await fetch(url);
    if (response.ok) {
      return new Uint8Array(await response.arrayBuffer());
    }
    reason = `the server says ${response.status}`;
  } catch (error) {
    reason = error.message;
  }
  throw new AecError("WeightsError", `cannot load ${url.pathname}: ${reason}`);
}

/**
 * Files that stand in a page, as zlib streams in base64.
 *
 * @param {{kernel: object, models: Object<string, object>, tables: Object<string, object>}} files
 *   each file as {size, data}
 */
export function givenSources({ kernel, models, tables }) {
  const source = (file) => async () => inflate(fromBase64(file.data), file.size);
  const each = (files) =>
    Object.fromEntries(Object.entries(files).map(([id, file]) => [id, source(file)]));
  return { kernel: source(kernel), models: each(models), tables: each(tables) };
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
