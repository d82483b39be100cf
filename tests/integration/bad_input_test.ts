/**
 * What callers of `kv` can get wrong, inside a node and over a connection: each
 * is told what is wrong, in the same words, and the nodes serve on.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ErrorCode, WhorlError } from "../../src/base/errors.ts";
import type {
  KvGetOptions,
  KvPutOptions,
  KvValue,
} from "../../src/kv/kv_client.ts";
import {
  BUCKET_BYTES_MAX,
  KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "../../src/kv/key_limits.ts";
import {
  CLUSTER_KINDS,
  type TestCluster,
  withCluster,
} from "../harness/test_cluster.ts";
import { until } from "../harness/until.ts";

const KIB = 1024;
/** How long a node may take to notice that a client has hung up, in milliseconds. */
const LET_GO_MS_MAX = 10_000;

/** Expects `work` to be refused with `code`. */
async function refused(
  code: ErrorCode,
  what: string,
  work: () => Promise<unknown>,
): Promise<WhorlError> {
  const error = await assertRejects(work, WhorlError, undefined, what);
  assertEquals(error.code, code, `${what}: ${error.message}`);
  assert(error.message.startsWith("Cannot "), error.message);
  return error;
}

async function assertServes(cluster: TestCluster): Promise<void> {
  for (const { kv, name } of cluster.nodes) {
    await kv.put("good", name, name);
    assert((await kv.get("good", name)).values.includes(name));
  }
}

/** Bytes that differ from place to place. */
function bytesOf(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
  return bytes;
}

for (const kind of CLUSTER_KINDS) {
  Deno.test(`${kind}: quorums that cannot be are refused with invalid_quorum`, () =>
    withCluster({ kind }, async (cluster) => {
      await cluster.joinAll();
      const { kv } = cluster.node(0);
      const wrong: unknown[] = [
        { n: 0 },
        { n: 9 },
        { n: -1 },
        { n: 1.5 },
        { n: NaN },
        { n: "3" },
        { n: null },
        { nodeConfirms: 4 },
        { timeoutMs: 0 },
        { timeoutMs: -5 },
        { timeoutMs: Infinity },
        { timeoutMs: 3_600_001 },
        { quorum: "maybe" },
      ];
      const wrongReads = [{ r: 0 }, { r: 4 }, { r: "most" }, { pr: -1 }, {
        pr: 4,
      }, { n: 2, r: 3 }];
      const wrongWrites = [
        { w: 0 },
        { w: 4 },
        { w: "none" },
        { pw: 4 },
        {
          dw: 4,
        },
        { dw: -1 },
        { n: 1, w: 2 },
      ];
      for (const options of [...wrong, ...wrongReads]) {
        const error = await refused(
          "invalid_quorum",
          Deno.inspect(options),
          () => kv.get("b", "k", options as KvGetOptions),
        );
        assert("option" in error.details && "rule" in error.details);
      }
      for (const options of [...wrong, ...wrongWrites]) {
        await refused(
          "invalid_quorum",
          Deno.inspect(options),
          () => kv.put("b", "k", 1, options as KvPutOptions),
        );
        await refused(
          "invalid_quorum",
          Deno.inspect(options),
          () => kv.delete("b", "k", options as KvPutOptions),
        );
      }
      // More distinct nodes than there are: possible in numbers, not here.
      await refused(
        "insufficient_vnodes",
        "five nodes",
        () => kv.put("b", "k", 1, { n: 5, w: 5, nodeConfirms: 5 }),
      );
      assertEquals((await kv.get("b", "k")).values, []);
      await assertServes(cluster);
    }));

  Deno.test(`${kind}: keys and buckets are any text with a length, and nothing else`, () =>
    withCluster({ kind }, async (cluster) => {
      await cluster.joinAll();
      const [writer, reader] = [cluster.node(0).kv, cluster.node(1).kv];
      const names = [
        "\0",
        "a\0b",
        "a\0",
        " ",
        "../../etc/passwd",
        "ä",
        "a\u0308",
        "💥",
        "\ufeff",
        "\uffff",
        "__proto__",
        "x".repeat(BUCKET_BYTES_MAX),
        "ä".repeat(BUCKET_BYTES_MAX / 2),
      ];
      for (const [i, name] of names.entries()) {
        await writer.put(name, name, i);
        await writer.put("bucket", name, -i);
      }
      await writer.put("b", "k".repeat(KEY_BYTES_MAX), "longest");
      for (const [i, name] of names.entries()) {
        assertEquals((await reader.get(name, name)).values, [i], name);
        assertEquals((await reader.get("bucket", name)).values, [-i], name);
      }
      assertEquals(
        (await reader.get("b", "k".repeat(KEY_BYTES_MAX))).value,
        "longest",
      );
      const wrong: unknown[] = [
        "",
        "\ud800",
        "a\udc00b",
        "x".repeat(1_000_000),
        undefined,
        null,
        5,
        {},
        new Uint8Array(3),
      ];
      for (const name of wrong) {
        const shown = Deno.inspect(name).slice(0, 30);
        for (
          const [bucket, key] of [[name, "k"], ["b", name]] as [
            string,
            string,
          ][]
        ) {
          await refused("invalid_key", shown, () => writer.get(bucket, key));
          await refused("invalid_key", shown, () => writer.put(bucket, key, 1));
          await refused("invalid_key", shown, () => writer.delete(bucket, key));
        }
      }
      for (
        const [bucket, key] of [
          ["x".repeat(BUCKET_BYTES_MAX + 1), "k"],
          ["ä".repeat(BUCKET_BYTES_MAX / 2) + "x", "k"],
          ["b", "k".repeat(KEY_BYTES_MAX + 1)],
        ] as const
      ) await refused("invalid_key", "long", () => writer.put(bucket, key, 1));
      await assertServes(cluster);
    }));

  Deno.test(`${kind}: values that JSON cannot say are refused with invalid_argument`, () =>
    withCluster({ kind, nodes: 1 }, async (cluster) => {
      const { kv } = cluster.node(0);
      const cyclic: Record<string, unknown> = {};
      cyclic["itself"] = cyclic;
      const throwing = {
        toJSON() {
          throw new Error("not today");
        },
      };
      for (
        const value of [undefined, 5n, () => {}, Symbol("x"), cyclic, throwing]
      ) {
        await refused(
          "invalid_argument",
          Deno.inspect(value),
          () => kv.put("b", "k", value as KvValue),
        );
      }
      for (const context of ["", "nonsense", "AAAA", "\0", 5, {}]) {
        await refused(
          "invalid_context",
          Deno.inspect(context),
          () => kv.put("b", "k", 1, { context } as KvPutOptions),
        );
      }
      assertEquals((await kv.get("b", "k")).values, []);
      await assertServes(cluster);
    }));

  for (const storage of ["memory", "deno_kv"] as const) {
    Deno.test(`${kind}, ${storage}: values of every size up to the limit come back, larger ones are refused`, () =>
      withCluster({ kind, storage }, async (cluster) => {
        await cluster.joinAll();
        const [writer, reader] = [cluster.node(0).kv, cluster.node(1).kv];
        const sizes = [
          0,
          1,
          64 * KIB - 1,
          64 * KIB,
          64 * KIB + 1,
          5 * KIB * KIB,
          VALUE_BYTES_MAX,
        ];
        for (const size of sizes) {
          await writer.put("sizes", `${size}`, bytesOf(size), LONG);
        }
        const text = "ä".repeat(VALUE_BYTES_MAX / 2 - 1);
        await writer.put("sizes", "text", text, LONG);
        for (const size of sizes) {
          const { values } = await reader.get("sizes", `${size}`, LONG);
          assertEquals(values.length, 1);
          // Not by assertEquals(), which would show megabytes.
          assert(equal(values[0] as Uint8Array, bytesOf(size)), `${size}`);
        }
        assert((await reader.get("sizes", "text", LONG)).value === text);
        for (
          const value of [
            bytesOf(VALUE_BYTES_MAX + 1),
            bytesOf(40 * KIB * KIB),
            `${text}x`,
          ]
        ) {
          await refused(
            "value_too_large",
            `${value.length}`,
            () => writer.put("sizes", "over", value, LONG),
          );
        }
        assertEquals((await reader.get("sizes", "over")).values, []);
        await assertServes(cluster);
      }));
  }

  Deno.test(`${kind}: what is too much is answered with overload, the rest as ever`, () =>
    withCluster(
      { kind, each: (index) => index === 0 ? { requestsMax: 16 } : {} },
      async (cluster) => {
        await cluster.joinAll();
        const { kv } = cluster.node(0);
        const outcomes = await Promise.allSettled(
          Array.from({ length: 400 }, (_, i) => kv.put("b", `${i}`, i)),
        );
        const done: number[] = [];
        for (const [i, outcome] of outcomes.entries()) {
          if (outcome.status === "fulfilled") done.push(i);
          else assertEquals(outcome.reason.code, "overload", outcome.reason);
        }
        assert(done.length > 0 && done.length < 400, `${done.length} done`);
        for (const i of done) {
          const { values } = await cluster.node(1).kv.get("b", `${i}`);
          assertEquals(values, [i]);
        }
        await assertServes(cluster);
      },
    ));

  Deno.test(`${kind}: a client that hangs up in the middle of requests leaves nothing behind`, () =>
    withCluster({ kind }, async (cluster) => {
      await cluster.joinAll();
      const { address } = cluster.node(0);
      const client = await cluster.client([address]);
      await client.kv.put("b", "k", 0);
      const outcomes = Promise.allSettled(
        Array.from({ length: 200 }, (_, i) => client.kv.put("b", `${i}`, i)),
      );
      await client.close();
      for (const outcome of await outcomes) {
        if (outcome.status === "rejected") {
          if (outcome.reason.code !== "closed") throw outcome.reason;
        }
      }
      const error = await assertRejects(
        () => client.kv.get("b", "k"),
        WhorlError,
      );
      assertEquals(error.code, "closed");
      await assertServes(cluster);
      let clients = NaN;
      await until(
        () => `the client is let go, of ${clients}`,
        async () => {
          const { values } = await cluster.node(0).control.stats();
          clients = values["connections.clients"] ?? 0;
          return clients === clientsOf(cluster);
        },
        LET_GO_MS_MAX,
      );
    }));

  Deno.test(`${kind}: a caller that gives up is told so at once`, () =>
    withCluster({ kind, nodes: 1 }, async (cluster) => {
      const { kv } = cluster.node(0);
      const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
        (signal) => kv.get("b", "k", { signal }),
        (signal) => kv.put("b", "k", 1, { signal }),
        (signal) => kv.delete("b", "k", { signal }),
      ];
      for (const call of calls) {
        const error = await assertRejects(
          () => call(AbortSignal.abort()),
          WhorlError,
        );
        assertEquals(error.code, "cancelled");
        const controller = new AbortController();
        const outcome = assertRejects(
          () => call(controller.signal),
          WhorlError,
        );
        controller.abort();
        assertEquals((await outcome).code, "cancelled");
      }
      await assertServes(cluster);
    }));
}

/** Large values take their time on a busy machine. */
const LONG: KvPutOptions & KvGetOptions = { timeoutMs: 30_000 };

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Clients that the harness itself has at node 0: one, where nodes are processes. */
function clientsOf(cluster: TestCluster): number {
  return cluster.kind === "processes" ? 1 : 0;
}
