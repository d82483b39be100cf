import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { kvClient, kvOutcomeUnknown } from "../kv/kv_client.ts";
import {
  RaKvOperation,
  readGetBody,
  writeGetAnswer,
  writeWriteAnswer,
} from "../ra_kv/ra_kv_codec.ts";
import { emptyChange, visitChanges } from "../ra_kv/ra_kv_command_codec.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import {
  emptyOperationHeader,
  OperationKind,
  readOperationHeader,
} from "../request/operation_codec.ts";
import { partitionOf } from "../ring/chash.ts";
import { ConsistentKeys } from "./consistent_keys.ts";
import { ConsistentKv } from "./consistent_kv.ts";
import { partitionGroup } from "./ensemble_names.ts";
import { MarkedBuckets } from "./marked_buckets.ts";

const decoder = new TextDecoder();

/** Groups that behave like `ra_kv`, with all keys in one map. */
class Groups implements OperationCarrier {
  readonly values = new Map<string, { index: number; value: Uint8Array }>();
  readonly asked: string[] = [];
  fail: ErrorCode | undefined;
  #index = 0;

  submit(
    ...[bytes, start, end, target]: Parameters<OperationCarrier["submit"]>
  ) {
    const header = emptyOperationHeader();
    const reader = new ByteReader(bytes, start, end);
    readOperationHeader(reader, header);
    const { keyStart, keyEnd, kind, command } = header;
    assertEquals(kind, OperationKind.raft);
    this.asked.push(decoder.decode(bytes.subarray(keyStart, keyEnd)));
    const fail = (code: ErrorCode) =>
      target.operationFailed(new WhorlError(code, code));
    if (this.fail !== undefined) return fail(this.fail);
    const into = new ByteWriter(64);
    const body = new ByteReader(bytes, keyEnd, end);
    if (command === RaKvOperation.get) {
      const found = this.values.get(readGetBody(body).key.toHex());
      writeGetAnswer(into, {
        found: found !== undefined,
        index: found?.index ?? 0,
        term: 1,
        expiresAtMs: 0,
        group: new Uint8Array(0),
        value: found?.value ?? new Uint8Array(0),
      });
    } else {
      let failure: ErrorCode | undefined;
      visitChanges(body, emptyChange(), (change) => {
        const key = bytes.slice(change.keyStart, change.keyEnd).toHex();
        const index = this.values.get(key)?.index ?? 0;
        if (command === RaKvOperation.delete && index === 0) {
          failure = "not_found";
        } else if (change.ifIndex >= 0 && change.ifIndex !== index) {
          failure = "index_mismatch";
        } else if (command === RaKvOperation.delete) this.values.delete(key);
        else {
          const value = bytes.slice(change.valueStart, change.valueEnd);
          this.values.set(key, { index: ++this.#index, value });
        }
      });
      if (failure !== undefined) return fail(failure);
      writeWriteAnswer(into, {
        index: this.#index,
        term: 1,
        timeMs: 0,
        machineVersion: 0,
      }, "n@h");
    }
    target.operationDone({ object: into.copy(), replies: [], replicas: [] });
  }
}

function consistent() {
  const groups = new Groups();
  const buckets = new MarkedBuckets();
  buckets.set(["accounts"]);
  const service = new ConsistentKv({
    buckets,
    groups: () => groups,
    ring: () => ({ generation: 0, size: 16 }),
    wallClock: () => 1_000,
    keys: new ConsistentKeys({
      runtime: new ManualRuntime(),
      ring: () => ({ generation: 0, size: 16 }),
      newNumber: () => 1,
      keysOf: () => Promise.reject(new WhorlError("timeout", "nobody")),
    }),
  });
  const others: number[] = [];
  const kv = kvClient(() => ({
    submit(bytes, start, end, target) {
      if (service.serves(bytes, start, end)) {
        return service.submit(bytes, start, end, target);
      }
      others.push(bytes[start] as number);
      target.operationFailed(new WhorlError("closed", "another's"));
    },
  }));
  return { kv, groups, service, others };
}

async function codeOf(work: Promise<unknown>): Promise<ErrorCode> {
  return (await assertRejects(() => work, WhorlError)).code;
}

Deno.test("a consistent bucket is served by the group of the key's partition, others are not", async () => {
  const { kv, groups, others } = consistent();
  await kv.put("accounts", "ann", { cents: 5 });
  const found = await kv.get("accounts", "ann");
  assertEquals([found.values, found.replicas], [[{ cents: 5 }], []]);
  const group = partitionGroup(0, partitionOf("accounts", "ann", 16));
  assertEquals(groups.asked, [group, group]);
  assertEquals(await codeOf(kv.get("account", "ann")), "closed");
  assertEquals(await codeOf(kv.put("accounts2", "ann", 1)), "closed");
  assertEquals(await codeOf(Array.fromAsync(kv.keys("other"))), "closed");
  assertEquals(others, [
    OperationKind.get,
    OperationKind.put,
    OperationKind.coverage,
  ]);
  assertEquals(await codeOf(Array.fromAsync(kv.keys("accounts"))), "timeout");
});

Deno.test("values come back as they were written, bytes and JSON", async () => {
  const { kv } = consistent();
  for (const value of [new Uint8Array([0, 1, 255]), null, "", [1, { a: 2 }]]) {
    const { siblings } = await kv.put("accounts", "k", value);
    assertEquals(siblings, 1);
    assertEquals((await kv.get("accounts", "k")).value, value);
  }
});

Deno.test("a write with a context happens if the key is as it was", async () => {
  const { kv } = consistent();
  const absent = (await kv.get("accounts", "k")).context as string;
  const first = await kv.put("accounts", "k", 1, { context: absent });
  const mismatch = [
    () => kv.put("accounts", "k", 2, { context: absent }),
    () => kv.delete("accounts", "k", { context: absent }),
  ];
  for (const act of mismatch) {
    assertEquals(await codeOf(act()), "index_mismatch");
  }
  const read = (await kv.get("accounts", "k")).context;
  assertEquals(first.context, read);
  await kv.put("accounts", "k", 2, { context: first.context });
  assertEquals(
    await codeOf(kv.put("accounts", "k", 3, { context: first.context })),
    "index_mismatch",
  );
  await kv.put("accounts", "k", 4);
  assertEquals((await kv.get("accounts", "k")).value, 4);
});

Deno.test("deleting a missing key succeeds, except for a writer that has seen it present", async () => {
  const { kv } = consistent();
  const { context } = await kv.put("accounts", "k", 1);
  const gone = await kv.delete("accounts", "k", { context });
  assertEquals(gone.siblings, 0);
  assertEquals(
    await codeOf(kv.delete("accounts", "k", { context })),
    "index_mismatch",
  );
  await kv.delete("accounts", "k");
  await kv.delete("accounts", "k", { context: gone.context });
  // Now absent: a writer that has seen that may write it.
  await kv.put("accounts", "k", 2, { context: gone.context });
});

Deno.test("failures of groups become errors of kv", async () => {
  const { kv, groups } = consistent();
  const codes: [ErrorCode, ErrorCode, boolean][] = [
    ["leader_lost", "coordinator_lost", true],
    ["unknown_cluster", "insufficient_vnodes", false],
    ["timeout", "timeout", true],
    ["overload", "overload", false],
  ];
  for (const [fails, code, unknown] of codes) {
    groups.fail = fails;
    const error = await assertRejects(
      () => kv.put("accounts", "k", 1),
      WhorlError,
    );
    assertEquals([error.code, kvOutcomeUnknown(error)], [code, unknown]);
  }
});

Deno.test("unreadable operations are left for others to refuse", () => {
  const { service } = consistent();
  for (const bytes of [new Uint8Array(0), new Uint8Array(18).fill(3)]) {
    assertEquals(service.serves(bytes, 0, bytes.length), false);
  }
});
