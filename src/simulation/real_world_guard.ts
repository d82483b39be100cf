/**
 * Keeps the real world out of a simulation. While simulated code runs, anything
 * that would make a run depend on more than its seed (the clock, randomness,
 * timers, the network, the disk, other threads) throws, and is recorded by
 * name, so that it is found even if the code swallows the error.
 *
 * What code captured before the simulation began (`const { now } = Date` at the
 * top of a module) or imports by name from a Node module (`node:fs`) cannot be
 * closed, except timers and TCP sockets.
 *
 * The guard belongs to a thread. While a simulation runs there, anything else
 * that needs the real world (a progress bar, a signal handler) must run in
 * another one.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import timers from "node:timers";
import { invariant } from "../base/invariant.ts";

/** Simulated code called into the real world. */
export class RealWorldError extends Error {
  /** Always `RealWorldError`. */
  override name = "RealWorldError";
  /** The call, such as `Date.now`. */
  readonly call: string;

  /** An error for `call`. */
  constructor(call: string) {
    super(
      `Cannot call ${call} in a simulation: take time, chance, storage and messages from the context, so that a run depends on its seed alone`,
    );
    this.call = call;
  }
}

/**
 * Members of `Deno` that neither affect the world nor reveal anything about it.
 */
const OPEN_IN_DENO: ReadonlySet<string> = new Set([
  "inspect",
  "AtomicOperation",
  "KvU64",
  "args",
  "mainModule",
  "noColor",
]);

/** Functions that are closed, by the object they belong to. */
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
      // The engine decides when something is collected.
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

/** The functions of `holder`, except those that are created lazily. */
function functionsOf(holder: object): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(holder))
    .filter(([name, { value }]) =>
      typeof value === "function" && name !== "constructor" &&
      !(holder === Deno && OPEN_IN_DENO.has(name))
    )
    .map(([name]) => name);
}

/** Properties whose very reading is closed. */
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
    // Its creation time, unless another one was given.
    ["File.", File.prototype, ["lastModified"]],
    ["process.", process, ["stdin"]],
    ["Deno.stdin.", Object.getPrototypeOf(Deno.stdin), ["readable"]],
    ["navigator.", Object.getPrototypeOf(navigator), ["hardwareConcurrency"]],
    ["Deno.", Deno, ofDeno],
  ];
}

/** Something of the real world, and its replacement while a guard is up. */
interface Door {
  readonly holder: object;
  readonly name: PropertyKey;
  /** The holder's own property of that name; undefined if it is inherited. */
  readonly own: PropertyDescriptor | undefined;
  readonly closed: PropertyDescriptor;
}

/** The active guard. */
let current: RealWorldGuard | undefined;
/** Made once: two hundred proxies per seed would be expensive. */
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
 * Named exports of Node modules cannot be replaced; but timers and TCP sockets
 * are objects whose methods can.
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

/** The ids of `process` cannot be replaced in place, so the whole object is. */
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

/**
 * A date with given values is a plain value; only the current one is of the
 * real world.
 */
function guardedDate(RealDate: DateConstructor): DateConstructor {
  const now = (): number => {
    current?.refuse("Date.now");
    return RealDate.now();
  };
  // A function of its own rather than a proxy, since `instanceof Date` is
  // tested for every encoded object.
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

/** Whether somebody else has replaced what a door closes. */
function isStale({ holder, name, own }: Door): boolean {
  const now = Object.getOwnPropertyDescriptor(holder, name);
  return now?.value !== own?.value || now?.get !== own?.get;
}

/** Replaces `from` with `to`. */
function put(
  holder: object,
  name: PropertyKey,
  from: PropertyDescriptor | undefined,
  to: PropertyDescriptor,
): void {
  // Most allow assignment, at half the cost.
  if (from?.writable && to.writable) Reflect.set(holder, name, to.value);
  else Object.defineProperty(holder, name, to);
}

/** Closes the real world to one simulation. One at a time per thread. */
export class RealWorldGuard implements Disposable {
  /** Whether simulated code is running; set by the simulation. */
  inside = false;
  readonly #calls = new Map<string, number>();

  /** Refused calls, with how often each happened. */
  get refused(): ReadonlyMap<string, number> {
    return this.#calls;
  }

  /** Installs the guard. */
  constructor() {
    invariant(current === undefined, "one guard is up at a time");
    if (doors.length === 0 || doors.some(isStale)) doors = allDoors();
    current = this;
    for (const { holder, name, own, closed } of doors) {
      put(holder, name, own, closed);
    }
  }

  /**
   * Refuses `call` if a simulation is running.
   *
   * @throws {RealWorldError} If so.
   */
  refuse(call: string): void {
    if (!this.inside) return;
    this.#calls.set(call, (this.#calls.get(call) ?? 0) + 1);
    throw new RealWorldError(call);
  }

  /** Removes the guard. */
  [Symbol.dispose](): void {
    if (current !== this) return;
    current = undefined;
    for (const { holder, name, own, closed } of doors) {
      if (own === undefined) Reflect.deleteProperty(holder, name);
      else put(holder, name, closed, own);
    }
  }
}
