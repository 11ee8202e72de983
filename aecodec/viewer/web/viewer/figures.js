/** Figures in words. */

import { sizeText } from "../facts.js";

function timeText(seconds) {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

function decibels(psnr) {
  return psnr >= 100 ? "equal" : `${psnr.toFixed(2)} dB`;
}

/**
 * Pairs of a term and what it is, of all that is known so far.
 *
 * @param {object} known figures of an .aec file: bytes, bpp, and where they are known psnr,
 *   max_error, ssimulacra2, reason, seconds and milliseconds
 */
export function figuresOf(known) {
  const rows = [
    ["Size", `${known.bytes.toLocaleString("en")} bytes`],
    ["Bits per pixel", known.bpp.toFixed(3)],
  ];
  if (known.psnr !== undefined) {
    rows.push(["PSNR", decibels(known.psnr)]);
    rows.push(["SSIMULACRA2", scoreText(known)]);
    rows.push(["Largest error", `${known.max_error} of 255`]);
  }
  if (typeof known.seconds === "number") {
    rows.push(["Encoded in", timeText(known.seconds)]);
  }
  if (known.milliseconds !== undefined) {
    rows.push(["Decoded here in", timeText(known.milliseconds / 1000)]);
  }
  return rows;
}

function scoreText({ ssimulacra2, reason }) {
  if (ssimulacra2 === undefined) {
    return "…";
  }
  return ssimulacra2 === null ? reason : ssimulacra2.toFixed(1);
}

/** The same in one sentence, to be read out. */
export function sentenceOf(name, known) {
  const told = figuresOf(known).map(([term, text]) => `${term} ${text}`);
  return `${name}: ${told.join(", ")}.`;
}

/** What stands below a pane of side by side, see View.caption. */
export function captionOf(title, { bytes, psnr, ssimulacra2 }) {
  const more = psnr === undefined ? [] : [decibels(psnr)];
  if (typeof ssimulacra2 === "number") {
    more.push(`SSIMULACRA2 ${ssimulacra2.toFixed(1)}`);
  }
  return [title, sizeText(bytes), more.join(" · ")];
}
