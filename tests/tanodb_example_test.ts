/**
 * tanodb without its prompt: its vnode, its operations on one node, its HTTP
 * interface, its counters. `integration/tanodb_prompt_test.ts` has the
 * transcripts of its tutorial.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { keysResult, Tanodb } from "../examples/tanodb/tanodb.ts";
import {
  BODY_BYTES_MAX,
  REFUSALS,
  serveTanodb,
} from "../examples/tanodb/tanodb_http.ts";
import { httpErrorOf } from "../examples/http_error.ts";
import {
  RecentCount,
  TanodbMetrics,
  Times,
  TIMES_KEPT,
} from "../examples/tanodb/tanodb_metrics.ts";
import { type Row, rowKey } from "../examples/tanodb/tanodb_row.ts";
import tanodbModule from "../examples/tanodb/tanodb_vnode.ts";
import {
  type CoverageReport,
  type CoverageVnodeState,
  type ErrorCode,
  partitionOf,
  startNode,
  type VnodeCall,
  type VnodeCommands,
  type VnodeContext,
  WhorlError,
  type WhorlNode,
} from "../mod.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { WatchedPartition } from "../src/vnode/watched_partition.ts";

function startTanodbNode(): Promise<WhorlNode> {
  return startNode({
    name: "tanodb@127.0.0.1",
    cookie: "a secret all nodes share",
    modules: [{
      url: new URL("../examples/tanodb/tanodb_vnode.ts", import.meta.url),
      module: tanodbModule,
    }],
    masterPlacement: "task",
  });
}

type TanodbVnode = Awaited<ReturnType<typeof tanodbModule.init>>;

/** A vnode of partition 10 on a store of its own. */
async function startVnode(): Promise<TanodbVnode> {
  const store = openMemoryStore("0".repeat(16));
  const context = {
    storage: new WatchedPartition(store.partition(10)),
    ringSize: 64,
  };
  // It needs nothing else of its context.
  return await tanodbModule.init(10, context as unknown as VnodeContext);
}

const CALL = {} as VnodeCall<VnodeCommands[string]>;

function put(vnode: TanodbVnode, key: string, at: number, value: unknown) {
  const json = JSON.stringify(value);
  return vnode.handleCommand.put({ bucket: "b", key, at, json }, CALL);
}

function remove(vnode: TanodbVnode, key: string, at: number) {
  return vnode.handleCommand.delete({ bucket: "b", key, at }, CALL);
}

function get(vnode: TanodbVnode, key: string) {
  return vnode.handleCommand.get({ bucket: "b", key }, CALL) as Promise<
    Row | null
  >;
}

/** Hands all that `from` has to `to`. */
async function handOver(from: TanodbVnode, to: TanodbVnode): Promise<void> {
  const arrived: unknown[] = [];
  for await (const item of from.fold()) {
    arrived.push(to.handleHandoffData(from.encodeHandoffItem(item)!));
  }
  await Promise.all(arrived);
}

async function keysOf(
  vnode: TanodbVnode,
  bucket: string,
  keySpaces: ReadonlySet<number> | null = null,
): Promise<string[]> {
  const signal = new AbortController().signal;
  const keys: string[] = [];
  const chunks = vnode.handleCoverage!.keys({ bucket }, keySpaces, signal);
  for await (const chunk of chunks) keys.push(...chunk);
  return keys;
}

Deno.test("tanodb's vnode applies commands in order of arrival, even if a clock is behind", async () => {
  const vnode = await startVnode();
  await put(vnode, "k1", 2_000, "first");
  await put(vnode, "k1", 1_000, "second");
  assertEquals(await get(vnode, "k1"), { at: 2_001, json: '"second"' });
  assertEquals(await remove(vnode, "k1", 1_000), {
    at: 2_001,
    json: '"second"',
  });
  assertEquals(await get(vnode, "k1"), { at: 2_002, json: null });
});

Deno.test("tanodb's vnode keeps the later of two copies of a row, whichever comes first", async () => {
  const owner = await startVnode();
  const fallback = await startVnode();
  await put(owner, "old here", 1_000, 1);
  await put(fallback, "old here", 2_000, 2);
  await put(owner, "old there", 2_000, 2);
  await put(fallback, "old there", 1_000, 1);
  await put(owner, "deleted there", 1_000, 1);
  await remove(fallback, "deleted there", 2_000);
  await put(fallback, "only there", 1_000, 2);
  const forth = await startVnode();
  const back = await startVnode();
  for (
    const [to, vnodes] of [[forth, [owner, fallback]], [back, [
      fallback,
      owner,
    ]]] as const
  ) {
    for (const from of vnodes) await handOver(from, to);
    // Again, as after a transfer that was broken off.
    await handOver(owner, to);
    for (const key of ["old here", "old there", "only there"]) {
      assertEquals((await get(to, key))?.json, "2", key);
    }
    assertEquals((await get(to, "deleted there"))?.json, null);
    assertEquals(await keysOf(to, "b"), [
      "old here",
      "old there",
      "only there",
    ]);
  }
  await forth.delete();
  assertEquals(await forth.isEmpty(), true);
});

Deno.test("tanodb's vnode lists the keys of one bucket, in the requested key spaces", async () => {
  const vnode = await startVnode();
  const longest = "b".repeat(255);
  for (const bucket of ["a", "b", "bb", "c", longest]) {
    for (const key of ["k1", "k2"]) {
      await vnode.handleCommand.put(
        { bucket, key: `${bucket} ${key}`, at: 1, json: "1" },
        CALL,
      );
    }
  }
  for (let i = 0; i < 600; i++) await put(vnode, `many ${i}`, 1, i);
  assertEquals(await keysOf(vnode, "bb"), ["bb k1", "bb k2"]);
  assertEquals((await keysOf(vnode, "b")).length, 602);
  assertEquals((await keysOf(vnode, longest)).length, 2);
  assertEquals(await keysOf(vnode, "ab"), []);
  const space = vnode.keySpaceOf!(
    { sortKey: rowKey("bb", "bb k2"), item: undefined },
    64,
  );
  assertEquals(await keysOf(vnode, "bb", new Set([space])), ["bb k2"]);
});

Deno.test("Tanodb refuses what it cannot store", async () => {
  await using node = await startTanodbNode();
  const tanodb = new Tanodb(node.module(tanodbModule));
  await assertRejects(
    () => tanodb.put("b", "k", undefined as never),
    TypeError,
    "it is of type undefined",
  );
  for (
    const [refused, code] of [
      [() => tanodb.put("b", "", 1), "invalid_key"],
      [() => tanodb.put("b", "k", 1, { n: 2, w: 3 }), "invalid_quorum"],
      [() => tanodb.get("b", "k", { n: 2, r: 0 }), "invalid_quorum"],
    ] as const
  ) assertEquals((await assertRejects(refused, WhorlError)).code, code);
  assertEquals((await tanodb.get("b", "k")).status, "not_found");
});

Deno.test("Tanodb takes the latest change when replicas differ", async () => {
  await using node = await startTanodbNode();
  const vnodes = node.module(tanodbModule);
  const tanodb = new Tanodb(vnodes);
  const all = { r: 3 };
  await tanodb.put("mybucket", "k1", "old");
  await tanodb.single.put("mybucket", "k1", "new");
  const name = { bucket: "mybucket", key: "k1", node: node.name };
  assertEquals(await tanodb.get("mybucket", "k1", all), {
    status: "found",
    partition: 10,
    ...name,
    value: "new",
  });
  // The second vnode alone: where the row is sent is not where it belongs.
  let route = 0;
  while (partitionOf("route", `${route}`, 64) !== 11) route++;
  const later = { bucket: "mybucket", key: "k1", at: Date.now() + 60_000 };
  const second = { n: 1, w: 1 };
  await vnodes.request(
    "route",
    `${route}`,
    "put",
    { ...later, json: "1" },
    second,
  );
  assertEquals(await tanodb.get("mybucket", "k1", all), {
    status: "found",
    partition: 11,
    ...name,
    value: 1,
  });
  await vnodes.request("route", `${route}`, "delete", later, second);
  assertEquals(await tanodb.get("mybucket", "k1", all), {
    status: "not_found",
    partition: 11,
    ...name,
  });
});

Deno.test("keysResult() tells whether the vnodes that answered hold a replica of everything", () => {
  const vnode = (partition: number, state: CoverageVnodeState) => ({
    partition,
    node: "dev1@127.0.0.1",
    keySpaces: [partition],
    state,
  });
  const report = (...missing: number[]): CoverageReport => ({
    complete: missing.length === 0,
    ringVersion: 1,
    ringSize: 64,
    asked: [vnode(2, "answered"), vnode(1, "failed"), vnode(0, "answered")],
    answered: [],
    missing,
  });
  const said = new Map([[0, ["a"]], [1, ["half of it"]]]);
  const rows = [
    { partition: 0, node: "dev1@127.0.0.1", keys: [] },
    { partition: 2, node: "dev1@127.0.0.1", keys: ["a"] },
  ];
  assertEquals(keysResult(report(), said), {
    status: "ok",
    rows,
    missing: [],
    complete: true,
  });
  assertEquals(keysResult(report(1, 2, 4, 5), said, "too late"), {
    status: "partial",
    rows,
    missing: [1, 2, 4, 5],
    complete: true,
    reason: "too late",
  });
  assertEquals(keysResult(report(4, 5, 6), said).complete, false);
  assertEquals(keysResult(report(0, 1, 63), said).complete, false);
  assertEquals(keysResult(report(0, 1, 62), said).complete, true);
});

/** An HTTP interface on a node of its own. */
async function startHttp(): Promise<
  AsyncDisposable & {
    readonly node: WhorlNode;
    fetch(path: string, init?: RequestInit): Promise<Response>;
  }
> {
  const node = await startTanodbNode();
  const metrics = new TanodbMetrics();
  const tanodb = new Tanodb(node.module(tanodbModule), metrics.countOperation);
  const server = serveTanodb({ tanodb, node, metrics }, {
    hostname: "127.0.0.1",
    port: 0,
  });
  return {
    node,
    fetch: (path, init) =>
      fetch(`http://127.0.0.1:${server.addr.port}${path}`, init),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await node.stop();
    },
  };
}

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

Deno.test("tanodb's HTTP interface stores, lists and deletes", async () => {
  await using http = await startHttp();
  /** Status, and the body if there is one. */
  const ask = async (method: string, path: string, body?: unknown) => {
    const response = await http.fetch(path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: JSON_TYPE }),
    });
    const text = await response.text();
    return text === ""
      ? [response.status]
      : [response.status, JSON.parse(text)];
  };
  const absent = [404, { type: "not-found", reason: "There is no such key" }];
  assertEquals(await ask("GET", "/store/mybucket"), [200, []]);
  assertEquals(await ask("GET", "/store/mybucket/k1"), absent);
  assertEquals(await ask("DELETE", "/store/mybucket/k1"), absent);
  assertEquals(await ask("POST", "/store/mybucket/k1", { a: [1] }), [204]);
  assertEquals(await ask("POST", "/store/mybucket/a%2Fb%20c", null), [204]);
  assertEquals(await ask("GET", "/store/mybucket/k1"), [200, { a: [1] }]);
  assertEquals(await ask("GET", "/store/mybucket/a%2Fb%20c"), [200, null]);
  assertEquals(await ask("GET", "/store/mybucket"), [200, ["a/b c", "k1"]]);
  assertEquals(await ask("DELETE", "/store/mybucket/k1"), [204]);
  assertEquals(await ask("DELETE", "/store/mybucket/k1"), absent);
  assertEquals(await ask("GET", "/store/mybucket"), [200, ["a/b c"]]);
  assertEquals(await ask("DELETE", "/store/mybucket"), [
    404,
    { type: "not-found", reason: "There is no key in the path" },
  ]);
});

Deno.test("tanodb's HTTP interface reports what is wrong with a request", async () => {
  await using http = await startHttp();
  const json = (body: BodyInit): RequestInit => ({
    method: "POST",
    headers: JSON_TYPE,
    body,
  });
  const long = `"${"x".repeat(BODY_BYTES_MAX)}"`;
  const cases: [string, RequestInit, number, string][] = [
    ["/store/b/k", { method: "PUT" }, 405, "method-not-allowed"],
    ["/store/b", { method: "PATCH" }, 405, "method-not-allowed"],
    ["/ping", { method: "POST" }, 405, "method-not-allowed"],
    [
      "/store/b/k",
      { method: "POST", body: "1" },
      415,
      "unsupported-media-type",
    ],
    ["/store/b/k", json("{"), 400, "invalid-body"],
    [
      "/store/b/k",
      json(new Uint8Array([0x22, 0xff, 0x22])),
      400,
      "invalid-body",
    ],
    ["/store/b/k", json(""), 400, "invalid-body"],
    ["/store/b/k", json(long), 413, "too-large"],
    ["/store/b/k", json(new Blob([long]).stream()), 413, "too-large"],
    ["/store/b/%ff", {}, 400, "invalid-path"],
    [`/store/b/${"k".repeat(2_000)}`, {}, 400, "invalid-key"],
    ["/store/b/k/more", {}, 404, "not-found"],
    ["/store//k", {}, 404, "not-found"],
    ["/store", {}, 404, "not-found"],
    ["/", {}, 404, "not-found"],
  ];
  for (const [path, init, status, type] of cases) {
    const response = await http.fetch(path, init);
    const body = await response.json();
    assertEquals([response.status, body.type], [status, type], path);
    assertEquals(typeof body.reason, "string");
  }
  const refused = await http.fetch("/ping", { method: "DELETE" });
  assertEquals(refused.headers.get("allow"), "GET");
  await refused.body?.cancel();
});

Deno.test("tanodb's HTTP interface answers /ping with an index of the ring and counts in /metrics", async () => {
  await using http = await startHttp();
  const indexes = new Set<string>();
  for (let i = 0; i < 8; i++) {
    indexes.add((await (await http.fetch("/ping")).json()).pong);
  }
  for (const index of indexes) assertEquals(BigInt(index) % (1n << 154n), 0n);
  assert(indexes.size > 1, `always ${[...indexes]}`);
  await (await http.fetch("/store/b/k")).body?.cancel();
  const { tanodb, http: counted, node, core } =
    await (await http.fetch("/metrics")).json();
  assertEquals(tanodb.node, "tanodb@127.0.0.1");
  assert(node["memory.rssBytes"] > 0);
  assertEquals(core, {
    ping: { count: 8, one: 8 },
    get: { count: 1, one: 1 },
    put: { count: 0, one: 0 },
    delete: { count: 0, one: 0 },
    keys: { count: 0, one: 0 },
  });
  // The request for the metrics is itself under way.
  assertEquals(counted.active, 1);
  assertEquals(counted.endpoints.ping.responses, { 200: 8 });
  assertEquals(counted.endpoints.key.responses, { 404: 1 });
  assertEquals(counted.endpoints.ping.timeMs.n, 8);
  const { min, mean, max } = counted.endpoints.ping.timeMs;
  assert(0 < min && min <= mean && mean <= max);
});

Deno.test("tanodb's HTTP interface answers 503 while its node does not run", async () => {
  await using http = await startHttp();
  await http.node.stop();
  for (const path of ["/ping", "/store/b", "/store/b/k"]) {
    const response = await http.fetch(path);
    assertEquals([response.status, (await response.json()).type], [
      503,
      "closed",
    ]);
  }
});

Deno.test("httpErrorOf() distinguishes passing errors from those of the caller", () => {
  const statusOf = (code: ErrorCode) =>
    httpErrorOf(new WhorlError(code, "Cannot"), REFUSALS).status;
  assertEquals(statusOf("timeout"), 503);
  assertEquals(statusOf("insufficient_vnodes"), 503);
  assertEquals(statusOf("invalid_key"), 400);
  assertEquals(statusOf("vnode_error"), 500);
  assertEquals(httpErrorOf(new Error("broken")).status, 500);
  const { type } = httpErrorOf(new WhorlError("quorum_unavailable", "Cannot"));
  assertEquals(type, "quorum-unavailable");
});

Deno.test("RecentCount forgets what is older than a minute", () => {
  const count = new RecentCount();
  for (const ms of [5_000, 5_999, 6_000, 64_999]) count.add(ms);
  assertEquals(count.at(64_999), { count: 4, one: 4 });
  assertEquals(count.at(65_000), { count: 4, one: 2 });
  assertEquals(count.at(66_000), { count: 4, one: 1 });
  assertEquals(count.at(10_000_000), { count: 4, one: 0 });
});

Deno.test("Times reports the distribution of the latest times", () => {
  const times = new Times();
  assertEquals(times.histogram(), { n: 0 });
  for (let i = 0; i < TIMES_KEPT; i++) times.add(1_000);
  for (let ms = 1; ms <= TIMES_KEPT; ms++) times.add(ms);
  assertEquals(times.histogram(), {
    n: 1_024,
    mean: 512.5,
    min: 1,
    max: 1_024,
    median: 512,
    50: 512,
    75: 768,
    90: 922,
    95: 973,
    99: 1_014,
    999: 1_023,
  });
});
