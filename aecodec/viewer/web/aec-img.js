/**
 * Makes .aec pictures work in pages: `<script type="module" src="aec/aec-img.js"></script>`.
 *
 * - `<img src="x.aec">` shows the picture; with `data-fallback="x.jpg"` that is shown instead where
 *   decoding fails.
 * - `<img src="x.jpg" data-aec="x.aec">` shows x.jpg until the .aec file is decoded, and where that
 *   fails. So does a picture element with `<source type="image/aec" srcset="x.aec">`.
 *
 * Images that a page adds or changes later are seen, too, and `loading="lazy"` is honoured. While
 * and after an image is worked on, its attribute `data-aec-state` is "loading", "done" or "error".
 * An error is told by the event "aecerror", whose `detail` is the AecError. Browsers let scripts
 * load files of other origins only if these allow it.
 */

import { DecoderClient } from "./client.js";
import { AecError } from "./decoder/errors.js";

const TYPES = ["image/aec", "image/x-aec"];
const ATTRIBUTES = ["src", "data-aec"];

/** The URL of the .aec file that each image shows or is going to show. */
const shown = new WeakMap();
/** Forgets decoded pictures together with their images. */
const forgotten = new FinalizationRegistry((blob) => URL.revokeObjectURL(blob));

let client = null;

/** The URL of the .aec file that an image is to show; null if there is none. */
function wanted(image) {
  const source = sourcesOf(image).find((each) => TYPES.includes(each.type));
  const stated = image.dataset.aec ?? source?.srcset.trim().split(/\s/)[0];
  const given = stated ?? image.getAttribute("src");
  if (!given) {
    return null;
  }
  const url = new URL(given, document.baseURI);
  return stated || /\.aec$/i.test(url.pathname) ? url.href : null;
}

function sourcesOf({ parentElement }) {
  const isPicture = parentElement?.localName === "picture";
  return isPicture ? [...parentElement.querySelectorAll("source")] : [];
}

/** Shows an image's .aec file, unless it is shown already or the image is lazy and far away. */
function consider(image, isNear = false) {
  const url = wanted(image);
  if (!url) {
    shown.delete(image);
  } else if (shown.get(image) !== url) {
    if (image.loading === "lazy" && !isNear) {
      nearby.observe(image);
    } else {
      show(image, url);
    }
  }
}

async function show(image, url) {
  shown.set(image, url);
  image.dataset.aecState = "loading";
  try {
    const bytes = await load(url);
    client ??= DecoderClient.served(new URL(".", import.meta.url));
    const { png } = await client.show(bytes);
    if (shown.get(image) === url) {
      display(image, URL.createObjectURL(png));
    }
  } catch (error) {
    if (shown.get(image) === url) {
      refuse(image, error);
    }
  }
}

async function load(url) {
  const response = await fetch(url).catch((error) => {
    throw new AecError("InputError", `cannot load ${url}: ${error.message}`);
  });
  if (!response.ok) {
    throw new AecError("InputError", `cannot load ${url}: the server says ${response.status}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

function display(image, blob) {
  forgotten.register(image, blob);
  sourcesOf(image).forEach((source) => source.remove());
  image.removeAttribute("srcset");
  image.src = blob;
  image.dataset.aecState = "done";
}

function refuse(image, error) {
  const { fallback } = image.dataset;
  if (fallback && image.getAttribute("src") !== fallback) {
    image.src = fallback;
  }
  image.dataset.aecState = "error";
  image.dispatchEvent(new CustomEvent("aecerror", { bubbles: true, detail: error }));
}

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        nearby.unobserve(target);
        consider(target, true);
      }
    }
  },
  { rootMargin: "50%" },
);

function considerAll(root) {
  if (root.localName === "img") {
    consider(root);
  }
  root.querySelectorAll?.("img").forEach((image) => consider(image));
}

new MutationObserver((changes) => {
  for (const { type, target, addedNodes } of changes) {
    if (type === "attributes" && target.localName === "img") {
      consider(target);
    }
    addedNodes.forEach(considerAll);
  }
}).observe(document, {
  subtree: true, childList: true, attributes: true, attributeFilter: ATTRIBUTES,
});
considerAll(document);
