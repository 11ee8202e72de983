/** Safetensors files, the ids of models and tables; SPECIFICATION.md, sections 15 and 16. */

import { Sha256, hex, littleEndian } from "./digests.js";
import { AecError } from "./errors.js";

const KINDS = { I8: [1, 8], I16: [2, 16], I32: [4, 32], I64: [8, 64] };
const HEADER_MAX = 2 ** 24;

/**
 * Reads a safetensors file.
 *
 * @param {Uint8Array} bytes the file
 * @returns {{metadata: object, tensors: Map<string, {bits: number, shape: number[],
 *   bytes: Uint8Array}>}} the tensors of whole numbers; others are left out
 */
export function readTensors(bytes) {
  if (bytes.length < 8) {
    throw damaged("it is too short");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true));
  if (size > HEADER_MAX || size > bytes.length - 8) {
    throw damaged("its header exceeds it");
  }
  let entries;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + size));
    entries = Object.entries(JSON.parse(text));
  } catch (error) {
    throw damaged(error.message);
  }
  const body = bytes.subarray(8 + size);
  const tensors = new Map();
  let metadata = {};
  for (const [name, entry] of entries) {
    if (name === "__metadata__") {
      metadata = entry ?? {};
    } else if (entry?.dtype in KINDS) {
      tensors.set(name, tensorOf(name, entry, body));
    }
  }
  return { metadata, tensors };
}

function tensorOf(name, { dtype, shape, data_offsets: offsets }, body) {
  const [width, bits] = KINDS[dtype];
  const lists = [shape, offsets].every((each) => Array.isArray(each) && each.every(isCount));
  const [begin, end] = lists ? offsets : [];
  const elements = lists ? shape.reduce((product, side) => product * side, 1) : -1;
  if (!(begin <= end && end <= body.length && end - begin === elements * width)) {
    throw damaged(`the tensor ${name} does not fit into it`);
  }
  return { bits, shape, bytes: body.subarray(begin, end) };
}

function isCount(value) {
  return Number.isInteger(value) && value >= 0;
}

function damaged(reason) {
  return new AecError("WeightsError", `no safetensors file: ${reason}`);
}

/** The elements of a tensor of 32 bits. */
export function integers({ bytes }) {
  const words = new Int32Array(new Uint8Array(bytes).buffer);
  return new Int32Array(littleEndian(words).slice().buffer);
}

/** The model id of the tensors of a weights file; section 15.6. */
export function modelId(tensors) {
  const digest = new Sha256();
  for (const name of decoderNames(tensors)) {
    const { bits, shape, bytes } = tensors.get(name);
    const head = new DataView(new ArrayBuffer(3 + name.length + 4 * shape.length));
    head.setUint8(0, name.length);
    Array.from(name, (letter, at) => head.setUint8(1 + at, letter.charCodeAt(0)));
    head.setUint8(1 + name.length, bits);
    head.setUint8(2 + name.length, shape.length);
    shape.forEach((side, at) => head.setUint32(3 + name.length + 4 * at, side, true));
    digest.update(new Uint8Array(head.buffer)).update(bytes);
  }
  return hex(digest.digest().subarray(0, 4));
}

/** The names of the tensors that decoding depends on, in the order of the model id. */
export function decoderNames(tensors) {
  const names = [...tensors.keys()].filter((name) => /^(prior|synthesis)\./.test(name));
  if (names.some((name) => name.length > 255 || /[^\x20-\x7e]/.test(name))) {
    throw damaged("a tensor has no proper name");
  }
  return names.sort((a, b) => (a < b ? -1 : 1));
}
