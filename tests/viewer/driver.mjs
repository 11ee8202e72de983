/** Decodes as a job on standard input says and prints what became of each task; see browsers.py. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";

const job = JSON.parse(await text(process.stdin));
const load = (path) => import(new URL(path, job.scripts));
const { Decoder } = await load("decoder/decoder.js");
const { AecError } = await load("decoder/errors.js");
const { turned, upright } = await load("decoder/metadata.js");
const { encodePng } = await load("png.js");

const source = (path) => () => readFile(path);
const each = (paths) =>
  Object.fromEntries(Object.entries(paths).map(([id, path]) => [id, source(path)]));
const sources = { kernel: source(job.kernel), models: each(job.models), tables: each(job.tables) };
const decoder = new Decoder(sources, job.limits);

function sha256(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return createHash("sha256").update(bytes).digest("hex");
}

async function run({ file, options, turn, png }) {
  const bytes = await readFile(file);
  const { metadata, orientation } = decoder.inspect(bytes);
  const decoded = await decoder.decode(bytes, options);
  const picture = turn || png ? turned(decoded, orientation) : decoded;
  const { width, height, channels, bits, samples } = picture;
  const found = { shape: [height, width, channels], bits, sha256: sha256(samples), orientation };
  found.metadata = Object.fromEntries(
    ["icc", "exif", "xmp", "iptc"].map((name) => [name, metadata[name] && sha256(metadata[name])]),
  );
  found.resolution = metadata.resolution;
  found.text = metadata.text.map(({ key, text: comment }) => [key, comment]);
  if (png) {
    const blob = await encodePng(picture, upright(metadata), png === "small");
    found.png = Buffer.from(await blob.arrayBuffer()).toString("base64");
  }
  return found;
}

const results = [];
for (const task of job.tasks) {
  try {
    results.push(await run(task));
  } catch (error) {
    if (!(error instanceof AecError)) {
      throw error;
    }
    results.push({ error: error.name, message: error.message });
  }
}
process.stdout.write(JSON.stringify(results));
