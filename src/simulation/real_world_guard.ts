/**
 * Keeps the real world out of a simulation. While simulated code runs, whatever
 * would make a run depend on something besides its seed (the clock, chance,
 * timers, the network, the disk, other threads) throws, and is remembered by
 * name, so that code which swallows the error is found all the same.
 *
 * The guard belongs to a thread. While a simulation runs there, anything else
 * that wants the real world (a progress bar, a signal handler) lives in another.
 *
 * @module
 */

import { invariant } from "../base/invariant.ts";

/** Simulated code has reached for the real world. */
export class RealWorldError extends Error {
  /** Always `RealWorldError`. */
  override name = "RealWorldError";
  /** What it called, such as `Date.now`. */
  readonly call: string;

  /** An error about `call`. */
  constructor(call: string) {
    super(
      `Cannot call ${call} in a simulation: take time, chance, storage and messages from the context, so that a run depends on its seed alone`,
    );
    this.call = call;
  }
}

/** Functions that are closed, by the name of the object they belong to. */
const CLOSED: readonly (readonly [string, object, readonly string[]])[] = [
  ["", globalThis, [
    "setTimeout",
    "setInterval",
    "setImmediate",
    "fetch",
    "WebSocket",
    "Worker",
    "MessageChannel",
    "BroadcastChannel",
    "EventSource",
  ]],
  ["Math.", Math, ["random"]],
  ["performance.", performance, ["now", "mark", "measure"]],
  ["crypto.", Object.getPrototypeOf(crypto), ["getRandomValues", "randomUUID"]],
  ["crypto.subtle.", Object.getPrototypeOf(crypto.subtle), [
    "digest",
    "sign",
    "verify",
    "encrypt",
    "decrypt",
    "generateKey",
    "importKey",
    "deriveBits",
    "deriveKey",
  ]],
  ["AbortSignal.", AbortSignal, ["timeout"]],
  ["Deno.", Deno, [
    "connect",
    "connectTls",
    "listen",
    "listenTls",
    "listenDatagram",
    "resolveDns",
    "serve",
    "openKv",
    "open",
    "openSync",
    "create",
    "createSync",
    "readFile",
    "readFileSync",
    "readTextFile",
    "readTextFileSync",
    "writeFile",
    "writeFileSync",
    "writeTextFile",
    "writeTextFileSync",
    "readDir",
    "readDirSync",
    "stat",
    "statSync",
    "lstat",
    "lstatSync",
    "mkdir",
    "mkdirSync",
    "rename",
    "renameSync",
    "remove",
    "removeSync",
    "makeTempDir",
    "makeTempFile",
    "Command",
    "memoryUsage",
    "hostname",
    "loadavg",
  ]],
];

/** A function and the one that stands in its place while a guard is up. */
interface Door {
  readonly holder: object;
  readonly name: string;
  /** What the holder itself has under the name; undefined if that is inherited. */
  readonly own: PropertyDescriptor | undefined;
  readonly original: unknown;
  readonly closed: PropertyDescriptor;
}

/** The guard that is up. */
let current: RealWorldGuard | undefined;
/** Made once: sixty proxies a seed would be dear. */
let doors: Door[] = [];

function doorOf(call: string, holder: object, name: string): Door {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  const original = Reflect.get(holder, name) as (...args: unknown[]) => unknown;
  const guarded = new Proxy(original, {
    apply(target, self, args) {
      current?.refuse(call);
      return Reflect.apply(target, self, args);
    },
    construct(target, args, newTarget) {
      current?.refuse(call);
      return Reflect.construct(target, args, newTarget);
    },
  });
  const closed = {
    value: guarded,
    writable: true,
    configurable: true,
    enumerable: own?.enumerable ?? true,
  };
  return { holder, name, own, original, closed };
}

/** A date of given numbers is a value; only the one of now is the real world's. */
function guardedDate(RealDate: DateConstructor): DateConstructor {
  const now = (): number => {
    current?.refuse("Date.now");
    return RealDate.now();
  };
  // A function of its own rather than a proxy, as `instanceof Date` is asked
  // of every object that is encoded.
  const GuardedDate = function (...args: unknown[]): unknown {
    if (new.target === undefined) {
      current?.refuse("Date");
      return RealDate();
    }
    if (args.length === 0) current?.refuse("new Date");
    return Reflect.construct(
      RealDate,
      args,
      new.target as unknown === GuardedDate ? RealDate : new.target,
    );
  };
  Object.defineProperties(
    GuardedDate,
    Object.getOwnPropertyDescriptors(RealDate),
  );
  Object.defineProperty(GuardedDate, "now", { value: now, writable: true });
  return GuardedDate as unknown as DateConstructor;
}

function allDoors(): Door[] {
  const made: Door[] = [];
  for (const [prefix, holder, names] of CLOSED) {
    for (const name of names) {
      if (name in holder) made.push(doorOf(prefix + name, holder, name));
    }
  }
  const own = Object.getOwnPropertyDescriptor(globalThis, "Date");
  const { Date: original } = globalThis;
  made.push({
    holder: globalThis,
    name: "Date",
    own,
    original,
    closed: { ...own, value: guardedDate(original) },
  });
  return made;
}

/** Whether somebody has put something else in the place of what a door closes. */
function isStale({ holder, name, original }: Door): boolean {
  return Reflect.get(holder, name) !== original;
}

/** Closes the real world to one simulation. One at a time in a thread. */
export class RealWorldGuard implements Disposable {
  /** Whether a simulation is running now; set by whoever runs it. */
  inside = false;
  readonly #calls = new Map<string, number>();

  /** Calls that were refused, with how often. */
  get refused(): ReadonlyMap<string, number> {
    return this.#calls;
  }

  /** Puts the guards up. */
  constructor() {
    invariant(current === undefined, "one guard is up at a time");
    if (doors.length === 0 || doors.some(isStale)) doors = allDoors();
    current = this;
    for (const { holder, name, closed } of doors) {
      Object.defineProperty(holder, name, closed);
    }
  }

  /** Refuses `call` if a simulation is running. @throws {RealWorldError} Then. */
  refuse(call: string): void {
    if (!this.inside) return;
    this.#calls.set(call, (this.#calls.get(call) ?? 0) + 1);
    throw new RealWorldError(call);
  }

  /** Takes the guards down again. */
  [Symbol.dispose](): void {
    if (current !== this) return;
    current = undefined;
    for (const { holder, name, own } of doors) {
      if (own === undefined) Reflect.deleteProperty(holder, name);
      else Object.defineProperty(holder, name, own);
    }
  }
}
