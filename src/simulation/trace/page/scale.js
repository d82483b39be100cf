/**
 * Where things stand on a page that shows a trace from top to bottom: either
 * each line a step below the one before, or by time. Runs in a browser.
 *
 * @module
 */
import { firstAtLeast } from "./rows.js";

/** Height of a line in the list, in pixels; steps of that height stand beside their lines. */
export const ROW_HEIGHT = 20;
const STEP_MAX = 60;
const MS_MAX = 4000;

/** Turns events into heights and back. What is at the top, and how many pixels a step or a millisecond takes, is its state. */
export class Scale {
  constructor(times) {
    this.times = times;
    this.mode = "steps";
    this.unit = ROW_HEIGHT;
    this.top = 0;
    this.height = 1;
    this.setRows([], new Float64Array(times.length + 1));
  }

  setRows(rows, ranks) {
    this.rows = rows;
    this.ranks = ranks;
  }

  /** Where event `index` is, in steps or milliseconds. */
  position(index) {
    return this.mode === "steps" ? this.ranks[index] + 0.5 : this.times[index];
  }

  /** The same in pixels from the top of the view. */
  y(index) {
    return (this.position(index) - this.top) * this.unit;
  }

  /** First and last position there is. */
  get range() {
    if (this.mode === "steps") return [0, Math.max(1, this.rows.length)];
    const first = this.times[0] ?? 0;
    const last = this.times.at(-1) ?? 1;
    return [first, Math.max(last, first + 0.001)];
  }

  /** The time at a height, for the axis. */
  timeAt(y) {
    const position = this.top + y / this.unit;
    if (this.mode === "time") return position;
    const row = Math.min(
      this.rows.length - 1,
      Math.max(0, Math.floor(position)),
    );
    return this.times[this.rows[row]] ?? 0;
  }

  /** Row of the first line shown at or below a height. */
  rowAt(y) {
    const position = this.top + y / this.unit;
    return this.mode === "steps"
      ? Math.max(0, Math.ceil(position - 0.5))
      : firstAtLeast(this.rows, position, (index) => this.times[index]);
  }

  /** Unit at which everything fits. */
  get fitting() {
    const [first, last] = this.range;
    return this.height / (last - first);
  }

  zoom(factor, y) {
    const max = this.mode === "steps" ? STEP_MAX : MS_MAX;
    const unit = Math.min(
      max,
      Math.max(Math.min(this.fitting, max), this.unit * factor),
    );
    const position = this.top + y / this.unit;
    this.unit = unit;
    this.moveTo(position - y / unit);
  }

  /** Puts a position at the top, as far as there is something to see. */
  moveTo(top) {
    const [first, last] = this.range;
    const room = this.height / this.unit;
    const margin = Math.min(room * 0.5, 40 / this.unit);
    this.top = Math.max(first, Math.min(top, last - room + margin));
  }

  moveBy(pixels) {
    this.moveTo(this.top + pixels / this.unit);
  }

  /** Brings an event into view: to the middle, or only as far as needed. */
  reveal(index, middle = false) {
    const y = this.y(index);
    const edge = Math.min(60, this.height / 4);
    if (!middle && y >= edge && y <= this.height - edge) return;
    this.#bringTo(index, middle, y, edge);
    // Whole lines, where lines of the list stand beside them.
    if (this.mode === "steps" && this.unit === ROW_HEIGHT) {
      this.moveTo(Math.round(this.top));
    }
  }

  #bringTo(index, middle, y, edge) {
    this.moveTo(
      middle || y < -this.height || y > 2 * this.height
        ? this.position(index) - this.height / 2 / this.unit
        : this.top + (y < edge ? y - edge : y - this.height + edge) / this.unit,
    );
  }

  /** Changes between steps and time, and leaves `index` where it is on the screen. */
  setMode(mode, index) {
    if (mode === this.mode) return;
    const y = this.y(index);
    this.mode = mode;
    if (mode === "steps") this.unit = ROW_HEIGHT;
    else {
      // As much time as the steps around it took, or a burst would fill hours.
      const near = 25;
      const span =
        (this.times[Math.min(this.times.length - 1, index + near)] ?? 1) -
        (this.times[Math.max(0, index - near)] ?? 0);
      this.unit = Math.min(
        MS_MAX,
        Math.max(this.fitting, this.height / Math.max(span, 0.01)),
      );
    }
    this.moveTo(this.position(index) - y / this.unit);
  }

  fit() {
    const max = this.mode === "steps" ? ROW_HEIGHT : MS_MAX;
    this.unit = Math.min(max, this.fitting);
    this.moveTo(this.range[0]);
  }
}

/** A round step of an axis, at least `least`: 1, 2 or 5 times a power of ten. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5]) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

/** Milliseconds as people read them, with as many decimals as `step` needs. */
export function formatMs(ms, step = 0.001) {
  const decimals = Math.min(
    3,
    Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  );
  const [whole, fraction] = ms.toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
