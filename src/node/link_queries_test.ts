import { assertEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { COVERAGE_CALLER_IDLE_MS } from "../request/coverage_fsm.ts";
import {
  writeCoverageFollowUp,
  writeCoverageHeader,
  writePageReport,
  writePageStart,
  writePiece,
} from "../request/coverage_page_codec.ts";
import {
  emptyOperationHeader,
  OperationKind,
  type OperationResult,
  readOperationHeader,
  writeOperationResult,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { LinkQueries } from "./link_queries.ts";

const HEADER = { moduleId: 9, command: 2, timeLeftMs: 5_000 };
const LOST = new WhorlError("coordinator_lost", "It was killed");
const TWICE = new WhorlError("protocol_error", "Twice at once");

/** The queries of a link, with a clock and coordinators of the test. */
class Bench {
  nowMs = 0;
  /** Queries that were cancelled. */
  readonly cancelled: number[] = [];
  /** What reached the caller. */
  readonly passed: string[] = [];
  coordinators: boolean = true;
  readonly queries = new LinkQueries(
    () =>
      this.coordinators
        ? { submit: (bytes, start, end) => this.#submit(bytes, start, end) }
        : undefined,
    () => this.nowMs,
  );

  #submit(bytes: Uint8Array, start: number, end: number): void {
    const reader = new ByteReader(bytes, start, end);
    const header = emptyOperationHeader();
    readOperationHeader(reader, header);
    assertEquals(
      [header.kind, header.moduleId, header.command],
      [OperationKind.coverageCancel, 9, 2],
    );
    this.cancelled.push(reader.u53());
    assertEquals(reader.remaining, 0);
  }

  #watch(into: ByteWriter): Required<OperationTarget> {
    return this.queries.watch(into.bytes, 0, into.length, {
      operationDone: () => this.passed.push("done"),
      operationFailed: ({ code }) => this.passed.push(code),
      operationAnswered: (type) => this.passed.push(`frame ${type}`),
    }) as Required<OperationTarget>;
  }

  begin(): Required<OperationTarget> {
    const into = new ByteWriter();
    writeCoverageHeader(into, {
      ...HEADER,
      kind: OperationKind.coverage,
      flags: 0,
    });
    into.u32(1_000);
    return this.#watch(into);
  }

  follow(
    query: number,
    kind:
      | typeof OperationKind.coverageMore
      | typeof OperationKind.coverageCancel,
  ): Required<OperationTarget> {
    const into = new ByteWriter();
    writeCoverageFollowUp(into, kind, HEADER, query);
    return this.#watch(into);
  }
}

function page(query: number, last = false): OperationResult {
  const into = new ByteWriter();
  writePageStart(into, query, 4_000, 1);
  writePiece(
    into,
    { part: 0, repeats: undefined, partition: 3, node: "dev1@host" },
    Uint8Array.from([0, 0, 0, 1, 7]),
  );
  if (last) {
    writePageReport(into, {
      complete: true,
      ringVersion: 1,
      ringSize: 8,
      asked: [],
      answered: [],
      missing: [],
    });
  }
  return { object: into.copy(), replies: [], replicas: [] };
}

/** Answers as a host elsewhere does: with encoded results. */
function answer(
  target: Required<OperationTarget>,
  what: OperationResult | WhorlError,
): void {
  const into = new ByteWriter();
  into.u8(0);
  if (what instanceof WhorlError) writeFailure(into, what);
  else writeOperationResult(into, what);
  target.operationAnswered(
    what instanceof WhorlError
      ? FrameType.operationError
      : FrameType.operationReply,
    into.bytes,
    1,
    into.length,
  );
}

Deno.test("LinkQueries.close() cancels queries that have begun and not ended, wherever they are coordinated", () => {
  const bench = new Bench();
  bench.begin().operationDone(page(1));
  answer(bench.begin(), page(2));
  bench.begin().operationDone(page(3, true));
  answer(bench.begin(), page(4, true));
  bench.follow(2, OperationKind.coverageMore).operationDone(page(2));
  bench.follow(1, OperationKind.coverageMore);
  assertEquals(bench.queries.size, 2);
  assertEquals(
    bench.passed,
    ["done", "frame 34", "done", "frame 34", "done"].map(
      (passed) => passed.replace("34", `${FrameType.operationReply}`),
    ),
  );
  bench.queries.close();
  assertEquals(bench.cancelled.sort(), [1, 2]);
  assertEquals(bench.queries.size, 0);
});

Deno.test("LinkQueries cancels a query that gets its number after the link has ended", () => {
  const bench = new Bench();
  const early = bench.begin();
  const whole = bench.begin();
  const failing = bench.begin();
  bench.queries.close();
  assertEquals(bench.cancelled, []);
  answer(early, page(5));
  whole.operationDone(page(6, true));
  failing.operationFailed(LOST);
  assertEquals(bench.cancelled, [5]);
});

Deno.test("LinkQueries forgets queries that were cancelled or have failed, but not those asked twice at once", () => {
  const bench = new Bench();
  for (const query of [1, 2, 3, 4]) bench.begin().operationDone(page(query));
  bench.follow(1, OperationKind.coverageCancel);
  bench.follow(2, OperationKind.coverageMore).operationFailed(LOST);
  answer(bench.follow(3, OperationKind.coverageMore), LOST);
  bench.follow(4, OperationKind.coverageMore).operationFailed(TWICE);
  assertEquals(bench.passed.slice(4), [
    "coordinator_lost",
    `frame ${FrameType.operationError}`,
    "protocol_error",
  ]);
  bench.queries.close();
  assertEquals(bench.cancelled, [4]);
});

Deno.test("LinkQueries forgets queries that their coordinator gave up, but not those that wait for a page", () => {
  const bench = new Bench();
  for (const query of [1, 2]) bench.begin().operationDone(page(query));
  bench.follow(2, OperationKind.coverageMore);
  bench.nowMs = COVERAGE_CALLER_IDLE_MS;
  bench.begin().operationDone(page(3));
  assertEquals(bench.queries.size, 2);
  bench.queries.close();
  assertEquals(bench.cancelled.sort(), [2, 3]);
});

Deno.test("LinkQueries passes on an operation that is cut short, for others to refuse", () => {
  const bench = new Bench();
  const target: OperationTarget & Required<OperationTarget> = {
    operationDone: () => {},
    operationFailed: () => {},
    operationAnswered: () => {},
  };
  const whole = new ByteWriter();
  writeCoverageFollowUp(whole, OperationKind.coverageMore, HEADER, 1);
  for (let end = 0; end < whole.length; end++) {
    assertEquals(bench.queries.watch(whole.bytes, 0, end, target), target);
  }
});

Deno.test("LinkQueries cancels nothing when the coordinators are gone", () => {
  const bench = new Bench();
  bench.begin().operationDone(page(1));
  bench.coordinators = false;
  bench.queries.close();
  assertEquals(bench.cancelled, []);
});
