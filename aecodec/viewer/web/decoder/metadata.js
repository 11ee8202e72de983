/** What a picture says about itself, and how it is to be turned; SPECIFICATION.md, section 4. */

const PACKETS = { iccp: "icc", exif: "exif", xmpd: "xmp", iptc: "iptc" };
const ORIENTATION = 274;
const WIDTHS = { 1: 1, 3: 2, 4: 4 };
const XMP = /(tiff:Orientation\s*(?:=\s*["']|(?:\s[^>]{0,200})?>)\s*)([1-8])(?=\s*["'<])/;
const DPI_MIN = 0.01;
const DPI_MAX = 65535;

/**
 * The metadata among optional chunks.
 *
 * @param {{type: string, payload: Uint8Array}[]} optional
 * @returns {{icc: ?Uint8Array, exif: ?Uint8Array, xmp: ?Uint8Array, iptc: ?Uint8Array,
 *   resolution: ?number[], text: {key: string, text: string}[]}}
 */
export function metadataOf(optional) {
  const found = { icc: null, exif: null, xmp: null, iptc: null, resolution: null, text: [] };
  const first = new Map();
  for (const { type, payload } of optional) {
    if (payload.length && !first.has(type)) {
      first.set(type, payload);
    }
    if (type === "text") {
      found.text.push(...commentOf(payload));
    }
  }
  for (const [type, name] of Object.entries(PACKETS)) {
    found[name] = first.get(type) ?? null;
  }
  found.resolution = resolutionOf(first.get("phys"));
  return found;
}

function commentOf(payload) {
  const end = payload.indexOf(0);
  if (end < 1) {
    return [];
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const [key, text] = [payload.subarray(0, end), payload.subarray(end + 1)];
  return [{ key: decoder.decode(key), text: decoder.decode(text) }];
}

function resolutionOf(payload) {
  if (payload?.length !== 16) {
    return null;
  }
  const view = new DataView(payload.buffer, payload.byteOffset, 16);
  const numbers = [view.getFloat64(0, true), view.getFloat64(8, true)];
  return numbers.every((each) => each >= DPI_MIN && each <= DPI_MAX) ? numbers : null;
}

/** The orientation that metadata state, 1 to 8; EXIF counts before XMP, 1 is upright. */
export function orientationOf({ exif, xmp }) {
  const place = exif && orientationPlace(exif);
  if (place) {
    const value = place.read();
    if (value >= 1 && value <= 8) {
      return value;
    }
  }
  const stated = xmp && XMP.exec(latin1(xmp));
  return stated ? Number(stated[2]) : 1;
}

/** The same EXIF and XMP, in which every statement of an orientation says upright. */
export function upright(metadata) {
  let { exif, xmp } = metadata;
  if (exif) {
    exif = new Uint8Array(exif);
    orientationPlace(exif)?.write(1);
  }
  if (xmp) {
    const turned = latin1(xmp).replace(new RegExp(XMP.source, "g"), "$11");
    xmp = Uint8Array.from(turned, (letter) => letter.charCodeAt(0));
  }
  return { ...metadata, exif, xmp };
}

/** One letter a byte, so that places in text are places in bytes. */
function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}

/** Where EXIF states the orientation; null where it does not, or cannot be read. */
function orientationPlace(exif) {
  const mark = latin1(exif.subarray(0, 4));
  if (mark !== "II*\0" && mark !== "MM\0*") {
    return null;
  }
  const little = mark[0] === "I";
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const start = view.getUint32(4, little);
    const count = view.getUint16(start, little);
    for (let at = start + 2; at < start + 2 + 12 * count; at += 12) {
      const width = WIDTHS[view.getUint16(at + 2, little)];
      const single = view.getUint32(at + 4, little) === 1;
      if (view.getUint16(at, little) === ORIENTATION && single && width && at + 12 <= exif.length) {
        return accessor(view, at + 8, width, little);
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
  }
  return null;
}

function accessor(view, at, width, little) {
  const kind = `Uint${8 * width}`;
  return {
    read: () => view[`get${kind}`](at, little),
    write: (value) => view[`set${kind}`](at, value, little),
  };
}

/**
 * A picture, turned as an orientation says.
 *
 * @param {{width: number, height: number, channels: number, samples: Uint8Array|Uint16Array}}
 *   picture
 * @param {number} orientation 1 to 8, as EXIF has it
 */
export function turned(picture, orientation) {
  if (orientation === 1) {
    return picture;
  }
  const { width, height, channels, samples } = picture;
  const swapped = orientation >= 5;
  const [rows, columns] = swapped ? [width, height] : [height, width];
  const mirrored = [2, 3, 6, 7].includes(orientation);
  const reversed = [3, 4, 7, 8].includes(orientation);
  const found = new samples.constructor(samples.length);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    const y = reversed ? rows - 1 - row : row;
    for (let column = 0; column < columns; column++) {
      const x = mirrored ? columns - 1 - column : column;
      let from = channels * (swapped ? x * width + y : y * width + x);
      for (let channel = 0; channel < channels; channel++) {
        found[to++] = samples[from++];
      }
    }
  }
  return { ...picture, width: columns, height: rows, samples: found };
}
