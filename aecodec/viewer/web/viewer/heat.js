/** The choice of a heat map, and its legend. */

const PANE = "aec";

const part = (id) => document.getElementById(id);

export class HeatControls {
  /**
   * @param {object} view has the layer
   * @param {function()} chosen called when another map is wished for
   */
  constructor(view, chosen) {
    this.view = view;
    this.map = null;
    part("heat").addEventListener("change", ({ target }) => {
      if (target.name === "heat") {
        chosen();
      }
    });
    part("strength").addEventListener("input", () => this.fade());
    this.fade();
  }

  /** The name of the map that is wished for; empty for none. */
  get kind() {
    return document.querySelector("[name=heat]:checked").value;
  }

  /** Offers the error only where there is an original. */
  offer(hasOriginal) {
    part("heat-error").hidden = !hasOriginal;
    if (!hasOriginal && this.kind === "error") {
      document.querySelector("[name=heat]").checked = true;
    }
  }

  /** Takes the map away until the next one comes. */
  clear() {
    this.map = null;
    this.draw();
  }

  /** @param {{peak: number, unit: string, png: string}|null} map what the layer shows */
  show(map) {
    this.map = map;
    part("legend").hidden = !map;
    if (map) {
      part("legend-unit").textContent = map.unit;
      part("legend-peak").textContent = map.peak < 10 ? map.peak.toFixed(2) : String(map.peak);
    }
    this.draw();
  }

  draw() {
    this.view.put(PANE, "heat", this.map?.png ?? null);
  }

  fade() {
    part("panes").style.setProperty("--strength", String(part("strength").value / 100));
  }
}
