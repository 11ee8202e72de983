/** The planes of a residual layer and what is near their samples; SPECIFICATION.md, 13.2, 13.4. */

/** Unit u and place a, b of each pass. */
export const PASSES = [
  [2, 0, 0], [2, 1, 1], [2, 0, 1], [2, 1, 0], [1, 1, 1], [1, 0, 1], [1, 1, 0],
];
export const REACH = 4;

/** One plane: the channel in place `order` of the coding order `channels`, in one pass. */
export class Plane {
  constructor(number, channels, order) {
    this.number = number;
    this.channels = channels;
    this.order = order;
    this.channel = channels[order];
    this.before = channels.slice(0, order);
    this.others = channels.filter((_, place) => place !== order);
    this.unit = PASSES[number][0];
    this.nearest = offsets(number, false);
    this.surrounding = offsets(number, true);
    this.hasNeighbours = this.nearest.length > 0;
    this.index = channels.length === 1 ? number : PASSES.length + 3 * number + order;
  }

  /** Offsets [rows, columns] of the nearest samples of earlier passes. */
  near(count) {
    return this.nearest.slice(0, count);
  }

  /** The same with samples of this pass, of which the first is this one. */
  around(count) {
    return this.surrounding.slice(0, count);
  }

  /** First row and column, and how many rows and columns, in a tile. */
  extent(height, width) {
    const [unit, a, b] = PASSES[this.number];
    const rows = Math.max(Math.ceil((height - unit * a) / (2 * unit)), 0);
    const columns = Math.max(Math.ceil((width - unit * b) / (2 * unit)), 0);
    return { top: unit * a, left: unit * b, rows, columns };
  }
}

/** All planes of a picture with 1 or 3 channels, in coding order. */
export function planesOf(channels) {
  const order = channels === 1 ? [0] : [1, 0, 2];
  return PASSES.flatMap((_, number) => order.map((_, place) => new Plane(number, order, place)));
}

function offsets(number, own) {
  const [unit, a, b] = PASSES[number];
  const known = PASSES.slice(0, number).filter((pass) => pass[0] === unit);
  const places = new Set(known.map((pass) => 2 * pass[1] + pass[2]));
  if (unit === 1) {
    places.add(0);
  }
  if (own) {
    places.add(2 * a + b);
  }
  const found = [];
  for (let i = -REACH; i <= REACH; i++) {
    for (let j = -REACH; j <= REACH; j++) {
      if (places.has(2 * ((a + i) & 1) + ((b + j) & 1))) {
        found.push([i, j]);
      }
    }
  }
  found.sort((x, y) => x[0] ** 2 + x[1] ** 2 - y[0] ** 2 - y[1] ** 2 || x[0] - y[0] || x[1] - y[1]);
  return found.map(([i, j]) => [unit * i, unit * j]);
}
