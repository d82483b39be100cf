/**
 * Keeps the real world out of a simulation. While simulated code runs, whatever
 * would make a run depend on something besides its seed (the clock, chance,
 * timers, the network, the disk, other threads) throws, and is remembered by
 * name, so that code which swallows the error is found all the same.
 *
 * What code has taken before the simulation began (`const { now } = Date` at the
 * top of a module) or imports by name from a module of Node (`node:fs`) cannot
 * be closed, but for timers and TCP sockets.
 *
 * The guard belongs to a thread. While a simulation runs there, anything else
 * that wants the real world (a progress bar, a signal handler) lives in another.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import timers from "node:timers";
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

/** Of what Deno offers, what does nothing to the world and tells nothing of it. */
const OPEN_IN_DENO: ReadonlySet<string> = new Set([
  "inspect",
  "AtomicOperation",
  "KvU64",
  "args",
  "mainModule",
  "noColor",
]);

/** Functions that are closed, by the name of the object they belong to. */
function closedFunctions(): readonly (readonly [
  string,
  object,
  readonly string[],
])[] {
  const ofStdin: object = Object.getPrototypeOf(Deno.stdin);
  return [
    ["", globalThis, [
      "setTimeout",
      "setInterval",
      "setImmediate",
      "fetch",
      "prompt",
      "confirm",
      "alert",
      "WebSocket",
      "WebSocketStream",
      "WebTransport",
      "Worker",
      "MessageChannel",
      "BroadcastChannel",
      "EventSource",
      // What is collected when is the engine's business.
      "WeakRef",
      "FinalizationRegistry",
    ]],
    ["Math.", Math, ["random"]],
    ["performance.", performance, ["now", "mark", "measure", "toJSON"]],
    ["Temporal.Now.", Temporal.Now, functionsOf(Temporal.Now)],
    ["Atomics.", Atomics, ["wait", "waitAsync"]],
    ["crypto.", Crypto.prototype, ["getRandomValues", "randomUUID"]],
    [
      "crypto.subtle.",
      SubtleCrypto.prototype,
      functionsOf(SubtleCrypto.prototype),
    ],
    ["Blob.", Blob.prototype, ["arrayBuffer", "bytes", "stream", "text"]],
    ["WebAssembly.", WebAssembly, [
      "compile",
      "compileStreaming",
      "instantiate",
      "instantiateStreaming",
    ]],
    ["AbortSignal.", AbortSignal, ["timeout"]],
    ["process.", process, [
      "abort",
      "chdir",
      "cpuUsage",
      "cwd",
      "exit",
      "hrtime",
      "kill",
      "memoryUsage",
      "resourceUsage",
      "uptime",
    ]],
    ["Deno.", Deno, functionsOf(Deno)],
    ["Deno.env.", Deno.env, functionsOf(Deno.env)],
    ["Deno.stdin.", ofStdin, functionsOf(ofStdin)],
  ];
}

/** The functions of `holder`, but for those that are only made when they are asked for. */
function functionsOf(holder: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(holder))
    .filter(([name, { value }]) =>
      typeof value === "function" && name !== "constructor" &&
      !(holder === Deno && OPEN_IN_DENO.has(name))
    )
    .map(([name]) => name);
}

/** What is closed already to whoever asks what it is. */
function closedValues(): readonly (readonly [
  string,
  object,
  readonly string[],
])[] {
  const ofDeno = Object.entries(Object.getOwnPropertyDescriptors(Deno))
    .filter(([name, { configurable, value }]) =>
      configurable && value === undefined && !OPEN_IN_DENO.has(name)
    )
    .map(([name]) => name);
  return [
    ["", globalThis, ["localStorage", "sessionStorage", "caches"]],
    ["performance.", Performance.prototype, ["timeOrigin"]],
    // The time at which it was made, unless it was told another.
    ["File.", File.prototype, ["lastModified"]],
    ["process.", process, ["stdin"]],
    ["Deno.stdin.", Object.getPrototypeOf(Deno.stdin), ["readable"]],
    ["navigator.", Object.getPrototypeOf(navigator), ["hardwareConcurrency"]],
    ["Deno.", Deno, ofDeno],
  ];
}

/** Something of the real world, and what stands in its place while a guard is up. */
interface Door {
  readonly holder: object;
  readonly name: PropertyKey;
  /** What the holder itself has under the name; undefined if that is inherited. */
  readonly own: PropertyDescriptor | undefined;
  readonly closed: PropertyDescriptor;
}

/** The guard that is up. */
let current: RealWorldGuard | undefined;
/** Made once: two hundred proxies a seed would be dear. */
let doors: Door[] = [];

function functionDoor(call: string, holder: object, name: string): Door {
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
  return { holder, name, own, closed };
}

function valueDoor(call: string, holder: object, name: string): Door[] {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  if (own?.get === undefined) return [];
  const { get } = own;
  const closed: PropertyDescriptor = {
    ...own,
    get() {
      current?.refuse(call);
      return Reflect.apply(get, this, []);
    },
  };
  return [{ holder, name, own, closed }];
}

/**
 * What a module of Node exports is imported by name, so nobody can stand in its
 * place; but timers and TCP sockets are objects that begin with a method.
 */
function nodeDoors(): Door[] {
  const timeout = timers.setTimeout(() => {}, 0);
  timers.clearTimeout(timeout);
  const immediate = timers.setImmediate(() => {});
  timers.clearImmediate(immediate);
  const ofTimeout: object = Object.getPrototypeOf(timeout);
  const begin = Object.getOwnPropertySymbols(ofTimeout)
    .find(({ description }) => description === "createTimer");
  return [
    ...(begin === undefined
      ? []
      : [methodDoor("node:timers setTimeout", ofTimeout, begin)]),
    methodDoor(
      "node:timers setImmediate",
      Object.getPrototypeOf(immediate),
      "ref",
    ),
    methodDoor("node:net connect", net.Socket.prototype, "connect"),
    methodDoor("node:net listen", net.Server.prototype, "listen"),
  ];
}

function methodDoor(call: string, holder: object, name: PropertyKey): Door {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  const original = Reflect.get(holder, name) as (...args: unknown[]) => unknown;
  const closed = {
    ...own,
    value(this: unknown, ...args: unknown[]): unknown {
      current?.refuse(call);
      return Reflect.apply(original, this, args);
    },
  };
  return { holder, name, own, closed };
}

/** The numbers of processes cannot be closed where they are, so another stands in for the object that has them. */
function processDoor(): Door {
  const own = Object.getOwnPropertyDescriptor(globalThis, "process");
  const guarded = new Proxy(process, {
    get(target, name) {
      if (name === "pid" || name === "ppid") current?.refuse(`process.${name}`);
      return Reflect.get(target, name);
    },
  });
  const closed = {
    value: guarded,
    writable: true,
    configurable: true,
    enumerable: own?.enumerable ?? true,
  };
  return { holder: globalThis, name: "process", own, closed };
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
  for (const [prefix, holder, names] of closedFunctions()) {
    for (const name of names) {
      if (!(name in holder)) continue;
      made.push(functionDoor(prefix + name, holder, name));
    }
  }
  for (const [prefix, holder, names] of closedValues()) {
    for (const name of names) {
      made.push(...valueDoor(prefix + name, holder, name));
    }
  }
  const own = Object.getOwnPropertyDescriptor(globalThis, "Date");
  const { Date: original } = globalThis;
  made.push({
    holder: globalThis,
    name: "Date",
    own,
    closed: { ...own, value: guardedDate(original) },
  });
  return [...made, processDoor(), ...nodeDoors()];
}

/** Whether somebody has put something else in the place of what a door closes. */
function isStale({ holder, name, own }: Door): boolean {
  const now = Object.getOwnPropertyDescriptor(holder, name);
  return now?.value !== own?.value || now?.get !== own?.get;
}

/** Puts `to` in the place of `from`. */
function put(
  holder: object,
  name: PropertyKey,
  from: PropertyDescriptor | undefined,
  to: PropertyDescriptor,
): void {
  // Which most of them allow, at half the price.
  if (from?.writable && to.writable) Reflect.set(holder, name, to.value);
  else Object.defineProperty(holder, name, to);
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
    for (const { holder, name, own, closed } of doors) {
      put(holder, name, own, closed);
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
    for (const { holder, name, own, closed } of doors) {
      if (own === undefined) Reflect.deleteProperty(holder, name);
      else put(holder, name, closed, own);
    }
  }
}
