/** What a page says about a file, in plain words. */

const EXPLAINED = {
  TruncatedError: "The file is not complete: its end is missing. Try to copy or load it again.",
  SignatureError: "This is not an .aec file.",
  ChecksumError: "The file is damaged: a checksum does not match. Try to copy or load it again.",
  HeaderError: "The file is damaged: it breaks a rule of the format.",
  PayloadError: "The file is damaged: its picture cannot be read.",
  UnsupportedError: "The file asks for something that this page does not know.",
  LimitError: "The picture is too large to be shown here.",
  WeightsError: "The decoder itself is not complete: a part of it is missing or damaged.",
  InputError: "This cannot be opened here.",
};

/** An error in one sentence for people. */
export function explained(error) {
  return EXPLAINED[error.name] ?? "Something went wrong.";
}

/** A number of bytes, readable. */
export function sizeText(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  for (; bytes >= 999.5 && unit < units.length - 1; unit++) {
    bytes /= 1000;
  }
  return `${unit && bytes < 99.5 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function timeText(milliseconds) {
  const seconds = milliseconds / 1000;
  return seconds < 1 ? `${Math.round(milliseconds)} ms` : `${seconds.toFixed(1)} s`;
}

function colourText({ gray, alpha, bits }) {
  return `${gray ? "gray" : "colour"}${alpha ? " and alpha" : ""}, ${bits} bits`;
}

function codingText({ layer, tiles, header, qualities }) {
  if (!tiles.learned) {
    return "lossless";
  }
  const mixed = tiles.lossless ? `, ${tiles.lossless} of ${header.tileCount} tiles lossless` : "";
  if (layer) {
    return layer.bound ? `within ${layer.bound} of the original` : "exactly the original";
  }
  const range = qualities ? `, varying from ${qualities[0]} to ${qualities[1]}` : "";
  return `quality ${header.qualityIndex / 4}${range}${mixed}`;
}

function metadataText({ icc, exif, xmp, iptc, text }) {
  const names = { "colour profile": icc, EXIF: exif, XMP: xmp, IPTC: iptc };
  const found = Object.keys(names).filter((name) => names[name]);
  if (text.length) {
    found.push(text.length === 1 ? "a comment" : `${text.length} comments`);
  }
  return found.join(", ") || "none";
}

/**
 * Facts about a decoded file, as pairs of a term and what it is.
 *
 * @param {number} size bytes of the file
 * @param {object} shown what DecoderClient.show gives
 */
export function factsOf(size, { info, milliseconds, scale }) {
  const { header, metadata, orientation } = info;
  const sides = [header.width, header.height];
  const [width, height] = orientation >= 5 ? [sides[1], sides[0]] : sides;
  const shrunk = scale > 1 ? `, shown at 1/${scale}` : "";
  return [
    ["Pixels", `${width} × ${height}${shrunk}`],
    ["Size", sizeText(size)],
    ["Bits per pixel", ((8 * size) / (header.width * header.height)).toFixed(3)],
    ["Coding", codingText(info)],
    ["Samples", colourText(header)],
    ["Metadata", metadataText(metadata)],
    ["Decoded in", timeText(milliseconds)],
    ...metadata.text.map(({ key, text }) => [key, text]),
  ];
}
