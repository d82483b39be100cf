/**
 * Coverage queries on a host of coordinators, with vnodes that answer by hand.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import { ringViewOf } from "../ring/ring_view.ts";
import {
  appendChunk,
  beginCoverageBatch,
  CoverageAction,
  endCoverageBatch,
  readCoverageRequest,
} from "../vnode/coverage_codec.ts";
import { readVnodeRequestHeader, RequestFlag } from "../vnode/vnode_wire.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { COVERAGE_CALLER_IDLE_MS } from "./coverage_fsm.ts";
import { COVERAGE_PAUSE_MS, CoveragePace } from "./coverage_pace.ts";
import {
  type CoveragePage,
  readCoveragePage,
  writeCoverageHeader,
} from "./coverage_page_codec.ts";
import { OperationFlag, OperationKind } from "./operation_codec.ts";
import { COVERAGE_BODY_BYTES_MAX } from "./coverage_process.ts";
import { RequestHost } from "./request_host.ts";
import {
  Caller,
  KeptRoutes,
  MODULE_ID,
  type Sent,
} from "./testing/operations.ts";

/** A request to a vnode. */
interface Asked {
  readonly to: string;
  readonly partition: number;
  readonly action: number;
  readonly stream: number;
  readonly keySpaces: number[] | null;
  readonly body: string;
  readonly correlation: number;
}

function askedOf({ to, correlation, bytes }: Sent): Asked {
  const header = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  const reader = new ByteReader(bytes);
  readVnodeRequestHeader(reader, header);
  assertEquals([header.moduleId, header.flags], [
    MODULE_ID,
    RequestFlag.coverage,
  ]);
  const request = readCoverageRequest(reader);
  const opens = request.action === CoverageAction.open;
  return {
    to,
    partition: header.vnode,
    action: request.action,
    stream: request.stream,
    keySpaces: opens && request.keySpaces !== null
      ? [...request.keySpaces]
      : null,
    body: opens ? reader.rawText(reader.remaining) : "",
    correlation,
  };
}

/** A host on node `a` of a ring of eight, whose owners are `a` and `b` in turns. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly routes = new KeptRoutes();
  readonly host: RequestHost;

  constructor(requestsMax = 2, coveragePace?: CoveragePace) {
    this.runtime.chance = 0.5;
    this.host = new RequestHost({
      runtime: this.runtime,
      routes: this.routes,
      log: silentLog,
      objectModules: new Map(),
      requestsMax,
      ...(coveragePace === undefined ? {} : { coveragePace }),
    });
    this.host.setView(
      MODULE_ID,
      ringViewOf(
        3,
        Array.from({ length: 8 }, (_, partition) => "ab"[partition % 2]!),
        ["a", "b"],
        "a",
      ),
    );
  }

  begin(
    {
      n = 4,
      idleMs = 500,
      timeLeftMs = 5_000,
      flags = 0,
      coverage = 1,
      body = "body",
    } = {},
  ): Caller {
    const into = new ByteWriter();
    writeCoverageHeader(into, {
      kind: OperationKind.coverage,
      flags,
      moduleId: MODULE_ID,
      command: 2,
      timeLeftMs,
      n,
      primaryVnodeCoverage: coverage,
    });
    into.u32(idleMs);
    into.rawText(body);
    const begun = this.#submit(into);
    if (begun.results.length === 0) return begun;
    // It is told the number of the query at once, and asks for the first
    // pieces.
    const { query, pieces, report } = pageOf(begun);
    assertEquals([pieces, report], [[], undefined]);
    return this.follow(OperationKind.coverageMore, query);
  }

  follow(kind: number, query: number): Caller {
    const into = new ByteWriter();
    writeCoverageHeader(into, {
      kind,
      flags: 0,
      moduleId: MODULE_ID,
      command: 2,
      timeLeftMs: 5_000,
    });
    into.u53(query);
    return this.#submit(into);
  }

  #submit(operation: ByteWriter): Caller {
    const caller = new Caller();
    this.host.submit(operation.bytes, 0, operation.length, caller);
    return caller;
  }

  /** Requests to vnodes since the last call. */
  asked(): Asked[] {
    return this.routes.sent.splice(0).map(askedOf);
  }

  batch({ correlation }: Asked, chunks: readonly string[], ended: boolean) {
    const into = new ByteWriter();
    beginCoverageBatch(into);
    for (const chunk of chunks) {
      appendChunk(into, (into) => void into.rawText(chunk));
    }
    endCoverageBatch(into, ended);
    this.host.vnodeAnswer(
      FrameType.vnodeReply,
      correlation,
      into.bytes,
      0,
      into.length,
    );
  }

  fail({ correlation }: Asked, code: ErrorCode, details = {}): void {
    const into = new ByteWriter();
    writeFailure(into, new WhorlError(code, "It failed", { details }));
    this.host.vnodeAnswer(
      FrameType.vnodeError,
      correlation,
      into.bytes,
      0,
      into.length,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.close();
    assertEquals(this.runtime.pendingTimers, 0);
    assertEquals(this.host.size, 0);
  }
}

function pageOf(caller: Caller): CoveragePage {
  const object = caller.results[0]?.object;
  assert(object !== undefined, `${caller.outcome}`);
  return readCoveragePage(new ByteReader(object as Uint8Array));
}

/** The contents of a page, by vnode. */
function textOf({ pieces }: CoveragePage): string[] {
  const decoder = new TextDecoder();
  return pieces.map(({ partition, node, chunks }) =>
    `${partition} on ${node}: ${
      chunks.map((chunk) => decoder.decode(chunk)).join(" ")
    }`
  );
}

Deno.test("a coverage query goes to vnodes with its body, and back to its caller page by page", async () => {
  await using bench = new Bench();
  const first = bench.begin();
  const [one, two] = bench.asked() as [Asked, Asked];
  assertEquals([one, two].map(({ partition, to }) => [partition, to]), [
    [3, "b"],
    [7, "b"],
  ]);
  assertEquals([one.keySpaces, two.body], [null, "body"]);
  bench.batch(one, ["k1", "k2"], false);
  const page = pageOf(first);
  assertEquals(textOf(page), ["3 on b: k1 k2"]);
  assertEquals(page.report, undefined);
  const [more] = bench.asked() as [Asked];
  assertEquals([more.action, more.stream], [CoverageAction.more, one.stream]);
  bench.batch(two, ["k3"], true);
  const second = bench.follow(OperationKind.coverageMore, page.query);
  assertEquals(textOf(pageOf(second)), ["7 on b: k3"]);
  const third = bench.follow(OperationKind.coverageMore, page.query);
  assertEquals(third.outcome, []);
  assertEquals(
    bench.follow(OperationKind.coverageMore, page.query).outcome,
    ["protocol_error"],
  );
  bench.batch(more, [], true);
  assertEquals(pageOf(third).report?.complete, true);
  assertEquals(pageOf(third).report?.ringVersion, 3);
  assertEquals(
    bench.follow(OperationKind.coverageMore, page.query).outcome,
    ["coordinator_lost"],
  );
  assertEquals(bench.host.counts.started, 1);
});

Deno.test("a coverage query asks others for what a lost node owes", async () => {
  await using bench = new Bench();
  // On the ring of `a` and `b` in turns every other vnode can stand in.
  const caller = bench.begin();
  const [one, two] = bench.asked() as [Asked, Asked];
  bench.host.nodeLost(
    "b",
    () => new WhorlError("connection_closed", "It is gone"),
  );
  const instead = bench.asked().filter(({ action }) =>
    action === CoverageAction.open
  );
  assert(instead.length >= 2);
  for (const { to } of instead) assertEquals(to, "a");
  // Late answers of the lost node are dropped.
  bench.batch(one, ["late"], true);
  bench.batch(two, ["late"], true);
  assertEquals(caller.outcome, []);
  for (const asked of instead) bench.batch(asked, ["k"], true);
  const page = pageOf(caller);
  assertEquals(textOf(page), [`${instead[0]?.partition} on a: k`]);
});

Deno.test("a coverage query follows a vnode to the node that has it now", async () => {
  await using bench = new Bench();
  bench.begin();
  const [one] = bench.asked() as [Asked];
  bench.fail(one, "wrong_owner", { owner: "a" });
  const [again] = bench.asked() as [Asked];
  assertEquals([again.to, again.partition, again.action], [
    "a",
    one.partition,
    CoverageAction.open,
  ]);
});

Deno.test("a coverage query that cannot be sent to a vnode reports that and asks others", async () => {
  await using bench = new Bench();
  bench.routes.refusal = new WhorlError("not_reachable", "No connection");
  const caller = bench.begin();
  assertEquals(caller.outcome, ["insufficient_vnodes"]);
  const report = caller.errors[0]?.details.coverage as {
    asked: { error: { code: string } }[];
  };
  assertEquals(report.asked[0]?.error.code, "not_reachable");
});

Deno.test("a coverage query cancels at a silent vnode, and asks others", async () => {
  await using bench = new Bench();
  bench.begin({ idleMs: 500 });
  const [one, two] = bench.asked() as [Asked, Asked];
  bench.batch(two, [], true);
  await bench.runtime.advance(520);
  const [stop, ...instead] = bench.asked() as [Asked, ...Asked[]];
  assertEquals(
    [stop.action, stop.stream, stop.correlation],
    [CoverageAction.cancel, one.stream, 0],
  );
  assert(instead.length > 0);
});

Deno.test("a coverage query that is cancelled is cancelled at every vnode", async () => {
  await using bench = new Bench();
  const first = bench.begin();
  const [one, two] = bench.asked() as [Asked, Asked];
  bench.batch(one, ["k"], false);
  bench.asked();
  const { query } = pageOf(first);
  const waiting = bench.follow(OperationKind.coverageMore, query);
  assertEquals(
    bench.follow(OperationKind.coverageCancel, query).outcome,
    ["done"],
  );
  assertEquals(waiting.outcome, ["cancelled"]);
  assertEquals(
    bench.asked().map(({ action, stream }) => [action, stream]),
    [
      [CoverageAction.cancel, one.stream],
      [CoverageAction.cancel, two.stream],
    ],
  );
  // Cancelling a query that has ended is not an error.
  assertEquals(
    bench.follow(OperationKind.coverageCancel, query).outcome,
    ["done"],
  );
});

Deno.test("a coverage query that is killed answers its caller and is cancelled at every vnode", async () => {
  await using bench = new Bench();
  const caller = bench.begin();
  bench.asked();
  const [process] = bench.host.supervisor.whichChildren();
  process?.kill();
  assertEquals(caller.outcome, ["coordinator_lost"]);
  assertEquals(bench.asked().map(({ action }) => action), [
    CoverageAction.cancel,
    CoverageAction.cancel,
  ]);
});

Deno.test("a coverage query ends when its caller stops asking", async () => {
  await using bench = new Bench();
  const into = bench.begin();
  const [one, two] = bench.asked() as [Asked, Asked];
  bench.batch(one, ["k"], true);
  assertEquals(into.outcome, ["done"]);
  await bench.runtime.advance(5_000 + 20);
  // Its time is over; the end is kept for a while.
  assertEquals(bench.host.size, 1);
  assertEquals(bench.asked().at(-1)?.action, CoverageAction.cancel);
  assert(two.stream > 0);
  await bench.runtime.advance(COVERAGE_CALLER_IDLE_MS);
  assertEquals(bench.host.size, 0);
});

Deno.test("coverage queries are bounded, and refused if they are invalid", async () => {
  await using bench = new Bench(1);
  assertEquals(bench.begin({ n: 0 }).outcome, ["invalid_argument"]);
  assertEquals(bench.begin({ n: 9 }).outcome, ["invalid_argument"]);
  assertEquals(bench.begin({ n: 2, coverage: 3 }).outcome, [
    "invalid_argument",
  ]);
  for (
    const times of [
      { timeLeftMs: 0 },
      { timeLeftMs: 3_600_001 },
      { idleMs: 0 },
      { idleMs: 0xffff_ffff },
    ]
  ) assertEquals(bench.begin(times).outcome, ["invalid_argument"]);
  const body = "b".repeat(COVERAGE_BODY_BYTES_MAX + 1);
  assertEquals(bench.begin({ body }).outcome, ["frame_too_large"]);
  assertEquals(bench.begin({ body: body.slice(1) }).outcome, []);
  assertEquals(bench.begin().outcome, ["overload"]);
  assertEquals(bench.host.counts.refused, 9);
});

Deno.test("a coverage query that may leave out key spaces reports those it left out", async () => {
  await using bench = new Bench();
  bench.host.setView(
    MODULE_ID,
    ringViewOf(
      4,
      Array.from({ length: 8 }, (_, partition) => partition < 4 ? "a" : "b"),
      ["a"],
      "a",
    ),
  );
  assertEquals(bench.begin({ n: 2 }).outcome, ["insufficient_vnodes"]);
  const caller = bench.begin({ n: 2, flags: OperationFlag.allUp });
  for (const asked of bench.asked()) bench.batch(asked, [], true);
  const { report } = pageOf(caller);
  assertEquals(report?.complete, false);
  assertEquals(report?.missing, [4, 5, 6]);
});

Deno.test("a coverage query waits for other requests before it passes on more, but not beyond its deadline", async () => {
  const others = {
    counts: { started: 0 },
    size: 1,
  };
  await using bench = new Bench(2, new CoveragePace(() => others));
  const first = bench.begin({ timeLeftMs: 100 });
  const [one, two] = bench.asked() as [Asked, Asked];
  bench.batch(one, ["k".repeat(100_000)], true);
  const { query } = pageOf(first);
  bench.batch(two, ["k2"], false);
  const second = bench.follow(OperationKind.coverageMore, query);
  await bench.runtime.advance(4 * COVERAGE_PAUSE_MS);
  assertEquals(second.outcome, []);
  others.counts.started = 10_000;
  await bench.runtime.advance(2 * COVERAGE_PAUSE_MS);
  assertEquals(textOf(pageOf(second)), [`${two.partition} on b: k2`]);
  const [more] = bench.asked() as [Asked];
  bench.batch(more, ["k".repeat(100_000)], false);
  others.counts.started++;
  const third = bench.follow(OperationKind.coverageMore, query);
  assertEquals(third.outcome, ["done"]);
  const fourth = bench.follow(OperationKind.coverageMore, query);
  await bench.runtime.advance(100);
  assertEquals(fourth.outcome, ["timeout"]);
});

Deno.test("a coverage query that is cancelled while it waits for others is answered at once", async () => {
  const others = {
    counts: { started: 0 },
    size: 1,
  };
  await using bench = new Bench(2, new CoveragePace(() => others));
  const first = bench.begin();
  const [one] = bench.asked() as [Asked];
  bench.batch(one, ["k".repeat(100_000)], false);
  const { query } = pageOf(first);
  const second = bench.follow(OperationKind.coverageMore, query);
  assertEquals(second.outcome, []);
  bench.follow(OperationKind.coverageCancel, query);
  assertEquals(second.outcome, ["cancelled"]);
});
