/** The choice of a file: at a quality of the slider, or as it was given. */

const STEPS = 4;
const DELAY = 200;
const GIVEN = "given";
const DEFAULT = 75;

const part = (id) => document.getElementById(id);

export class CodingControls {
  /** @param {function(string)} chosen called with the key of the file that is wished for */
  constructor(chosen) {
    this.chosen = chosen;
    this.timer = 0;
    this.qualities = null;
    this.isGiven = false;
    const [slider, given] = [part("quality"), part("given")];
    slider.addEventListener("input", () => {
      this.setGiven(false);
      this.wish(DELAY);
    });
    given.addEventListener("click", () => {
      this.setGiven(!this.isGiven);
      this.wish(0);
    });
  }

  /** Begins with another picture: with its file, or else at the usual quality. */
  start(picture) {
    clearTimeout(this.timer);
    const keys = picture.keys?.filter((key) => key !== GIVEN);
    this.qualities = keys?.map((key) => Number(key.slice(1)) / STEPS);
    const slider = part("quality");
    slider.max = this.qualities ? String(this.qualities.length - 1) : "100";
    const quality = picture.quality ?? DEFAULT;
    const nearest = this.qualities ? nearestTo(this.qualities, quality) : quality;
    slider.value = String(nearest);
    part("coding").hidden = !picture.original;
    part("given").hidden = !picture.given;
    const range = picture.quality_range;
    const varying = range ? `, varying from ${range[0]} to ${range[1]}` : "";
    part("given").textContent = `File as given: quality ${picture.quality}${varying}`;
    this.givenQuality = picture.quality;
    this.setGiven(picture.given);
  }

  get quality() {
    const value = Number(part("quality").value);
    return this.qualities ? this.qualities[value] : value;
  }

  get key() {
    return this.isGiven ? GIVEN : `q${Math.round(this.quality * STEPS)}`;
  }

  /** What is shown, in words. */
  get text() {
    return this.isGiven ? "File as given" : `Quality ${this.quality}`;
  }

  setGiven(isGiven) {
    this.isGiven = isGiven;
    part("given").setAttribute("aria-pressed", String(isGiven));
    const text = String(isGiven ? this.givenQuality : this.quality);
    part("quality-text").textContent = text;
    part("quality").setAttribute("aria-valuetext", text);
  }

  wish(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.chosen(this.key), delay);
  }
}

/** The place of the number that is nearest. */
function nearestTo(numbers, wanted) {
  const distances = numbers.map((number) => Math.abs(number - wanted));
  return distances.indexOf(Math.min(...distances));
}
