import { assert, assertEquals, assertThrows } from "@std/assert";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import process from "node:process";
import { setImmediate, setInterval, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { RealWorldError, RealWorldGuard } from "./real_world_guard.ts";

const bytes = new Uint8Array(1);
const calls: Record<string, () => unknown> = {
  "Date": () => Date(),
  "Date.now": () => Date.now(),
  "new Date": () => new Date(),
  "Temporal.Now.instant": () => Temporal.Now.instant(),
  "performance.now": () => performance.now(),
  "performance.timeOrigin": () => performance.timeOrigin,
  "process.hrtime": () => process.hrtime(),
  "process.pid": () => globalThis.process.pid,
  "process.ppid": () => globalThis.process.ppid,
  "process.stdin": () => process.stdin,
  "Math.random": () => Math.random(),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "crypto.getRandomValues": () => crypto.getRandomValues(bytes),
  "crypto.subtle.digest": () => crypto.subtle.digest("SHA-256", bytes),
  "setTimeout": () => globalThis.setTimeout(() => {}, 1),
  "setInterval": () => globalThis.setInterval(() => {}, 1),
  "setImmediate": () => globalThis.setImmediate(() => {}),
  "node:timers setImmediate": () => setImmediate(() => {}),
  "AbortSignal.timeout": () => AbortSignal.timeout(1),
  "Atomics.wait": () =>
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1),
  "fetch": () => fetch("http://127.0.0.1:1/"),
  "WebSocket": () => new WebSocket("ws://127.0.0.1:1/"),
  "EventSource": () => new EventSource("http://127.0.0.1:1/"),
  "node:net connect": () => connect(1),
  "Worker": () => new Worker("data:text/javascript,", { type: "module" }),
  "MessageChannel": () => new MessageChannel(),
  "BroadcastChannel": () => new BroadcastChannel("news"),
  "Blob.text": () => new Blob(["late"]).text(),
  "File.lastModified": () => new File([], "made now").lastModified,
  "localStorage": () => Reflect.get(globalThis, "localStorage"),
  "caches": () => caches,
  "WeakRef": () => new WeakRef({}),
  "FinalizationRegistry": () => new FinalizationRegistry(() => {}),
  "navigator.hardwareConcurrency": () => navigator.hardwareConcurrency,
  "Deno.Command": () => new Deno.Command("true"),
  "Deno.env.get": () => Deno.env.get("HOME"),
  "Deno.exit": () => Deno.exit(),
  "Deno.pid": () => Deno.pid,
  "Deno.stdin.isTerminal": () => Deno.stdin.isTerminal(),
  "Deno.stdin.readable": () => Deno.stdin.readable,
  "Deno.readTextFile": () => Deno.readTextFile("/dev/null"),
};

for (const [name, call] of Object.entries(calls)) {
  Deno.test(`RealWorldGuard refuses ${name} by name while simulated code runs`, () => {
    using guard = new RealWorldGuard();
    guard.inside = true;
    const error = assertThrows(call, RealWorldError) as RealWorldError;
    guard.inside = false;
    assertEquals(error.call, name);
    assertEquals([...guard.refused], [[name, 1]]);
  });
}

const others: Record<string, [call: string, act: () => unknown]> = {
  "a timer of node:timers": [
    "node:timers setTimeout",
    () => setTimeout(() => {}, 1),
  ],
  "an interval of node:timers": [
    "node:timers setTimeout",
    () => setInterval(() => {}, 1),
  ],
  "a timer of node:timers/promises": [
    "node:timers setTimeout",
    () => sleep(1),
  ],
  "random bytes of node:crypto": [
    "crypto.getRandomValues",
    () => randomBytes(1),
  ],
};

for (const [name, [call, act]] of Object.entries(others)) {
  Deno.test(`RealWorldGuard refuses ${name} as ${call}`, () => {
    using guard = new RealWorldGuard();
    guard.inside = true;
    assertThrows(act, RealWorldError);
    guard.inside = false;
    assertEquals([...guard.refused.keys()], [call]);
  });
}

Deno.test("RealWorldGuard refuses every function of Deno except those that reveal nothing of the world", () => {
  const names = Object.entries(Object.getOwnPropertyDescriptors(Deno))
    .filter(([, { value }]) => typeof value === "function")
    .map(([name]) => name);
  using guard = new RealWorldGuard();
  guard.inside = true;
  const open = names.filter((name) => {
    if (["inspect", "AtomicOperation", "KvU64"].includes(name)) return false;
    try {
      Reflect.apply(Reflect.get(Deno, name), Deno, []);
    } catch (error) {
      return !(error instanceof RealWorldError);
    }
    return true;
  });
  guard.inside = false;
  assertEquals(open, []);
  assertEquals(guard.refused.get("Deno.copyFile"), 1);
});

Deno.test("RealWorldGuard does not affect code outside a simulation, nor any code once removed", () => {
  const taken = () => [
    Date,
    Math.random,
    globalThis.setTimeout,
    Deno.readTextFile,
    globalThis.process,
    Object.getOwnPropertyDescriptor(globalThis, "process")?.get,
    Object.getOwnPropertyDescriptor(Deno, "pid")?.get,
    Object.getOwnPropertyDescriptor(globalThis, "localStorage")?.get,
    Object.getOwnPropertyDescriptor(Crypto.prototype, "randomUUID")?.value,
  ];
  const before = taken();
  {
    using guard = new RealWorldGuard();
    assert(Date.now() > 0 && Math.random() < 1);
    assertEquals(globalThis.process.pid, Deno.pid);
    guard.inside = true;
    assertEquals(new Date(0).getTime(), 0);
    assert(new Date(5) instanceof Date);
    assertEquals(globalThis.process.argv, process.argv);
    assertEquals([...guard.refused], []);
  }
  assertEquals(taken(), before);
});
