/** Panes that show one part of a picture together: zoom, pan, and the wipe between two layers. */

const LEVELS = [1, 2, 4, 8, 16];
const SCALE_MAX = 64;
const WHEEL = 0.002;
const KEY_PART = 0.1;
const NEAR_LINE = 24;
const WIDE = "(min-width: 46rem)";

/** What each pane shows, and where. */
export class View {
  /**
   * @param {HTMLElement} root holds the panes and has the keyboard's focus
   * @param {{zoomed: function(number|null), wiped: function(number)}} told of changes: of the
   *   scale, null where the whole picture fits, and of the wipe, 0 to 1
   */
  constructor(root, told) {
    this.root = root;
    this.told = told;
    this.panes = new Map();
    this.size = { width: 1, height: 1 };
    this.scale = null;
    this.centre = { x: 0.5, y: 0.5 };
    this.wipe = 0.5;
    this.drag = null;
    new ResizeObserver(() => this.draw()).observe(root);
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      root.addEventListener(name, () => this.release());
    }
    root.addEventListener("dblclick", () => this.zoom(this.scale === null ? 1 : null));
  }

  /** Begins with another picture. */
  start(width, height) {
    this.size = { width, height };
    this.centre = { x: width / 2, y: height / 2 };
    this.zoom(null);
  }

  /** Which panes there are, in their order; those that stay keep their layers. */
  arrange(names) {
    for (const [name, pane] of this.panes) {
      if (!names.includes(name)) {
        pane.figure.remove();
        this.panes.delete(name);
      }
    }
    for (const name of names) {
      if (!this.panes.has(name)) {
        this.panes.set(name, makePane());
      }
      this.root.append(this.panes.get(name).figure);
    }
    this.draw();
  }

  /** Puts an image into a layer of a pane, or takes it away: "before", "after" or "heat". */
  put(name, layer, url, alt = "") {
    const pane = this.panes.get(name);
    if (pane) {
      const image = pane.layers[layer];
      image.hidden = !url;
      image.alt = alt;
      if (url) {
        image.src = url;
      } else {
        image.removeAttribute("src");
      }
      this.draw();
    }
  }

  /** What stands below a pane: a title, what follows it, and a second line. */
  caption(name, [title, text = "", more = ""]) {
    const pane = this.panes.get(name);
    if (pane) {
      const strong = document.createElement("strong");
      strong.textContent = title;
      pane.caption.replaceChildren(strong, ` ${text}`, document.createElement("br"), more);
    }
  }

  /** Shows the picture at a scale; null for the one at which it fits. */
  zoom(scale, around = null) {
    const before = this.shownScale();
    this.scale = scale === null ? null : Math.min(Math.max(scale, 1 / SCALE_MAX), SCALE_MAX);
    if (around && this.scale !== null) {
      const part = 1 / before - 1 / this.scale;
      this.centre.x += around.x * part;
      this.centre.y += around.y * part;
    }
    this.told.zoomed(this.scale);
    this.draw();
  }

  /** Moves the wipe, 0 to 1 of the width of the pane. */
  setWipe(part) {
    this.wipe = Math.min(Math.max(part, 0), 1);
    this.draw();
  }

  frame() {
    const pane = this.panes.values().next().value;
    return pane ? pane.frame.getBoundingClientRect() : { width: 1, height: 1, left: 0, top: 0 };
  }

  shownScale() {
    if (this.scale !== null) {
      return this.scale;
    }
    const { width, height } = this.frame();
    const fit = Math.min(width / this.size.width, height / this.size.height);
    return fit >= 2 ? Math.min(Math.floor(fit), LEVELS.at(-1)) : Math.min(fit, 1);
  }

  draw() {
    const { width, height } = this.frame();
    const scale = this.shownScale();
    const x = placed(this.centre.x, this.size.width, width / scale);
    const y = placed(this.centre.y, this.size.height, height / scale);
    this.centre = { x, y };
    const [left, top] = [width / 2 - x * scale, height / 2 - y * scale];
    const cut = Math.min(Math.max((this.wipe * width - left) / scale, 0), this.size.width);
    for (const { picture, layers, line } of this.panes.values()) {
      picture.style.width = `${this.size.width}px`;
      picture.style.height = `${this.size.height}px`;
      picture.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
      picture.classList.toggle("enlarged", scale > 1);
      const wiped = !layers.before.hidden && !layers.after.hidden;
      layers.after.style.clipPath = wiped ? `inset(0 0 0 ${cut}px)` : "none";
      const rest = this.size.width - cut;
      layers.before.style.clipPath = wiped ? `inset(0 ${rest}px 0 0)` : "none";
      line.hidden = !wiped;
      line.style.left = `${this.wipe * width}px`;
    }
  }

  key(event) {
    const { width, height } = this.frame();
    const step = event.shiftKey ? 1 : Math.max(Math.min(width, height) * KEY_PART, 8);
    const pans = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (pans[event.key]) {
      this.pan(...pans[event.key]);
    } else if (event.key === "+" || event.key === "=") {
      this.zoom(LEVELS.find((level) => level > this.shownScale()) ?? LEVELS.at(-1));
    } else if (event.key === "-") {
      this.zoom(LEVELS.findLast((level) => level < this.shownScale()) ?? null);
    } else if (event.key === "0" || event.key === "1") {
      this.zoom(event.key === "1" ? 1 : null);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Moves the part that is shown, in pixels of the screen. */
  pan(x, y) {
    const scale = this.shownScale();
    this.centre.x += x / scale;
    this.centre.y += y / scale;
    this.draw();
  }

  wheel(event) {
    const frame = event.target.closest(".frame")?.getBoundingClientRect();
    if (!frame || !(event.ctrlKey || matchMedia(WIDE).matches)) {
      return;
    }
    event.preventDefault();
    const around = {
      x: event.clientX - frame.left - frame.width / 2,
      y: event.clientY - frame.top - frame.height / 2,
    };
    this.zoom(this.shownScale() * Math.exp(-event.deltaY * WHEEL), around);
  }

  press(event) {
    const frame = event.target.closest(".frame");
    if (!frame || event.button !== 0) {
      return;
    }
    const line = frame.querySelector(".line");
    const at = event.clientX - frame.getBoundingClientRect().left;
    const near = Math.abs(at - this.wipe * frame.clientWidth) < NEAR_LINE;
    const wipes = !line.hidden && (near || this.scale === null);
    this.drag = { frame, wipes, x: event.clientX, y: event.clientY };
    frame.setPointerCapture(event.pointerId);
    if (wipes && !near) {
      this.move(event);
    }
  }

  move(event) {
    if (!this.drag) {
      return;
    }
    const { frame, wipes, x, y } = this.drag;
    if (wipes) {
      const { left, width } = frame.getBoundingClientRect();
      this.setWipe((event.clientX - left) / width);
      this.told.wiped(this.wipe);
    } else {
      this.pan(x - event.clientX, y - event.clientY);
      Object.assign(this.drag, { x: event.clientX, y: event.clientY });
    }
  }

  release() {
    this.drag = null;
  }
}

/** The middle of what is shown, so that the picture fills the frame, or stands in its middle. */
function placed(centre, size, seen) {
  return seen >= size ? size / 2 : Math.min(Math.max(centre, seen / 2), size - seen / 2);
}

function makePane() {
  const make = (tag, name, ...children) => {
    const element = document.createElement(tag);
    element.className = name;
    element.append(...children);
    return element;
  };
  const layers = {};
  for (const name of ["before", "after", "heat"]) {
    layers[name] = make("img", name);
    layers[name].hidden = true;
    layers[name].draggable = false;
  }
  const picture = make("div", "picture", ...Object.values(layers));
  const line = make("div", "line");
  const frame = make("div", "frame", picture, line);
  const caption = make("figcaption", "");
  return { figure: make("figure", "pane", frame, caption), frame, picture, layers, line, caption };
}
