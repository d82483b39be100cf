import { assertEquals, assertStrictEquals } from "@std/assert";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import { raKvScope } from "./ra_kv_scope.ts";

/** A client that keeps what it is called with. */
function recorder(): {
  raKv: RaKvClient;
  calls: { name: string; args: unknown[] }[];
} {
  const calls: { name: string; args: unknown[] }[] = [];
  const raKv = new Proxy({}, {
    get: (_, name) => (...args: unknown[]) =>
      calls.push({ name: String(name), args }),
  }) as RaKvClient;
  return { raKv, calls };
}

/** Each method with what comes before its options. */
const METHODS: Readonly<Record<keyof RaKvClient, readonly unknown[]>> = {
  put: ["c", "k", 1],
  get: ["c", "k"],
  delete: ["c", "k"],
  compareAndSet: ["c", "k", 0, 1],
  batch: ["c", []],
  readEntry: ["c", 1],
  watch: ["c"],
  startCluster: ["c", ["a"]],
  deleteCluster: ["c"],
  clusters: [],
  addMember: ["c", "a"],
  removeMember: ["c", "a"],
  members: ["c"],
  memberOverview: ["c", "a"],
  overview: ["c"],
  liveIndexes: ["c"],
  takeSnapshot: ["c"],
  compact: ["c"],
  transferLeadership: ["c", "a"],
  forceShrink: ["c", "a"],
};

Deno.test("raKvScope() hands every call on, with the signal of the command under way", () => {
  const { raKv, calls } = recorder();
  let signal = new AbortController().signal;
  const scope = raKvScope(raKv, () => signal) as unknown as Record<
    string,
    (...args: unknown[]) => void
  >;
  assertEquals(Object.keys(scope).sort(), Object.keys(METHODS).sort());
  for (const [name, args] of Object.entries(METHODS)) {
    signal = new AbortController().signal;
    scope[name]!(...args, { timeoutMs: 7 });
    const called = calls.pop()!;
    const options = called.args.at(-1) as Record<string, unknown>;
    assertEquals([called.name, called.args.slice(0, -1)], [name, [...args]]);
    assertEquals(options["timeoutMs"], 7);
    assertStrictEquals(options["signal"], signal);
  }
});

Deno.test("raKvScope() leaves a signal alone that the caller gives", () => {
  const { raKv, calls } = recorder();
  const own = new AbortController().signal;
  const scope = raKvScope(raKv, () => new AbortController().signal);
  scope.get("c", "k", { signal: own });
  scope.put("c", "k", 1);
  const [get, put] = calls.map(({ args }) =>
    args.at(-1) as { signal: AbortSignal }
  );
  assertStrictEquals(get!.signal, own);
  assertEquals(put!.signal instanceof AbortSignal, true);
});
