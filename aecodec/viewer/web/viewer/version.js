/** Loads one file of a picture, part by part: figures, pixels, heat map, other formats. */

/** Takes what comes of the newest wish; older wishes end without a word. */
export class Loader {
  /**
   * @param {object} data a Data
   * @param {object} client a DecoderClient
   */
  constructor(data, client) {
    this.data = data;
    this.client = client;
    this.abort = new AbortController();
    this.urls = [];
    this.decoding = Promise.resolve();
  }

  /** Ends what is under way; the wish to load with. */
  begin() {
    this.abort.abort();
    this.abort = new AbortController();
    return this.data.wish(this.abort.signal);
  }

  /**
   * Figures and pixels of a file.
   *
   * @param {string} base of its addresses, such as "0/q300/"
   * @param {object} wish of begin
   * @param {function(object)} told of the figures, as soon as they are known
   * @returns {Promise<{known, url}>} figures, and the picture that the page has decoded
   */
  async load(base, wish, told) {
    const known = await this.data.json(`${base}figures.json`, wish);
    told(known);
    const bytes = await this.data.bytes(`${base}picture.aec`, wish);
    const shown = await this.decoded(bytes, wish);
    wish.signal.throwIfAborted();
    this.forget();
    const url = this.keep(URL.createObjectURL(shown.png));
    return { known: { ...known, milliseconds: shown.milliseconds }, url };
  }

  /** Decodes after the file at hand; what is outdated by then is never begun. */
  decoded(bytes, wish) {
    const shown = this.decoding.then(() => {
      wish.signal.throwIfAborted();
      return this.client.show(bytes);
    });
    this.decoding = shown.catch(() => {});
    return shown;
  }

  /** How near the file is to its original in the eyes of people. */
  score(base, wish) {
    return this.data.json(`${base}ssimulacra2.json`, wish);
  }

  /** A map of heat: {peak, unit, png}. */
  heat(base, kind, wish) {
    return this.data.json(`${base}${kind}.json`, wish);
  }

  /** Figures and picture of another format. */
  async rival(base, name, wish) {
    const known = await this.data.json(`${base}${name}.json`, wish);
    const url = await this.data.picture(`${base}${name}`, `image/${name}`, wish);
    wish.signal.throwIfAborted();
    return { known, url: this.keep(url) };
  }

  keep(url) {
    this.urls.push(url);
    return url;
  }

  /** Frees the pictures of the file before. */
  forget() {
    this.urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }
}

/** Whether a wish ended because a newer one has come. */
export function isOutdated(error) {
  return error.name === "AbortError" || error.status === 409;
}
