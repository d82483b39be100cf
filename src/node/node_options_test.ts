import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  CONSISTENT_BUCKETS,
  WHORL_CAPABILITIES,
} from "../cluster/capability.ts";
import { RAFT_LOG_SIZES_DEFAULT } from "../raft/raft_log_sizes.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "../vnode/mailbox_bounds.ts";
import { type NodeOptions, resolveNodeOptions } from "./node_options.ts";

const LEAST: NodeOptions = { name: "dev1@127.0.0.1", cookie: "secret" };

Deno.test("resolveNodeOptions() fills in every option that was left open", () => {
  assertEquals(resolveNodeOptions(LEAST), {
    name: "dev1@127.0.0.1",
    listen: "127.0.0.1:0",
    advertise: undefined,
    cookie: "secret",
    clusterName: "default",
    dataDirectory: undefined,
    storage: "memory",
    ringSize: 64,
    masters: 1,
    masterPlacement: "worker",
    coordinatorPlacement: "task",
    kvMailbox: MAILBOX_BOUNDS_DEFAULT,
    raftLogs: RAFT_LOG_SIZES_DEFAULT,
    modules: [],
    peers: new Map(),
    requestsMax: 20_000,
    coverageQueriesMax: 100,
    handoffConcurrency: 4,
    // Without a directory it can have no members of ensembles.
    capabilities: WHORL_CAPABILITIES.map((capability) =>
      capability === CONSISTENT_BUCKETS
        ? { ...capability, supported: ["none"] }
        : capability
    ),
    capabilityOverrides: {},
  });
});

Deno.test("resolveNodeOptions() keeps given options", () => {
  const said = {
    listen: "0.0.0.0:10101",
    advertise: "node1.example:10101",
    clusterName: "Test_1.a-b",
    dataDirectory: "/data",
    storage: "memory",
    ringSize: 8,
    masters: 8,
    masterPlacement: "subprocess",
    coordinatorPlacement: "worker",
    kvMailbox: {
      requestsMax: 100,
      bytesMax: 1_000_000,
      requestsSoft: 50,
      behindAfterMs: 1_000,
      waitMsMax: 100,
    },
    raftLogs: {
      walBytesMax: 8_192,
      segmentEntriesMax: 16,
      snapshotEntriesMin: 40,
    },
    modules: [{ url: "file:///counter.ts" }],
    requestsMax: 1,
    coverageQueriesMax: 2,
    handoffConcurrency: 0,
    capabilityOverrides: { handoff: { use: "none" } },
  } as const;
  assertEquals(
    resolveNodeOptions({
      ...LEAST,
      ...said,
      peers: { "dev2@127.0.0.1": "127.0.0.1:9" },
    }),
    {
      ...LEAST,
      ...said,
      peers: new Map([["dev2@127.0.0.1", "127.0.0.1:9"]]),
      capabilities: WHORL_CAPABILITIES,
    },
  );
});

Deno.test("resolveNodeOptions() stores in Deno KV when there is a data directory", () => {
  assertEquals(
    resolveNodeOptions({ ...LEAST, dataDirectory: "/data" }).storage,
    "deno_kv",
  );
});

Deno.test("resolveNodeOptions() accepts every ring size that is a power of two in its range", () => {
  const taken: number[] = [];
  for (let ringSize = 1; ringSize <= 2_048; ringSize++) {
    try {
      taken.push(resolveNodeOptions({ ...LEAST, ringSize }).ringSize);
    } catch (error) {
      assertEquals((error as WhorlError).code, "invalid_ring_size");
    }
  }
  assertEquals(taken, [8, 16, 32, 64, 128, 256, 512, 1_024]);
});

/** Options that must be refused, the code, and a part of the message. */
const REFUSED: readonly (readonly [object, string, string])[] = [
  [{ name: "dev1" }, "invalid_name", "dev1"],
  [{ name: "Dev1@host" }, "invalid_name", "Dev1@host"],
  [{ name: "a@b..c" }, "invalid_name", "a@b..c"],
  [{ peers: { nobody: "127.0.0.1:1" } }, "invalid_name", "nobody"],
  [
    { ringSize: 8.5 },
    "invalid_ring_size",
    "power of two from 8 to 1024: current value is 8.5",
  ],
  [{ ringSize: NaN }, "invalid_ring_size", "current value is NaN"],
  [{ cookie: "" }, "invalid_config", "'cookie' must be at least one character"],
  [{ cookie: 7 }, "invalid_config", "'cookie'"],
  [{ clusterName: "" }, "invalid_config", "'clusterName' must be"],
  [
    { clusterName: "two words" },
    "invalid_config",
    "current value is two words",
  ],
  [{ clusterName: "-a" }, "invalid_config", "'clusterName'"],
  [{ clusterName: "a".repeat(64) }, "invalid_config", "'clusterName'"],
  [
    { masters: 0 },
    "invalid_config",
    "'masters' must be a whole number from 1 to 64: current value is 0",
  ],
  [{ masters: 1.5 }, "invalid_config", "'masters'"],
  [{ masters: 65, ringSize: 128 }, "invalid_config", "'masters'"],
  [
    { masters: 9, ringSize: 8 },
    "invalid_config",
    "from 1 to 8: current value is 9",
  ],
  [
    { masterPlacement: "thread" },
    "invalid_config",
    "'masterPlacement' must be 'task', 'worker' or 'subprocess': current value is thread",
  ],
  [{ coordinatorPlacement: "" }, "invalid_config", "'coordinatorPlacement'"],
  [
    { storage: "disk" },
    "invalid_config",
    "'storage' must be 'deno_kv' or 'memory': current value is disk",
  ],
  [
    { storage: "deno_kv" },
    "invalid_config",
    "'dataDirectory' must be given when storage is 'deno_kv'",
  ],
  [
    { requestsMax: 0 },
    "invalid_config",
    "'requestsMax' must be a whole number of at least 1",
  ],
  [{ requestsMax: 1.5 }, "invalid_config", "'requestsMax'"],
  [{ coverageQueriesMax: 0 }, "invalid_config", "'coverageQueriesMax'"],
  [
    { kvMailbox: { bytesMax: 0 } },
    "invalid_config",
    "'kvMailbox.bytesMax' must be a whole number of at least 1: current value is 0",
  ],
  [
    { kvMailbox: { waitMsMax: 0.5 } },
    "invalid_config",
    "'kvMailbox.waitMsMax'",
  ],
  [
    { kvMailbox: { requests: 5 } },
    "invalid_config",
    "'kvMailbox.requests' must be one of requestsMax, bytesMax,",
  ],
  [
    { raftLogs: { walBytesMax: 100 } },
    "invalid_config",
    "'raftLogs.walBytesMax' must be a whole number from 4096 to 1073741824: current value is 100",
  ],
  [
    { raftLogs: { walBytes: 5 } },
    "invalid_config",
    "'raftLogs.walBytes' must be not there, nothing has that name",
  ],
  [{ handoffConcurrency: -1 }, "invalid_config", "'handoffConcurrency'"],
];

Deno.test("resolveNodeOptions() refuses invalid options, naming the option and its value", () => {
  for (const [wrong, code, message] of REFUSED) {
    const error = assertThrows(
      () => resolveNodeOptions({ ...LEAST, ...wrong } as NodeOptions),
      WhorlError,
      message,
    );
    assertEquals([wrong, error.code], [wrong, code]);
  }
});

Deno.test("resolveNodeOptions() fills in the missing bounds of kv's mailboxes", () => {
  assertEquals(
    resolveNodeOptions({ ...LEAST, kvMailbox: { requestsMax: 7 } }).kvMailbox,
    { ...MAILBOX_BOUNDS_DEFAULT, requestsMax: 7 },
  );
});

Deno.test("resolveNodeOptions() fills in the missing sizes of Raft logs", () => {
  assertEquals(
    resolveNodeOptions({ ...LEAST, raftLogs: { snapshotEntriesMin: 50 } })
      .raftLogs,
    { ...RAFT_LOG_SIZES_DEFAULT, snapshotEntriesMin: 50 },
  );
});

Deno.test("resolveNodeOptions() never shows the cookie", () => {
  const error = assertThrows(
    () => resolveNodeOptions({ ...LEAST, cookie: ["s3cret"] } as never),
    WhorlError,
  );
  assertEquals(error.message.includes("s3cret"), false);
});
