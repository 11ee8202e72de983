/** What decode.html does: opens, shows and saves pictures. */

import { AecError } from "./decoder/errors.js";
import { explained, factsOf } from "./facts.js";

const SOURCE = "src";
const FIT = "fit";

/**
 * Makes the page work.
 *
 * @param {object} client a DecoderClient
 */
export function startPage(client) {
  new Page(client).start();
}

class Page {
  constructor(client) {
    this.client = client;
    this.files = [];
    this.current = null;
    this.bytes = null;
    this.url = null;
    this.part = (id) => document.getElementById(id);
  }

  start() {
    const input = this.part("files");
    for (const id of ["open", "choose"]) {
      this.part(id).addEventListener("click", () => input.click());
    }
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = "";
    });
    this.part("save").addEventListener("click", () => this.save());
    this.part("zoom").addEventListener("change", () => this.resize());
    this.acceptDrops();
    const linked = new URLSearchParams(location.search).get(SOURCE);
    if (linked !== null) {
      this.show({ name: nameOf(linked), read: () => fetchBytes(linked) });
    }
  }

  acceptDrops() {
    const mark = (dropping) => document.body.classList.toggle("dropping", dropping);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) {
        mark(false);
      }
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      this.add([...event.dataTransfer.files]);
    });
  }

  /** Shows the first of some files and lists all that were opened. */
  add(files) {
    const added = files.map((file) => ({
      name: file.name,
      read: async () => new Uint8Array(await file.arrayBuffer()),
    }));
    this.files.push(...added);
    if (added.length) {
      this.show(added[0]);
    }
  }

  list() {
    this.part("list").hidden = this.files.length < 2;
    const items = this.files.map((file) => {
      const button = element("button", file.name);
      button.type = "button";
      button.title = file.name;
      button.ariaCurrent = String(file === this.current);
      button.addEventListener("click", () => this.show(file));
      const item = element("li");
      item.append(button);
      return item;
    });
    this.part("list").firstElementChild.replaceChildren(...items);
  }

  async show(file) {
    const hadFocus = this.part("list").contains(document.activeElement);
    this.current = file;
    this.list();
    if (hadFocus) {
      this.part("list").querySelector("[aria-current=true]").focus();
    }
    this.reset(file.name);
    this.tell("Decoding …", true);
    try {
      const bytes = await file.read();
      const shown = await this.client.show(bytes, (done, total) => this.advance(file, done, total));
      if (file === this.current) {
        this.bytes = bytes;
        this.display(file.name, shown);
      }
    } catch (error) {
      if (file === this.current) {
        this.refuse(error);
      }
    }
  }

  /** Takes away what is shown. */
  reset(name) {
    this.bytes = null;
    for (const id of ["empty", "picture", "error", "zoom"]) {
      this.part(id).hidden = true;
    }
    this.part("save").disabled = true;
    this.part("facts").replaceChildren();
    this.part("name").textContent = name;
    this.part("name").hidden = false;
    document.title = name;
    if (this.url) {
      URL.revokeObjectURL(this.url);
      this.url = null;
    }
  }

  tell(text, isWorking = false) {
    this.part("status").textContent = text;
    this.part("work").hidden = !isWorking;
    if (isWorking) {
      this.part("progress").removeAttribute("value");
    }
  }

  advance(file, done, total) {
    if (file === this.current && total > 1) {
      this.part("progress").value = done / total;
    }
  }

  display(name, shown) {
    this.url = URL.createObjectURL(shown.png);
    const picture = this.part("picture");
    picture.src = this.url;
    picture.alt = name;
    picture.hidden = false;
    this.size = [shown.width, shown.height];
    this.part("zoom").hidden = false;
    this.part("save").disabled = false;
    this.resize();
    const facts = factsOf(this.bytes.length, shown);
    const items = facts.flatMap(([term, fact]) => [element("dt", term), element("dd", fact)]);
    this.part("facts").replaceChildren(...items);
    this.tell("");
  }

  refuse(error) {
    this.part("reason").textContent = explained(error);
    this.part("detail").textContent = `${error.name}: ${error.message}`;
    this.part("error").hidden = false;
    this.tell("");
  }

  /** Gives the picture the size that is chosen, in pixels of the screen. */
  resize() {
    const chosen = document.querySelector("[name=zoom]:checked").value;
    const picture = this.part("picture");
    const factor = chosen === FIT ? 1 : Number(chosen);
    const [width, height] = this.size.map((side) => (side * factor) / devicePixelRatio);
    picture.classList.toggle("fit", chosen === FIT);
    picture.classList.toggle("enlarged", factor > 1);
    picture.style.width = chosen === FIT ? "" : `${width}px`;
    picture.style.height = chosen === FIT ? "" : `${height}px`;
    this.part("stage").tabIndex = chosen === FIT ? -1 : 0;
  }

  async save() {
    const name = this.current.name.replace(/\.aec$/i, "");
    this.part("save").disabled = true;
    this.tell("Writing a PNG …", true);
    try {
      const url = URL.createObjectURL(await this.client.save(this.bytes));
      const link = element("a");
      link.href = url;
      link.download = `${name}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      this.tell("Saved.");
    } catch (error) {
      this.tell(explained(error));
    }
    this.part("save").disabled = false;
  }
}

function element(kind, text = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function nameOf(link) {
  return link.split(/[?#]/)[0].split("/").pop() || link;
}

/** The bytes of a file on the origin of the page. */
async function fetchBytes(link) {
  const url = new URL(link, location.href);
  if (location.protocol === "file:") {
    throw new AecError("InputError", "without a server a page cannot load files by itself");
  }
  if (url.origin !== location.origin) {
    throw new AecError("InputError", `${url.origin} is another origin than that of this page`);
  }
  const response = await fetch(url).catch((error) => {
    throw new AecError("InputError", `cannot load ${url.pathname}: ${error.message}`);
  });
  if (!response.ok) {
    const reason = `the server says ${response.status}`;
    throw new AecError("InputError", `cannot load ${url.pathname}: ${reason}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}
