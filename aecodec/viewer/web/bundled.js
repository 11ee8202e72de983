/** Starts decode.html as one file, which works without a server. */

import { DecoderClient } from "./client.js";
import { startPage } from "./page.js";

function textOf(id) {
  return document.getElementById(id).textContent;
}

const source = new Blob([textOf("worker")], { type: "text/javascript" });
const worker = new Worker(URL.createObjectURL(source));
startPage(new DecoderClient(worker, { files: JSON.parse(textOf("resources")) }));
