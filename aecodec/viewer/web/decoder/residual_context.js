/** What is known of a tile while its residual is decoded; SPECIFICATION.md, 13.3 to 13.7. */

import { allocate, checkPayload } from "./errors.js";
import { REACH } from "./residual_planes.js";

const PAD = 2 * REACH;
const MISS_MAX = 4095;
const SAMPLE_MAX = 1023;
const SIDES = [[-1, 0], [1, 0], [0, -1], [0, 1]];
const CORNERS = [[-1, -1], [-1, 1], [1, -1], [1, 1]];
const FAR = [[-3, 0], [3, 0], [0, -3], [0, 3]];

/** Numbers of a sample and a channel that the context keeps, for a limit of memory. */
export const NUMBERS_KEPT = 9;

/**
 * The state of section 13.3, in one array so that a place and an offset find any number.
 *
 * Each kind of number of each channel is a sheet of the size of the tile with borders of PAD. A
 * sheet `guesses[c][i]` holds guess i of channel c while a plane is predicted, and its error
 * afterwards: no sample reads errors of its own plane.
 */
export class ResidualContext {
  constructor(lossy, height, width, channels, bound) {
    Object.assign(this, { height, width, channels, step: 2 * bound + 1 });
    this.stride = width + 2 * PAD;
    this.size = this.stride * (height + 2 * PAD);
    let sheets = 0;
    const sheet = () => this.size * sheets++;
    const each = (make) => Array.from({ length: channels }, (_, n) => make(n));
    [this.x, this.z, this.t, this.m] = [each(sheet), each(sheet), each(sheet), each(sheet)];
    const order = channels === 1 ? [0] : [1, 0, 2];
    this.guesses = [];
    order.forEach((channel, place) => {
      this.guesses[channel] = Array.from({ length: 3 + 2 * place }, sheet);
    });
    this.numbers = allocate(Int32Array, this.size * sheets);
    each((channel) => this.fill(lossy, channel));
  }

  fill(lossy, channel) {
    const { numbers, height, width, channels } = this;
    for (let row = -PAD, at = this.x[channel]; row < height + PAD; row++) {
      const source = Math.min(Math.max(row, 0), height - 1) * width;
      for (let column = -PAD; column < width + PAD; column++, at++) {
        const place = source + Math.min(Math.max(column, 0), width - 1);
        numbers[at] = lossy[place * channels + channel];
      }
    }
    const whole = numbers.subarray(this.x[channel], this.x[channel] + this.size);
    numbers.set(whole, this.z[channel]);
  }

  /** Places of numbers at offsets from a sample, as the difference to the sample's own place. */
  at(sheet, offsets) {
    return offsets.map(([rows, columns]) => sheet + rows * this.stride + columns);
  }

  /** Calls `use(place, number)` for the samples of a plane; a place is that in the first sheet. */
  forEach(plane, use) {
    const { top, left, rows, columns } = plane.extent(this.height, this.width);
    const step = 2 * plane.unit;
    for (let row = 0, number = 0; row < rows; row++) {
      let place = (PAD + top + row * step) * this.stride + PAD + left;
      for (let column = 0; column < columns; column++, number++, place += step) {
        use(place, number);
      }
    }
  }

  /** Tables of the symbols and predictions in quarters of the samples of a plane. */
  predict(plane, { activity, cuts, classes, map }, thresholds) {
    const { rows, columns } = plane.extent(this.height, this.width);
    const numbers = new Uint8Array(rows * columns);
    const predictions = new Int16Array(rows * columns);
    const levelOf = this.levels(plane, activity, thresholds);
    const features = this.features(plane);
    const predictors = classes.map((weights) => this.predictor(plane, features, weights));
    const guess = plane.hasNeighbours ? this.guesser(plane) : () => 0;
    const unit = 1024 * this.step;
    this.forEach(plane, (place, number) => {
      const level = levelOf(place);
      let chosen = 0;
      while (chosen < cuts.length && cuts[chosen] <= level) {
        chosen++;
      }
      checkPayload(map[level] >= 0, "a residual sample has a level without a table");
      const sum = predictors[chosen](place, guess(place));
      const quarters = Math.floor((sum + unit / 2) / unit);
      predictions[number] = Math.min(Math.max(quarters, -4096), 4095);
      numbers[number] = 4 * map[level] + (predictions[number] & 3);
    });
    return { numbers, predictions };
  }

  /** Takes note of the symbols of a plane. */
  put(plane, symbols, predictions) {
    const { numbers, step } = this;
    const c = plane.channel;
    const guesses = plane.hasNeighbours ? this.guesses[c] : [];
    this.forEach(plane, (place, number) => {
      const sample = symbols[number] + (predictions[number] >> 2);
      checkPayload(Math.abs(sample) <= SAMPLE_MAX, "a residual sample is out of range");
      const miss = 4 * sample - predictions[number];
      numbers[this.t[c] + place] = sample;
      numbers[this.m[c] + place] = Math.min(Math.max(miss, -MISS_MAX), MISS_MAX);
      const value = (numbers[this.z[c] + place] += step * sample);
      for (const guess of guesses) {
        numbers[guess + place] = Math.abs(4 * value - numbers[guess + place]);
      }
    });
  }

  /** The features of section 13.5 but for the mean guess and the 1: `less` are minus x_c. */
  features(plane) {
    const c = plane.channel;
    const less = this.at(this.z[c], plane.near(16));
    less.push(...this.at(this.x[c], [...SIDES, ...CORNERS]));
    for (const other of plane.others) {
      const known = plane.before.includes(other);
      less.push(...this.at(this.z[other], known ? plane.around(13) : plane.near(4)));
      less.push(...this.at(this.x[other], [[0, 0], ...SIDES]));
    }
    const plain = plane.before.map((other) => this.m[other]);
    plain.push(...this.at(this.m[c], plane.near(4)));
    return { places: Int32Array.from([...less, ...plain]), less: less.length };
  }

  /** The sum of features times weights of a sample, as a function of place and mean guess. */
  predictor(plane, { places, less }, weights) {
    const { numbers } = this;
    const own = this.x[plane.channel];
    const ofGuess = plane.hasNeighbours ? weights[places.length] : 0;
    const constant = weights[weights.length - 1];
    const sumLess = weights.subarray(0, less).reduce((sum, weight) => sum + weight, 0);
    const ofOwn = -sumLess - 4 * ofGuess;
    return (place, guess) => {
      const rest = ofOwn * numbers[own + place] + ofGuess * guess + constant;
      return rest + weighted(numbers, places, weights, place);
    };
  }

  /** The mean guess of a sample, as a function of its place, which notes all guesses. */
  guesser(plane) {
    const { numbers, step } = this;
    const c = plane.channel;
    const [north, west, east, south] = this.at(this.z[c], plane.near(4));
    const four = Int32Array.from(this.at(this.t[c], plane.near(4)));
    const own = this.x[c];
    const others = Int32Array.from(
      plane.before.flatMap((o) => this.at(this.z[o], [[0, 0], ...plane.near(4)])),
    );
    const sheets = Int32Array.from(this.guesses[c]);
    const near = Int32Array.from(this.guesses[c].flatMap((at) => this.at(at, plane.near(8))));
    const count = near.length / sheets.length;
    const found = new Float64Array(sheets.length);
    return (place) => {
      const up = numbers[north + place] + numbers[south + place];
      const side = numbers[west + place] + numbers[east + place];
      let sum = 0;
      for (let n = 0; n < 4; n++) {
        sum += numbers[four[n] + place];
      }
      found[0] = 4 * numbers[own + place] + step * sum;
      found[1] = 2 * up;
      found[2] = 2 * side;
      for (let at = 0, to = 3; at < others.length; at += 5, to += 2) {
        const value = 4 * numbers[others[at] + place];
        const ends = numbers[others[at + 1] + place] + numbers[others[at + 4] + place];
        const flanks = numbers[others[at + 2] + place] + numbers[others[at + 3] + place];
        found[to] = value + 2 * (up - ends);
        found[to + 1] = value + 2 * (side - flanks);
      }
      let dividend = 0;
      let divisor = 0;
      for (let i = 0; i < sheets.length; i++) {
        let errors = 8;
        for (let at = i * count; at < (i + 1) * count; at++) {
          errors += numbers[near[at] + place];
        }
        const weight = Math.floor(2 ** 32 / (errors * errors)) + 1;
        dividend += weight * found[i];
        divisor += weight;
        numbers[sheets[i] + place] = found[i];
      }
      return Math.floor(dividend / divisor);
    };
  }

  /** The level of a sample, as a function of its place; sections 13.6 and 13.7. */
  levels(plane, activity, thresholds) {
    const { numbers } = this;
    const { alone, pairs, spread, constant } = this.activities(plane, activity);
    return (place) => {
      let sum = constant + magnitudes(numbers, alone, place) + changes(numbers, pairs, place);
      if (spread) {
        const { weight, places } = spread;
        let total = 0;
        for (let at = 0; at < 4; at++) {
          total += numbers[places[at] + place];
        }
        for (let at = 0; at < 4; at++) {
          sum += weight * Math.abs(4 * numbers[places[at] + place] - total);
        }
      }
      let low = 0;
      for (let high = thresholds.length; low < high; ) {
        const middle = (low + high) >> 1;
        if (thresholds[middle] <= sum) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    };
  }

  /** The activities of section 13.6: magnitudes, magnitudes of differences, and the rest. */
  activities(plane, activity) {
    const c = plane.channel;
    let next = 0;
    const alone = [];
    const pairs = [];
    const addAlone = (places) => alone.push(...places.map((at) => [activity[next], at]));
    const addPair = (first, second) => pairs.push([4 * activity[next], first, second]);
    this.at(this.m[c], plane.near(12)).forEach((at) => {
      addAlone([at]);
      next++;
    });
    let spread = null;
    if (plane.hasNeighbours) {
      spread = { weight: activity[next++], places: this.at(this.t[c], plane.near(4)) };
    }
    for (const other of [...plane.before, c]) {
      for (const [rows, columns] of [[0, plane.unit], [plane.unit, 0]]) {
        addPair(...this.at(this.z[other], [[rows, columns], [-rows, -columns]]));
        next++;
      }
    }
    for (const offsets of [SIDES.slice(2), SIDES.slice(0, 2), FAR]) {
      this.at(this.x[c], offsets).forEach((at) => addPair(at, this.x[c]));
      next++;
    }
    for (const other of plane.others) {
      if (plane.before.includes(other)) {
        addAlone([this.m[other]]);
        next++;
        addAlone(this.at(this.m[other], plane.around(5).slice(1)));
        next++;
      } else if (plane.hasNeighbours) {
        addAlone(this.at(this.m[other], plane.near(4)));
        next++;
      }
    }
    return {
      alone: { weights: column(alone, 0, Float64Array), places: column(alone, 1, Int32Array) },
      pairs: {
        weights: column(pairs, 0, Float64Array),
        first: column(pairs, 1, Int32Array),
        second: column(pairs, 2, Int32Array),
      },
      spread,
      constant: 4 * activity[next],
    };
  }

  /** The final samples in the order row, column, channel. */
  samples() {
    const { numbers, stride, height, width, channels } = this;
    const samples = new Uint8ClampedArray(height * width * channels);
    for (let row = 0, to = 0; row < height; row++) {
      const place = (PAD + row) * stride + PAD;
      for (let column = 0; column < width; column++) {
        for (let channel = 0; channel < channels; channel++) {
          samples[to++] = numbers[this.z[channel] + place + column];
        }
      }
    }
    return new Uint8Array(samples.buffer);
  }
}

function weighted(numbers, places, weights, place) {
  let sum = 0;
  for (let at = 0; at < places.length; at++) {
    sum += weights[at] * numbers[places[at] + place];
  }
  return sum;
}

function magnitudes(numbers, { places, weights }, place) {
  let sum = 0;
  for (let at = 0; at < places.length; at++) {
    sum += weights[at] * Math.abs(numbers[places[at] + place]);
  }
  return sum;
}

function changes(numbers, { first, second, weights }, place) {
  let sum = 0;
  for (let at = 0; at < weights.length; at++) {
    sum += weights[at] * Math.abs(numbers[first[at] + place] - numbers[second[at] + place]);
  }
  return sum;
}

function column(rows, number, Kind) {
  return Kind.from(rows, (row) => row[number]);
}
