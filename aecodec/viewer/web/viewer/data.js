/** Asks for what the page shows: of the viewer's server, or of the files of an exported page. */

const KEPT_TOKEN = "aec-token";
const TOKEN_HEADER = "X-Aec-Token";

/** Why something is not there, in a sentence for people. */
export class DataError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.name = "DataError";
    this.status = status;
  }
}

/** The token behind the address's `#`, which is taken away from there and kept for reloads. */
export function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(KEPT_TOKEN, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT_TOKEN) ?? "";
}

/** Addresses below one folder. */
export class Data {
  /**
   * @param {URL} base the folder
   * @param {string} token what the server asks for; empty where files are served
   */
  constructor(base, token) {
    this.base = base;
    this.headers = token ? { [TOKEN_HEADER]: token } : {};
    const numbers = crypto.getRandomValues(new Uint32Array(2));
    this.page = Array.from(numbers, (number) => number.toString(36)).join("");
    this.turn = 0;
  }

  /** A wish that ends all wishes before it: gives what `json` and the others take. */
  wish(signal) {
    this.turn += 1;
    return { signal, turn: `${this.page}-${this.turn}` };
  }

  async json(path, wish = {}) {
    const found = await (await this.get(path, wish)).json();
    if (found.error) {
      throw new DataError(found.error);
    }
    return found;
  }

  async bytes(path, wish = {}) {
    return new Uint8Array(await (await this.get(path, wish)).arrayBuffer());
  }

  /** The address of a picture that was fetched; whoever asks revokes it. */
  async picture(path, type, wish = {}) {
    const bytes = await this.bytes(path, wish);
    return URL.createObjectURL(new Blob([bytes], { type }));
  }

  /** Gives a file to the server; what it says of the picture. */
  async add(file) {
    const url = new URL(`pictures?name=${encodeURIComponent(file.name)}`, this.base);
    const answer = await this.fetched(url, { method: "POST", body: file });
    return answer.json();
  }

  get(path, { signal, turn }) {
    const url = new URL(path, this.base);
    if (turn && this.headers[TOKEN_HEADER]) {
      url.searchParams.set("turn", turn);
    }
    return this.fetched(url, { signal });
  }

  async fetched(url, options) {
    let answer;
    try {
      answer = await fetch(url, { ...options, headers: this.headers });
    } catch (error) {
      if (error.name === "AbortError") {
        throw error;
      }
      throw new DataError("The viewer does not answer. It may have been ended.");
    }
    if (!answer.ok) {
      throw new DataError(await reasonOf(answer), answer.status);
    }
    return answer;
  }
}

async function reasonOf(answer) {
  try {
    const { error } = await answer.json();
    if (error) {
      return error[0].toUpperCase() + error.slice(1);
    }
  } catch {
    // Another server than the viewer's has answered.
  }
  return `The server says ${answer.status}.`;
}
