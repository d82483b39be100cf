/**
 * Searches for an order of concurrent operations that a sequential object could
 * have executed: each between its invocation and its return, each with the
 * result its client got (Wing & Gong, "Testing and Verifying Concurrent
 * Objects", 1993). A combination of completed operations and state is tried
 * only once (Lowe, "Testing for Linearizability", 2017).
 *
 * Invocations and returns are in a list ordered by time. Any operation invoked
 * before the first return in the list may come next. The search takes one,
 * removes both its entries, and continues until every operation that certainly
 * happened is placed; if the next entry is a return, nothing fits, and the last
 * one taken is put back.
 *
 *     invoke a · invoke b · return a · invoke c · return b · return c
 *     └── may come next ─┘ └─ not before a is placed
 *
 * An operation of unknown outcome has no return, so it can be placed anywhere
 * after its invocation, or left over. Two of these with the same input are
 * interchangeable once both are invoked, so they are taken in order. An
 * operation that fits and changes nothing is placed at once and never taken
 * back: from any later place it could be moved forward to here.
 *
 * Operations at the same moment count as concurrent, which can only hide a
 * violation, never cause one.
 *
 * @module
 */
import type { Call, Model } from "./model.ts";

/** The result of a search. */
export interface SearchResult {
  /** "exhausted": the limit of steps was reached without a result. */
  readonly verdict: "found" | "none" | "exhausted";
  /** Model steps taken. */
  readonly steps: number;
}

/** A placed operation, with what is needed to take it back. */
interface Placed<State> {
  readonly call: number;
  /** The state before it. */
  readonly state: State;
  /** Whether trying another in its place cannot help. */
  readonly forGood: boolean;
}

/** A set of completed operations and the resulting state. */
interface Visited<State> {
  /** All operations below are completed. */
  readonly from: number;
  readonly words: Uint32Array;
  readonly state: State;
  readonly next: Visited<State> | undefined;
}

/**
 * Whether `calls` can be ordered; they must be sorted by invocation.
 *
 * @param stepsMax Most steps of the model to try.
 */
export function searchLinearization<State, Input, Output>(
  calls: readonly Call<Input, Output>[],
  model: Model<State, Input, Output>,
  stepsMax: number,
): SearchResult {
  const list = new EventList(calls);
  const done = new OperationSet(calls.length);
  const visited = new Map<number, Visited<State>>();
  const placed: Placed<State>[] = [];
  const twins = twinsOf(calls);
  let left = 0;
  for (const { known } of calls) if (known) left++;
  let state = model.init();
  let steps = 0;
  let entry = list.first;
  while (left > 0) {
    if (list.isInvocation(entry)) {
      const twin = twins[entry] as number;
      if (twin >= 0 && !done.has(twin)) {
        entry = list.after(entry);
        continue;
      }
      const call = calls[entry] as Call<Input, Output>;
      if (steps === stepsMax) return { verdict: "exhausted", steps };
      steps++;
      const { ok, state: after } = model.step(state, call.input, call.output);
      const forGood = ok && call.known &&
        model.readOnly?.(call.input, call.output) === true;
      if (ok && (forGood || isNew(entry, after, call.known))) {
        placed.push({ call: entry, state, forGood });
        done.add(entry);
        list.remove(entry);
        if (call.known) left--;
        state = after;
        entry = list.first;
      } else entry = list.after(entry);
      continue;
    }
    let last: Placed<State> | undefined;
    do {
      last = placed.pop();
      if (last === undefined) return { verdict: "none", steps };
      done.delete(last.call);
      list.restore(last.call);
      if ((calls[last.call] as Call<Input, Output>).known) left++;
    } while (last.forGood);
    state = last.state;
    entry = list.after(last.call);
  }
  return { verdict: "found", steps };

  /** Whether taking `call` leads to a combination not tried before. */
  function isNew(call: number, after: State, known: boolean): boolean {
    // Equivalent to not having happened.
    if (!known && model.equals(state, after)) return false;
    done.add(call);
    const hash = done.hash ^ Math.imul(model.hash(after), 0x9e3779b1);
    const first = visited.get(hash);
    let seen = first;
    while (
      seen !== undefined &&
      !(done.equals(seen.from, seen.words) && model.equals(seen.state, after))
    ) seen = seen.next;
    if (seen === undefined) {
      visited.set(hash, {
        from: done.from,
        words: done.words(),
        state: after,
        next: first,
      });
    }
    done.delete(call);
    return seen === undefined;
  }
}

/**
 * For each operation of unknown outcome, the previous one with the same input;
 * else -1.
 */
function twinsOf(calls: readonly Call<unknown, unknown>[]): Int32Array {
  const twins = new Int32Array(calls.length).fill(-1);
  const last = new Map<string, number>();
  for (let i = 0; i < calls.length; i++) {
    const { known, input } = calls[i] as Call<unknown, unknown>;
    if (known) continue;
    const text = JSON.stringify(input);
    twins[i] = last.get(text) ?? -1;
    last.set(text, i);
  }
  return twins;
}

/**
 * Invocations and returns by time, doubly linked so that removing and restoring
 * an operation takes constant time. Entry i is the invocation of the i-th call,
 * entry n + i its return.
 */
class EventList {
  readonly #calls: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #hasReturn: Uint8Array;

  constructor(calls: readonly Call<unknown, unknown>[]) {
    const n = calls.length;
    this.#calls = n;
    // One extra entry, before the first and after the last.
    this.#next = new Int32Array(2 * n + 1);
    this.#previous = new Int32Array(2 * n + 1);
    this.#hasReturn = new Uint8Array(n);
    const returns: number[] = [];
    for (let i = 0; i < n; i++) {
      if (!(calls[i] as Call<unknown, unknown>).known) continue;
      this.#hasReturn[i] = 1;
      returns.push(i);
    }
    const returnedAt = (i: number): number =>
      (calls[i] as Call<unknown, unknown>).returnedAtMs;
    returns.sort((a, b) => returnedAt(a) - returnedAt(b));
    let last = 2 * n;
    const append = (entry: number): void => {
      this.#next[last] = entry;
      this.#previous[entry] = last;
      last = entry;
    };
    let call = 0;
    for (const i of returns) {
      while (
        call < n &&
        (calls[call] as Call<unknown, unknown>).invokedAtMs <= returnedAt(i)
      ) append(call++);
      append(n + i);
    }
    while (call < n) append(call++);
    append(2 * n);
  }

  get first(): number {
    return this.after(2 * this.#calls);
  }

  after(entry: number): number {
    return this.#next[entry] as number;
  }

  /** False for a return and for the end of the list. */
  isInvocation(entry: number): boolean {
    return entry < this.#calls;
  }

  remove(call: number): void {
    this.#unlink(call);
    if (this.#hasReturn[call]) this.#unlink(this.#calls + call);
  }

  /** Undoes the latest `remove` not yet undone. */
  restore(call: number): void {
    if (this.#hasReturn[call]) this.#link(this.#calls + call);
    this.#link(call);
  }

  #unlink(entry: number): void {
    const before = this.#previous[entry] as number;
    const after = this.#next[entry] as number;
    this.#next[before] = after;
    this.#previous[after] = before;
  }

  #link(entry: number): void {
    this.#next[this.#previous[entry] as number] = entry;
    this.#previous[this.#next[entry] as number] = entry;
  }
}

/**
 * A set of completed operations. They are numbered by invocation and completed
 * roughly in that order, so the interesting part is short: from the first that
 * is not completed to the last that is.
 */
class OperationSet {
  readonly #words: Uint32Array;
  /** All words before this one are full. */
  #from = 0;
  /** All words from here on are empty. */
  #to = 0;
  #hash = 0;

  constructor(operations: number) {
    this.#words = new Uint32Array((operations + 31) >>> 5);
  }

  /** Equal for equal sets, whatever the order of additions. */
  get hash(): number {
    return this.#hash;
  }

  get from(): number {
    return this.#from;
  }

  has(operation: number): boolean {
    return (this.#words[operation >>> 5]! >>> (operation & 31) & 1) === 1;
  }

  add(operation: number): void {
    const at = operation >>> 5;
    this.#words[at]! |= 1 << (operation & 31);
    this.#hash ^= spread(operation);
    if (at >= this.#to) this.#to = at + 1;
    while (
      this.#from < this.#to && this.#words[this.#from] === 0xffff_ffff
    ) this.#from++;
  }

  delete(operation: number): void {
    const at = operation >>> 5;
    this.#words[at]! &= ~(1 << (operation & 31));
    this.#hash ^= spread(operation);
    if (at < this.#from) this.#from = at;
    while (this.#to > this.#from && this.#words[this.#to - 1] === 0) this.#to--;
  }

  /** The words between `#from` and `#to`. */
  words(): Uint32Array {
    return this.#words.slice(this.#from, this.#to);
  }

  /** Whether this is the set with `words` from word `from` on. */
  equals(from: number, words: Uint32Array): boolean {
    if (from !== this.#from || words.length !== this.#to - from) return false;
    for (let i = 0; i < words.length; i++) {
      if (words[i] !== this.#words[from + i]) return false;
    }
    return true;
  }
}

/** Mixes the bits of `n` (the finalizer of MurmurHash3). */
function spread(n: number): number {
  let hash = n + 0x9e3779b9 | 0;
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return hash ^ hash >>> 16;
}
