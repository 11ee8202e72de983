/** What the viewer's page does. */

import { explained } from "../facts.js";
import { CodingControls } from "./coding.js";
import { captionOf, figuresOf, sentenceOf } from "./figures.js";
import { HeatControls } from "./heat.js";
import { acceptFiles } from "./opening.js";
import { Loader, isOutdated } from "./version.js";
import { View } from "./view.js";

const FIT = "fit";

const part = (id) => document.getElementById(id);

export class Page {
  constructor(data, client) {
    this.data = data;
    this.loader = new Loader(data, client);
    this.pictures = [];
    this.current = null;
    this.original = this.shown = null;
    this.base = "";
    this.known = null;
    this.view = new View(part("panes"), {
      zoomed: (scale) => this.showZoom(scale),
      wiped: (wipe) => { part("wipe").value = String(Math.round(100 * wipe)); },
    });
    this.coding = new CodingControls((key) => this.show(key));
    this.heat = new HeatControls(this.view, () => this.showHeat());
  }

  async start() {
    part("wipe").addEventListener("input", () => this.view.setWipe(part("wipe").value / 100));
    part("layout").addEventListener("change", () => this.arrange());
    part("zoom").addEventListener("change", () => {
      const chosen = document.querySelector("[name=zoom]:checked").value;
      this.view.zoom(chosen === FIT ? null : Number(chosen));
    });
    try {
      const { pictures, rivals, static: still } = await this.data.json("pictures.json");
      this.pictures = pictures;
      this.rivals = rivals;
      acceptFiles(still ? null : (files) => this.add(files));
      this.list();
      part("empty").hidden = pictures.length > 0;
      if (pictures.length) {
        await this.select(pictures[0]);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** Gives files to the server, and shows the last of them. */
  async add(files) {
    let last = null;
    part("progress").hidden = false;
    for (const file of files) {
      try {
        last = await this.data.add(file);
        this.pictures.push(last);
      } catch (error) {
        part("progress").hidden = true;
        this.fail(error, file.name);
        return;
      }
    }
    this.list();
    if (last) {
      await this.select(last);
    }
  }

  async select(picture) {
    this.current = picture;
    const wish = this.loader.begin();
    this.say("");
    part("name").textContent = picture.name;
    document.title = `${picture.name} – aecodec view`;
    part("empty").hidden = true;
    for (const id of ["panes", "heat"]) {
      part(id).hidden = false;
    }
    part("layout").disabled = !picture.original;
    part("zoom").disabled = false;
    this.mark();
    URL.revokeObjectURL(this.original);
    this.original = this.shown = null;
    part("figures").replaceChildren();
    this.view.start(picture.width, picture.height);
    this.view.arrange([]);
    this.arrange();
    this.coding.start(picture);
    this.heat.offer(picture.original);
    try {
      if (picture.original) {
        const base = `${picture.id}/original.png`;
        this.original = await this.data.picture(base, "image/png", wish);
      }
    } catch (error) {
      this.fail(error);
      return;
    }
    await this.show(this.coding.key);
  }

  /** Shows the file with this key of the picture at hand; what comes later counts. */
  async show(key) {
    const wish = this.loader.begin();
    const base = `${this.current.id}/${key}/`;
    part("progress").hidden = false;
    try {
      const told = (known) => this.tell(known);
      const { known, url } = await this.loader.load(base, wish, told);
      this.base = base;
      this.rivalsOf = "";
      this.tell(known);
      this.putPictures(url);
      this.awaitRivals();
      part("error").hidden = true;
      this.heat.clear();
      await this.showHeat(wish);
      if (this.current.original) {
        this.tell({ ...known, ...(await this.loader.score(base, wish)) });
        this.caption();
        await this.showRivals(wish);
      }
      part("progress").hidden = true;
      this.say(sentenceOf(this.coding.text, this.known));
    } catch (error) {
      this.fail(error);
    }
  }

  putPictures(url) {
    this.shown = url;
    const { name } = this.current;
    if (this.isSide) {
      this.view.put("original", "before", this.original, `${name}, original`);
      this.view.put("aec", "after", url, `${name}, decoded`);
      this.caption();
    } else {
      this.view.put("aec", "before", this.original, `${name}, original`);
      this.view.put("aec", "after", url, `${name}, decoded`);
    }
  }

  /** The maps that are wished for, over the picture. */
  async showHeat(wish = { signal: this.loader.abort.signal }) {
    const kind = this.heat.kind;
    try {
      const map = kind ? await this.loader.heat(this.base, kind, wish) : null;
      wish.signal?.throwIfAborted();
      this.heat.show(map);
    } catch (error) {
      this.fail(error);
    }
  }

  get isSide() {
    return !part("layout").disabled
      && document.querySelector("[name=layout]:checked").value === "side";
  }

  /** Puts the panes where the layout wants them. */
  arrange() {
    const rivals = Object.keys(this.rivals);
    this.view.arrange(this.isSide ? ["original", "aec", ...rivals] : ["aec"]);
    part("panes").classList.toggle("side", this.isSide);
    part("wiping").hidden = this.isSide || !this.current?.original;
    if (this.isSide) {
      this.view.put("aec", "before", null);
      this.view.caption("original", ["Original"]);
      this.awaitRivals();
    }
    if (this.shown && this.original) {
      this.putPictures(this.shown);
      this.heat.draw();
      this.rivalsOf = "";
      this.showRivals({ signal: this.loader.abort.signal }).catch((error) => this.fail(error));
    }
  }

  /** Says of each other format that it is to come, or why not. */
  awaitRivals() {
    for (const [name, title] of Object.entries(this.rivals)) {
      this.view.caption(name, [title, this.current.lacking[name] ?? "…"]);
    }
  }

  /** Other formats at the size of the file. */
  async showRivals(wish) {
    if (!this.isSide || this.rivalsOf === this.base) {
      return;
    }
    this.rivalsOf = this.base;
    for (const [name, title] of Object.entries(this.rivals)) {
      if (this.current.lacking[name]) {
        continue;
      }
      try {
        const { known, url } = await this.loader.rival(this.base, name, wish);
        this.view.put(name, "after", url, `${this.current.name} as ${title}`);
        this.view.caption(name, captionOf(title, known));
      } catch (error) {
        if (isOutdated(error)) {
          throw error;
        }
        this.view.put(name, "after", null);
        this.view.caption(name, [title, error.message]);
      }
    }
  }

  caption() {
    this.view.caption("aec", captionOf(".aec", this.known));
  }

  tell(known) {
    this.known = known;
    part("figures").replaceChildren(...figuresOf(known).flatMap(([term, text]) => [
      Object.assign(document.createElement("dt"), { textContent: term }),
      Object.assign(document.createElement("dd"), { textContent: text }),
    ]));
  }

  say(text) {
    part("said").textContent = text;
  }

  fail(error, about = "") {
    if (isOutdated(error)) {
      return;
    }
    part("progress").hidden = true;
    const message = error.name === "DataError" ? error.message : explained(error);
    part("error").textContent = about ? `${about}: ${message}` : message;
    part("error").hidden = false;
  }

  showZoom(scale) {
    const wanted = scale === null ? FIT : String(scale);
    for (const choice of document.querySelectorAll("[name=zoom]")) {
      choice.checked = choice.value === wanted;
    }
  }

  list() {
    part("list").hidden = this.pictures.length < 2;
    const items = this.pictures.map((picture) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = picture.name;
      button.addEventListener("click", () => this.select(picture));
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    part("list").querySelector("ol").replaceChildren(...items);
    this.mark();
  }

  mark() {
    const buttons = document.querySelectorAll("#list button");
    for (const [number, button] of buttons.entries()) {
      button.setAttribute("aria-current", String(this.pictures[number] === this.current));
    }
  }
}
