import { assert, assertEquals } from "@std/assert";
import { isWhorlError, type WhorlError } from "../base/errors.ts";
import { NotFoundError } from "./not_found_error.ts";
import {
  type RaKvEvent,
  raKvOutcomeUnknown,
  type RaKvWatchOptions,
} from "./ra_kv_client.ts";
import { BATCH_CHANGES_MAX } from "./ra_kv_command_codec.ts";
import { RA_KV_VALUE_BYTES_MAX, type RaKvValue } from "./ra_kv_value.ts";
import { FakeCluster, type FakeNode } from "./testing/fake_cluster.ts";

/** Runs `test` with clients of the leader a, the follower b, and d, which has no member. */
function withClients(
  name: string,
  test: (
    nodes: { a: FakeNode; b: FakeNode; d: FakeNode },
    cluster: FakeCluster,
  ) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    await cluster.form("store", ["a", "b", "c"]);
    try {
      const [a, b, , d] = cluster.nodes as [
        FakeNode,
        FakeNode,
        FakeNode,
        FakeNode,
      ];
      await test({ a, b, d }, cluster);
      for (const { node, router } of cluster.nodes) {
        assertEquals([node, router.size], [node, 0]);
      }
    } finally {
      cluster.close();
    }
    assertEquals(cluster.runtime.pendingTimers, 0);
  });
}

async function failureOf(promise: Promise<unknown>): Promise<WhorlError> {
  const outcome = await promise.then(
    (value) => new Error(`It succeeded: ${Deno.inspect(value)}`),
    (error) => error,
  );
  if (!isWhorlError(outcome)) throw outcome;
  return outcome;
}

withClients(
  "raKv.put(), get() and delete() return what ra_kv returns, through any node",
  async ({ a, b, d }) => {
    for (const { raKv } of [a, b, d]) {
      const written = await raKv.put("store", "k", { n: 1 });
      assertEquals(Object.keys(written).sort(), [
        "index",
        "leader",
        "machineVersion",
        "term",
        "timeMs",
      ]);
      assertEquals(written.leader, "a");
      assertEquals(await raKv.get("store", "k"), {
        value: { n: 1 },
        index: written.index,
        term: written.term,
        expiresAtMs: undefined,
        members: ["a", "b", "c"],
        leader: "a",
      });
      const deleted = await raKv.delete("store", "k");
      assertEquals(deleted.index, written.index + 1);
      const gone = await raKv.get("store", "k");
      assertEquals([gone.value, gone.index, gone.term], [undefined, 0, 0]);
      const error = await failureOf(raKv.delete("store", "k"));
      assert(error instanceof NotFoundError);
      assertEquals([error.code, error.name], ["not_found", "NotFoundError"]);
      assertEquals((error as NotFoundError).leader, "a");
      assertEquals(raKvOutcomeUnknown(error), false);
    }
  },
);

withClients(
  "raKv stores whatever MessagePack can represent, and bytes as they are",
  async ({ b }) => {
    const values: RaKvValue[] = [
      null,
      false,
      0,
      -1.5,
      2 ** 53 - 1,
      1e300,
      "",
      "ünï\u0000",
      [],
      [1, ["a", null]],
      {},
      { deep: { list: [{ x: 1 }] } },
      new Uint8Array(0),
      Uint8Array.of(0, 255, 1),
      { bytes: Uint8Array.of(1, 2) },
    ];
    for (const value of values) {
      await b.raKv.put("store", "k", value);
      assertEquals((await b.raKv.get("store", "k")).value, value);
    }
    // Results must not keep the slab alive from which answers are cut.
    for (
      const value of [
        Uint8Array.of(1),
        [Uint8Array.of(1)],
        { bytes: Uint8Array.of(1) },
        new Array(20).fill(Uint8Array.of(1)),
      ]
    ) {
      await b.raKv.put("store", "k", value);
      const found = (await b.raKv.get("store", "k")).value;
      const bytes = found instanceof Uint8Array
        ? found
        : Object.values(found as object)[0] as Uint8Array;
      assert(bytes.buffer.byteLength < 100, `${bytes.buffer.byteLength}`);
    }
  },
);

withClients(
  "raKv refuses values and keys that it could not return",
  async ({ a }, cluster) => {
    const { raKv } = a;
    const circle: Record<string, unknown> = {};
    circle["circle"] = circle;
    for (
      const value of [
        undefined,
        () => {},
        1n,
        new Date(0),
        Symbol("s"),
        circle,
        "\ud800",
        JSON.parse('{"a":{"__proto__":1}}'),
      ]
    ) {
      const error = await failureOf(
        raKv.put("store", "k", value as unknown as RaKvValue),
      );
      assertEquals(error.code, "invalid_argument", Deno.inspect(value));
    }
    for (const key of ["", "k".repeat(1_025), "ü".repeat(513), "\ud800", 7]) {
      for (
        const call of [
          () => raKv.put("store", key as string, 1),
          () => raKv.get("store", key as string),
          () => raKv.delete("store", key as string),
          () => raKv.put(key as string, "k".repeat(10), 1),
        ].slice(0, typeof key === "string" && key.length > 600 ? 3 : 4)
      ) assertEquals((await failureOf(call())).code, "invalid_key");
    }
    const large = new Uint8Array(RA_KV_VALUE_BYTES_MAX);
    assertEquals(
      (await failureOf(raKv.put("store", "k", large))).code,
      "value_too_large",
    );
    await raKv.put("store", "k", large.subarray(1));
    assertEquals(
      ((await raKv.get("store", "k")).value as Uint8Array).length,
      RA_KV_VALUE_BYTES_MAX - 1,
    );
    assertEquals(cluster.groups.get("store")!.entries.length, 1);
  },
);

withClients(
  "raKv.put() with an index replaces exactly what was read",
  async ({ b }) => {
    const { raKv } = b;
    const first = await raKv.put("store", "k", 1, { ifIndex: 0 });
    const again = await failureOf(raKv.put("store", "k", 2, { ifIndex: 0 }));
    assertEquals([again.code, again.details["index"]], [
      "index_mismatch",
      first.index,
    ]);
    const second = await raKv.compareAndSet("store", "k", first.index, 2);
    const stale = await failureOf(
      raKv.compareAndSet("store", "k", first.index, 3),
    );
    assertEquals(stale.details["index"], second.index);
    assertEquals(
      (await failureOf(raKv.delete("store", "k", { ifIndex: first.index })))
        .code,
      "index_mismatch",
    );
    await raKv.delete("store", "k", { ifIndex: second.index });
    assertEquals((await raKv.get("store", "k")).index, 0);
    for (const ifIndex of [-1, 0.5, NaN, 2 ** 48]) {
      assertEquals(
        (await failureOf(raKv.put("store", "k", 1, { ifIndex }))).code,
        "invalid_argument",
      );
    }
  },
);

withClients("raKv.batch() changes all or nothing", async ({ b }, cluster) => {
  const { raKv } = b;
  await raKv.put("store", "old", 1);
  const { index } = await raKv.batch("store", [
    { type: "put", key: "a", value: 1, ifIndex: 0 },
    { type: "put", key: "b", value: Uint8Array.of(2), ttlMs: 500 },
    { type: "delete", key: "old" },
    { type: "delete", key: "never" },
  ]);
  const found = await raKv.get("store", "b");
  assertEquals([found.value, found.index], [Uint8Array.of(2), index]);
  assertEquals(found.expiresAtMs, 1_500);
  assertEquals((await raKv.get("store", "a")).index, index);
  assertEquals((await raKv.get("store", "old")).index, 0);
  const error = await failureOf(raKv.batch("store", [
    { type: "put", key: "c", value: 1 },
    { type: "delete", key: "a", ifIndex: 99 },
  ]));
  assertEquals([error.code, error.details["place"]], ["index_mismatch", 1]);
  assertEquals((await raKv.get("store", "c")).index, 0);

  const before = cluster.groups.get("store")!.entries.length;
  const put = (n: number) => ({ type: "put", key: `${n}`, value: 1 } as const);
  for (
    const [changes, code] of [
      [[], "invalid_argument"],
      [[put(1), { type: "delete", key: "1" } as const], "invalid_argument"],
      [
        Array.from({ length: BATCH_CHANGES_MAX + 1 }, (_, n) => put(n)),
        "invalid_argument",
      ],
      [
        [1, 2].map((n) => ({
          ...put(n),
          value: new Uint8Array(RA_KV_VALUE_BYTES_MAX / 2 + 5_000),
        })),
        "value_too_large",
      ],
    ] as const
  ) assertEquals((await failureOf(raKv.batch("store", changes))).code, code);
  assertEquals(cluster.groups.get("store")!.entries.length, before);
  await raKv.batch(
    "store",
    Array.from({ length: BATCH_CHANGES_MAX }, (_, n) => put(n)),
  );
});

withClients(
  "a key with a time to live expires after that time",
  async ({ a, b }, cluster) => {
    await a.raKv.put("store", "k", 1, { ttlMs: 200 });
    assertEquals((await b.raKv.get("store", "k")).expiresAtMs, 1_200);
    cluster.groups.get("store")!.timeMs = 1_200;
    await a.raKv.put("store", "other", 1);
    assertEquals((await b.raKv.get("store", "k")).value, undefined);
    for (const ttlMs of [0, -5, 1.5, Infinity]) {
      assertEquals(
        (await failureOf(a.raKv.put("store", "k", 1, { ttlMs }))).code,
        "invalid_argument",
      );
    }
  },
);

withClients(
  "raKv.get() reads at the leader, locally or stale",
  async ({ a, b }, cluster) => {
    await a.raKv.put("store", "k", 1);
    const follower = b.groups.get("store")!;
    follower.paused = true;
    await a.raKv.put("store", "k", 2);
    const stale = { consistency: "stale", from: "local" } as const;
    assertEquals((await b.raKv.get("store", "k", stale)).value, 1);
    assertEquals((await b.raKv.get("store", "k")).value, 2);
    const local = b.raKv.get("store", "k", { from: "local" });
    follower.paused = false;
    await cluster.runtime.advance(10);
    follower.catchUp();
    assertEquals((await local).value, 2);
  },
);

withClients(
  "raKv.readEntry() returns the changes of an entry",
  async ({ a, b }, cluster) => {
    const { raKv } = b;
    await raKv.put("store", "k", { n: 1 }, { ifIndex: 0, ttlMs: 5 });
    await raKv.batch("store", [
      { type: "put", key: "x", value: Uint8Array.of(7) },
      { type: "delete", key: "k" },
    ]);
    assertEquals(await raKv.readEntry("store", 1), {
      index: 1,
      term: 2,
      timeMs: 1_000,
      kind: "change",
      changes: [{
        type: "put",
        key: "k",
        value: { n: 1 },
        ifIndex: 0,
        ttlMs: 5,
      }],
    });
    assertEquals((await raKv.readEntry("store", 2))!.changes, [
      { type: "put", key: "x", value: Uint8Array.of(7) },
      { type: "delete", key: "k" },
    ]);
    const group = cluster.groups.get("store")!;
    group.append(1, Uint8Array.of(0, 0));
    group.append(2, Uint8Array.of(4));
    group.append(3, Uint8Array.of(0));
    group.append(2, Uint8Array.of(5));
    const kinds = [];
    for (const index of [3, 4, 5, 6]) {
      kinds.push((await a.raKv.readEntry("store", index))!.kind);
    }
    assertEquals(kinds, ["noop", "sweep", "membership", "end"]);
    assertEquals(await raKv.readEntry("store", 7), undefined);
    group.gone.add(1);
    assertEquals(await raKv.readEntry("store", 1), undefined);
  },
);

withClients(
  "a signal stops the wait, although the write may still happen",
  async ({ a }, cluster) => {
    const group = cluster.groups.get("store")!;
    group.frozen = true;
    const stop = new AbortController();
    const writing = failureOf(
      a.raKv.put("store", "k", 1, { signal: stop.signal }),
    );
    stop.abort();
    const error = await writing;
    assertEquals([error.code, raKvOutcomeUnknown(error)], ["cancelled", true]);
    group.lead("a");
    await cluster.runtime.advance(10);
  },
);

withClients(
  "a timeout tells whether the write may have happened",
  async ({ a }, cluster) => {
    const group = cluster.groups.get("store")!;
    group.frozen = true;
    const unknown = failureOf(a.raKv.put("store", "k", 1, { timeoutMs: 100 }));
    await cluster.runtime.advance(120);
    assertEquals(raKvOutcomeUnknown(await unknown), true);
    group.lead(undefined);
    const never = failureOf(a.raKv.put("store", "k", 1, { timeoutMs: 100 }));
    await cluster.runtime.advance(120);
    assertEquals((await never).code, "timeout");
    assertEquals(raKvOutcomeUnknown(await never), false);
    for (const timeoutMs of [0, 1.5, 2 ** 31]) {
      const error = await failureOf(a.raKv.get("store", "k", { timeoutMs }));
      assertEquals(error.code, "invalid_argument");
    }
  },
);

/** The next `count` events of a watch. */
async function take(
  watch: AsyncIterableIterator<RaKvEvent>,
  count: number,
): Promise<RaKvEvent[]> {
  const events: RaKvEvent[] = [];
  while (events.length < count) {
    const { value, done } = await watch.next();
    assert(done !== true);
    events.push(value as RaKvEvent);
  }
  return events;
}

withClients(
  "raKv.watch() reports a prefix from now on, in log order",
  async ({ a, b }) => {
    await a.raKv.put("store", "user/0", "before");
    const watch = b.raKv.watch("store", { prefix: "user/" });
    assertEquals(await take(watch, 1), [{ type: "watching", index: 1 }]);
    const seen = take(watch, 4);
    await a.raKv.put("store", "user/1", "one");
    await a.raKv.put("store", "other", "x");
    await a.raKv.batch("store", [
      { type: "put", key: "user/2", value: { n: 2 } },
      { type: "delete", key: "user/0" },
    ]);
    await a.raKv.delete("store", "user/1");
    assertEquals(await seen, [
      { type: "put", key: "user/1", index: 2, value: "one" },
      { type: "put", key: "user/2", index: 4, value: { n: 2 } },
      { type: "delete", key: "user/0", index: 4 },
      { type: "delete", key: "user/1", index: 5 },
    ]);
    await watch.return?.();
  },
);

withClients(
  "raKv.watch() continues after an index, at another node",
  async ({ a, b, d }, cluster) => {
    for (const value of [1, 2, 3]) await a.raKv.put("store", "k", value);
    const events = await take(b.raKv.watch("store", { key: "k", after: 1 }), 1);
    assertEquals(events, [{ type: "put", key: "k", index: 2, value: 2 }]);
    const next = await take(d.raKv.watch("store", { key: "k", after: 2 }), 1);
    assertEquals(next, [{ type: "put", key: "k", index: 3, value: 3 }]);
    const keys = await take(
      d.raKv.watch("store", { prefix: "", after: 2, values: false }),
      1,
    );
    assertEquals(keys, [{ type: "put", key: "k", index: 3, value: undefined }]);
    const group = cluster.groups.get("store")!;
    group.timeMs = 9_000;
    await a.raKv.put("store", "k", 4, { ttlMs: 5 });
    group.timeMs = 9_005;
    group.append(2, Uint8Array.of(4));
    for (const member of group.members.values()) member.catchUp();
    assertEquals(
      await take(a.raKv.watch("store", { key: "k", after: 4 }), 1),
      [{ type: "expire", key: "k", index: 5 }],
    );
  },
);

withClients(
  "raKv.watch() continues after waits without events, and reports when it missed some",
  async ({ a, b }, cluster) => {
    const watch = b.raKv.watch("store", { key: "k" });
    await take(watch, 1);
    const next = take(watch, 2);
    await cluster.runtime.advance(70_000);
    const member = b.groups.get("store")!;
    member.paused = true;
    await a.raKv.put("store", "k", 1);
    member.paused = false;
    member.install(a.groups.get("store")!);
    await cluster.runtime.advance(10);
    await a.raKv.put("store", "k", 2);
    assertEquals(await next, [
      { type: "missed", index: 1 },
      { type: "put", key: "k", index: 2, value: 2 },
    ]);
  },
);

withClients(
  "raKv.watch() ends with its signal, and refuses what it cannot watch",
  async ({ b }, cluster) => {
    const stop = new AbortController();
    const watch = b.raKv.watch("store", { key: "k", signal: stop.signal });
    await take(watch, 1);
    const next = failureOf(watch.next());
    await cluster.runtime.advance(10);
    stop.abort();
    assertEquals((await next).code, "cancelled");
    await cluster.runtime.advance(30_000);
    const bad: [Partial<RaKvWatchOptions>, string][] = [
      [{}, "invalid_argument"],
      [{ key: "a", prefix: "b" } as never, "invalid_argument"],
      [{ key: "" }, "invalid_key"],
      [{ prefix: "\ud800" }, "invalid_key"],
      [{ prefix: "x".repeat(1_025) }, "invalid_key"],
    ];
    for (const [options, code] of bad) {
      const watch = b.raKv.watch("store", options as RaKvWatchOptions);
      assertEquals((await failureOf(watch.next())).code, code);
    }
    const unknown = b.raKv.watch("nowhere", { key: "k" });
    assertEquals((await failureOf(unknown.next())).code, "unknown_cluster");
  },
);

withClients(
  "raKv.watch() continues when nobody has answered in time",
  async ({ a, d }, cluster) => {
    await a.raKv.put("store", "k", 1);
    const watch = d.raKv.watch("store", { key: "k", after: 1 });
    // d has no member, and a accepts its watch and stays silent.
    cluster.silent.add("a");
    const next = take(watch, 1);
    await cluster.runtime.advance(25_200);
    cluster.silent.clear();
    await cluster.runtime.advance(1_000);
    await a.raKv.put("store", "k", 2);
    await cluster.runtime.advance(30_000);
    assertEquals(await next, [{ type: "put", key: "k", index: 2, value: 2 }]);
  },
);
