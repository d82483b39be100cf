/**
 * Seeded random numbers: the same seed gives the same numbers on every machine.
 * Every draw in Whorl goes through one of these, so that a simulated cluster
 * replays exactly. Not for secrets.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state,
 * seeded from a string or number through 32-bit FNV-1a and twelve warm-up
 * draws.
 *
 * @module
 */

/** A seeded source of random numbers. */
export interface Chance {
  /** A number in [0, 1). */
  next(): number;
  /** A whole number in [0, bound). @throws {RangeError} If `bound` is not a positive integer up to 2^32. */
  below(bound: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  /** One of `items`. @throws {RangeError} If it is empty. */
  pick<T>(items: readonly T[]): T;
  /** Puts `items` in a random order, in place, and returns them. */
  shuffle<T>(items: T[]): T[];
  /** A new generator; what is drawn here later does not change its numbers. */
  fork(purpose: string): Chance;
}

class Sfc32 implements Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(a: number, b: number, c: number) {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    for (let i = 0; i < 12; i++) this.#draw();
  }

  #draw(): number {
    const sum = (this.#a + this.#b | 0) + this.#counter | 0;
    this.#counter = this.#counter + 1 | 0;
    this.#a = this.#b ^ this.#b >>> 9;
    this.#b = this.#c + (this.#c << 3) | 0;
    this.#c = (this.#c << 21 | this.#c >>> 11) + sum | 0;
    return sum >>> 0;
  }

  next(): number {
    return this.#draw() / 0x1_0000_0000;
  }

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 0x1_0000_0000) {
      throw new RangeError(
        `Cannot draw below ${bound}: the bound must be an integer from 1 to 2^32`,
      );
    }
    return Math.floor(this.next() * bound);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) {
      throw new RangeError("Cannot pick from an empty list");
    }
    return items[this.below(items.length)] as T;
  }

  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const held = items[i] as T;
      items[i] = items[j] as T;
      items[j] = held;
    }
    return items;
  }

  fork(purpose: string): Chance {
    return new Sfc32(this.#draw(), this.#draw(), fnv1a32(purpose));
  }
}

/** 32-bit FNV-1a of the UTF-16 units of `text`; not a cryptographic hash. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}

/** A generator from `seed`; equal seeds give equal numbers. */
export function seededChance(seed: number | string): Chance {
  const text = String(seed);
  return new Sfc32(
    fnv1a32(text),
    fnv1a32(`${text}/2`),
    fnv1a32(`${text}/3`),
  );
}
