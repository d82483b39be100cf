import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { type Log, silentLog } from "../environment/log.ts";
import { chashKey } from "../ring/chash.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import {
  readVnodeRequestHeader,
  RequestFlag,
  VNODE_REQUEST_TIME_LEFT_OFFSET,
  type VnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { writeFailure } from "../wire/failure.ts";
import { erlangAtom, erlangTuple } from "../wire/etf.ts";
import { FrameType } from "../wire/frame_type.ts";
import { OPERATION_BYTES_MAX, REQUEST_BYTES_MAX } from "./coordinators.ts";
import type { ObjectCommands } from "./object_merge.ts";
import { isCoverageKind, OperationKind } from "./operation_codec.ts";
import { RequestHost } from "./request_host.ts";
import {
  Caller,
  KeptRoutes,
  MODULE_ID,
  operation,
} from "./testing/operations.ts";

/** Objects are any bytes, and the first of two contains the other. */
const ANY_BYTES: ObjectCommands = {
  merge: 2,
  objects: { nothing: new Uint8Array(1), check: () => {}, merge: (a) => a },
};

/** A host on node `a`; all partitions are owned by `owner`. */
function createHost(
  runtime: ManualRuntime,
  routes: KeptRoutes,
  firstSequence = 1,
  log: Log = silentLog,
  { requestsMax = 2, owner = "a" } = {},
): RequestHost {
  const host = new RequestHost({
    runtime,
    routes,
    log,
    objectModules: new Map([[MODULE_ID, ANY_BYTES]]),
    requestsMax,
    firstSequence,
  });
  host.setView(
    MODULE_ID,
    ringViewOf(1, Array(8).fill(owner), ["a", "b"], "a"),
  );
  return host;
}

function submit(
  host: RequestHost,
  options?: Parameters<typeof operation>[0],
): Caller {
  return submitBytes(host, operation(options));
}

function submitBytes(host: RequestHost, bytes: Uint8Array): Caller {
  const caller = new Caller();
  host.submit(bytes, 0, bytes.length, caller);
  return caller;
}

/** An operation for one replica with this many bytes. */
function sized(byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  bytes.set(operation({ n: 1, quorum: 1 }));
  return bytes;
}

/** The vnode at `correlation` answers with an object. */
function reply(host: RequestHost, correlation: number): void {
  host.vnodeAnswer(
    FrameType.vnodeReply,
    correlation,
    new Uint8Array(1),
    0,
    1,
  );
}

/** The vnode at `correlation` answers with a failure. */
function refuse(
  host: RequestHost,
  correlation: number,
  code: ErrorCode,
  details: Record<string, unknown> = {},
): void {
  const into = new ByteWriter();
  writeFailure(into, new WhorlError(code, "It is not done", { details }));
  host.vnodeAnswer(
    FrameType.vnodeError,
    correlation,
    into.bytes,
    0,
    into.length,
  );
}

/** The flags of a request as a vnode receives it. */
function flagsOf(request: Uint8Array): number {
  const header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  readVnodeRequestHeader(new ByteReader(request), header);
  return header.flags;
}

Deno.test("RequestHost answers for a coordinator that is killed, and the others continue", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes);
  const killed = submit(host);
  const kept = submit(host);
  const [first] = host.supervisor.whichChildren();
  first?.kill();
  assertEquals(killed.outcome, ["coordinator_lost"]);
  assertEquals(kept.outcome, []);
  assertEquals(host.size, 1);
  for (const { correlation } of routes.sent) {
    host.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      new Uint8Array(1),
      0,
      1,
    );
  }
  assertEquals(killed.outcome, ["coordinator_lost"]);
  assertEquals(kept.outcome, ["done"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RequestHost sends an operation to the vnodes of its place, and refuses one whose place is invalid", async () => {
  const routes = new KeptRoutes();
  const host = createHost(new ManualRuntime(), routes);
  submit(host, { place: chashKey(erlangAtom("add"), erlangTuple(2, 4)) });
  const partitions = routes.sent.map(({ bytes }) =>
    new DataView(bytes.buffer).getUint16(4)
  );
  // In a ring of 64 it is 17, so in a ring of 8 it is the partition that
  // includes 17.
  assertEquals(partitions, [3, 4, 5]);
  for (const length of [0, 19, 21]) {
    const { outcome } = submit(host, { place: new Uint8Array(length) });
    assertEquals(outcome, ["invalid_argument"], `${length} bytes`);
  }
  await host.close();
});

Deno.test("RequestHost sends reads by the resized ring, and writes by the present one, while the view says so", async () => {
  const routes = new KeptRoutes();
  const host = createHost(new ManualRuntime(), routes, 1, silentLog, {
    requestsMax: 10,
  });
  const nodes = ["a", "b"];
  host.setView(MODULE_ID, {
    ...ringViewOf(2, Array(8).fill("a"), nodes, "a"),
    reads: ringViewOf(2, Array(16).fill("b"), nodes, "a", 1_024),
  });
  const nodesOf = (kind: number): string[] => {
    routes.sent.length = 0;
    submit(host, { kind });
    return [...new Set(routes.sent.map(({ to }) => to))];
  };
  assertEquals(nodesOf(OperationKind.get), ["b"]);
  assertEquals(nodesOf(OperationKind.request), ["b"]);
  assertEquals(nodesOf(OperationKind.put), ["a"]);
  await host.close();
});

Deno.test("RequestHost answers for all coordinators when their supervisor is killed", async () => {
  const runtime = new ManualRuntime();
  const host = createHost(runtime, new KeptRoutes());
  const callers = [submit(host), submit(host)];
  host.supervisor.kill();
  assertEquals(callers.map(({ outcome }) => outcome), [
    ["coordinator_lost"],
    ["coordinator_lost"],
  ]);
  assertEquals(host.size, 0);
  assertEquals(submit(host).outcome, ["closed"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RequestHost answers with overload beyond its bound", async () => {
  const host = createHost(new ManualRuntime(), new KeptRoutes());
  submit(host);
  submit(host);
  assertEquals(submit(host).outcome, ["overload"]);
  const { started, refused } = host.counts;
  assertEquals({ started, refused }, { started: 2, refused: 1 });
  await host.close();
});

Deno.test("RequestHost continues the numbers of the one before it", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const before = createHost(runtime, routes);
  submit(before);
  const late = routes.sent.splice(0);
  before.supervisor.kill();
  const host = createHost(runtime, routes, before.nextSequence);
  const caller = submit(host);
  for (const { correlation } of late) {
    host.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      new Uint8Array(1),
      0,
      1,
    );
  }
  assertEquals(caller.outcome, []);
  await before.close();
  await host.close();
  assertEquals(caller.outcome, ["closed"]);
});

Deno.test("RequestHost answers for a coordinator that crashes, and logs it once a second", async () => {
  const runtime = new ManualRuntime();
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (message, data) => lines.push(`${message} ${JSON.stringify(data)}`),
  };
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes, 1, log);
  routes.endVnodeRequest = () => {
    throw new Error("a bug");
  };
  const callers = [submit(host), submit(host), submit(host)];
  assertEquals(
    callers.map(({ outcome }) => outcome),
    callers.map(() => ["coordinator_lost"]),
  );
  assertEquals(host.size, 0);
  assertEquals(lines.length, 1);
  await runtime.advance(1_000);
  submit(host);
  assertEquals(lines.length, 2);
  assertEquals(lines[1]?.includes('"crashed":4'), true);
  assertEquals(lines[1]?.includes("a bug"), true);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

/** Submits operations until not one more byte is allowed. */
function fill(host: RequestHost): Caller[] {
  const callers: Caller[] = [];
  for (let left = REQUEST_BYTES_MAX; left > 0;) {
    const byteCount = Math.min(left, OPERATION_BYTES_MAX);
    callers.push(submitBytes(host, sized(byteCount)));
    left -= byteCount;
  }
  return callers;
}

Deno.test("RequestHost answers with overload beyond its bound of bytes, and has room again when operations end", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes, 1, silentLog, { requestsMax: 100 });
  const callers = fill(host);
  const taken = callers.length;
  assertEquals(submitBytes(host, sized(100)).outcome, ["overload"]);
  const { started, refused } = host.counts;
  assertEquals({ started, refused }, { started: taken, refused: 1 });
  assertEquals(callers.flatMap(({ outcome }) => outcome), []);

  // One is done, one is killed: each makes room for another like it.
  reply(host, routes.sent[0]!.correlation);
  assertEquals(callers[0]?.outcome, ["done"]);
  const [second] = host.supervisor.whichChildren();
  second?.kill();
  assertEquals(callers[1]?.outcome, ["coordinator_lost"]);
  for (let i = 0; i < 2; i++) {
    assertEquals(submitBytes(host, sized(OPERATION_BYTES_MAX)).outcome, []);
  }
  assertEquals(submitBytes(host, sized(100)).outcome, ["overload"]);

  // So do those whose deadline, and grace, are over.
  routes.sent.length = 0;
  await runtime.advance(1_010 + 1_010);
  assertEquals(host.size, 0);
  assertEquals(fill(host).flatMap(({ outcome }) => outcome), []);
  assertEquals(submitBytes(host, sized(100)).outcome, ["overload"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RequestHost has room again after a coordinator has crashed", async () => {
  const routes = new KeptRoutes();
  const host = createHost(new ManualRuntime(), routes, 1, silentLog, {
    requestsMax: 100,
  });
  const { endVnodeRequest } = routes;
  routes.endVnodeRequest = () => {
    throw new Error("a bug");
  };
  const crashed = fill(host);
  assertEquals(
    crashed.flatMap(({ outcome }) => outcome),
    crashed.map(() => "coordinator_lost"),
  );
  routes.endVnodeRequest = endVnodeRequest;
  assertEquals(fill(host).flatMap(({ outcome }) => outcome), []);
  await host.close();
});

Deno.test("RequestHost refuses an operation that would fit in no frame, and accepts the longest that does", async () => {
  const routes = new KeptRoutes();
  const host = createHost(new ManualRuntime(), routes);
  const refused = submitBytes(host, sized(OPERATION_BYTES_MAX + 1));
  assertEquals(refused.outcome, ["frame_too_large"]);
  assertEquals(refused.errors[0]?.details, {
    length: OPERATION_BYTES_MAX + 1,
    limit: OPERATION_BYTES_MAX,
  });
  assertEquals([host.size, routes.sent.length], [0, 0]);
  submitBytes(host, sized(OPERATION_BYTES_MAX));
  assertEquals([host.size, routes.sent.length], [1, 1]);
  await host.close();
});

for (const [name, kind] of Object.entries(OperationKind)) {
  // The other kinds are coordinated differently: see coverage_process_test.ts
  // and ra_kv_router_test.ts.
  if (isCoverageKind(kind) || kind === OperationKind.raft) continue;
  Deno.test(`RequestHost waits its full grace for the rest after a slow quorum: ${name}`, async () => {
    const runtime = new ManualRuntime();
    const routes = new KeptRoutes();
    const host = createHost(runtime, routes);
    const caller = submit(host, { kind, timeLeftMs: 10_000 });
    // A write asks the others when the first one has answered.
    reply(host, routes.sent[0]!.correlation);
    await runtime.advance(1_500);
    assertEquals(caller.outcome, []);
    reply(host, routes.sent[1]!.correlation);
    assertEquals(caller.outcome, ["done"]);
    await runtime.advance(990);
    assertEquals(host.size, 1);
    await runtime.advance(20);
    assertEquals(host.size, 0);
    await host.close();
    assertEquals(runtime.pendingTimers, 0);
  });

  Deno.test(`RequestHost answers with overload when all replicas do: ${name}`, async () => {
    for (const how of ["they answer so", "they are refused on the way"]) {
      const routes = new KeptRoutes();
      const host = createHost(new ManualRuntime(), routes);
      if (how === "they are refused on the way") {
        routes.refusal = new WhorlError("overload", "The queue is full");
      }
      const caller = submit(host, { kind });
      for (let i = 0; i < routes.sent.length; i++) {
        refuse(host, routes.sent[i]!.correlation, "overload");
      }
      assertEquals(caller.outcome, ["overload"], how);
      await host.close();
    }
    const routes = new KeptRoutes();
    const host = createHost(new ManualRuntime(), routes);
    const caller = submit(host, { kind });
    for (let i = 0; i < routes.sent.length; i++) {
      const code = i === 1 ? "vnode_crashed" : "overload";
      refuse(host, routes.sent[i]!.correlation, code);
    }
    assertEquals(caller.outcome, ["quorum_unavailable"]);
    await host.close();
  });

  Deno.test(`RequestHost refuses at once what cannot succeed while vnodes are overloaded: ${name}`, async () => {
    const runtime = new ManualRuntime();
    const routes = new KeptRoutes();
    const host = createHost(runtime, routes, 1, silentLog, { requestsMax: 9 });
    const first = submit(host, { kind });
    const againAfterMs = 80;
    for (let i = 0; i < routes.sent.length; i++) {
      const { correlation } = routes.sent[i]!;
      // Such a request needs two of three.
      const details = i < 2 ? { againAfterMs } : {};
      refuse(host, correlation, "overload", details);
    }
    assertEquals(first.outcome, ["overload"]);
    await runtime.advance(againAfterMs - 1);
    const sent = routes.sent.length;
    const second = submit(host, { kind });
    assertEquals(second.outcome, ["overload"]);
    assertEquals(second.errors[0]?.details.againAfterMs, 1);
    assertEquals([routes.sent.length, host.size], [sent, 0]);
    assertEquals(host.counts.refused, 1);
    // One replica is enough, and one of them has room.
    const modest = submit(host, { kind, quorum: 1 });
    assertEquals(modest.outcome, []);
    assert(routes.sent.length > sent);
    await runtime.advance(1);
    const third = submit(host, { kind });
    assertEquals(third.outcome, []);
    await host.close();
  });
}

Deno.test("RequestHost gives the other replicas of a write the remaining time when its coordinator has answered", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes);
  submit(host, { kind: OperationKind.put, timeLeftMs: 1_000 });
  await runtime.advance(600);
  reply(host, routes.sent[0]!.correlation);
  assertEquals(
    routes.sent.map(({ bytes }) =>
      new DataView(bytes.buffer).getUint32(VNODE_REQUEST_TIME_LEFT_OFFSET)
    ),
    [1_000, 400, 400],
  );
  await host.close();
});

Deno.test("RequestHost asks vnodes for an early answer to a write only if it is useful", async () => {
  const { wantsAccepted, mayDecline, continues } = RequestFlag;
  const cases = [
    { n: 1, quorum: 1, expected: [0] },
    { n: 1, quorum: 1, durable: 0, expected: [wantsAccepted] },
    {
      n: 3,
      quorum: 2,
      expected: [wantsAccepted | mayDecline, continues, continues],
    },
    {
      n: 3,
      quorum: 2,
      durable: 0,
      expected: [
        wantsAccepted | mayDecline,
        wantsAccepted | continues,
        wantsAccepted | continues,
      ],
    },
  ];
  for (const { expected, ...options } of cases) {
    const routes = new KeptRoutes();
    const host = createHost(new ManualRuntime(), routes);
    submit(host, { kind: OperationKind.put, ...options });
    reply(host, routes.sent[0]!.correlation);
    assertEquals(
      routes.sent.map(({ bytes }) => flagsOf(bytes)),
      expected,
      JSON.stringify(options),
    );
    await host.close();
  }
});

Deno.test("RequestHost coordinates a write here when it cannot be sent on, and answers once", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  let tries = 0;
  routes.beginOperation = () => {
    // Sent on again and again, it would never end.
    if (++tries > 2) throw new Error("it was sent on again");
    return new WhorlError("overload", "The queue is full");
  };
  const host = createHost(runtime, routes, 1, silentLog, { owner: "b" });
  const caller = submit(host, { kind: OperationKind.put });
  assertEquals([tries, host.counts.forwarded, host.counts.refused], [1, 1, 0]);
  assertEquals([caller.outcome, host.size], [[], 1]);
  const [first] = routes.sent;
  assertEquals([first?.to, first?.what], ["b", "vnode_request"]);
  for (let i = 0; i < routes.sent.length; i++) {
    reply(host, routes.sent[i]!.correlation);
  }
  assertEquals(routes.sent.length, 3);
  assertEquals([caller.outcome, host.size], [["done"], 0]);
  const unanswered = submit(host, { kind: OperationKind.put });
  await runtime.advance(1_010);
  assertEquals(unanswered.outcome, ["timeout"]);
  await host.close();
  assertEquals(unanswered.outcome, ["timeout"]);
  assertEquals(runtime.pendingTimers, 0);
});

const SUSPECTED = new WhorlError("node_suspected", "b has fallen silent");

Deno.test("RequestHost answers for a write that it sent on when that node falls silent, and ignores the late answer", async () => {
  const runtime = new ManualRuntime();
  const routes = new KeptRoutes();
  const host = createHost(runtime, routes, 1, silentLog, { owner: "b" });
  const caller = submit(host, { kind: OperationKind.put });
  assertEquals(routes.sent.map(({ what }) => what), ["operation"]);
  host.nodeLost("b", () => SUSPECTED);
  assertEquals(caller.outcome, ["node_suspected"]);
  assertEquals(caller.errors[0]?.details, { node: "b" });
  assertEquals(host.size, 0);
  host.operationAnswer(
    FrameType.operationReply,
    routes.sent[0]!.correlation,
    new Uint8Array(1),
    0,
    1,
  );
  assertEquals(caller.outcome, ["node_suspected"]);
  await host.close();
  assertEquals(runtime.pendingTimers, 0);
});

for (const kind of [OperationKind.get, OperationKind.request]) {
  Deno.test(`RequestHost answers a request of kind ${kind} when the nodes it waits for fall silent`, async () => {
    const runtime = new ManualRuntime();
    const routes = new KeptRoutes();
    const host = createHost(runtime, routes, 1, silentLog, { owner: "b" });
    const caller = submit(host, { kind });
    assertEquals(routes.sent.length, 3);
    reply(host, routes.sent[0]!.correlation);
    host.nodeLost("c", () => SUSPECTED);
    assertEquals(caller.outcome, []);
    host.nodeLost("b", () => SUSPECTED);
    assertEquals(caller.outcome, ["quorum_unavailable"]);
    const answers = caller.errors[0]?.details.answers as { code?: string }[];
    assertEquals(
      answers.map(({ code }) => code),
      [undefined, "node_suspected", "node_suspected"],
    );
    for (const { correlation } of routes.sent) reply(host, correlation);
    assertEquals(caller.outcome, ["quorum_unavailable"]);
    assertEquals(host.size, 0);
    await host.close();
    assertEquals(runtime.pendingTimers, 0);
  });
}
