import { assertEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import {
  CoverageAction,
  readCoverageRequest,
  writeCoverageAction,
  writeCoverageOpen,
} from "../vnode/coverage_codec.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import {
  readVnodeRequestHeader,
  RequestFlag,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";
import { LinkStreams } from "./link_streams.ts";

const MODULE_ID = 9;
const QUERY = 2;

/** The streams of a link, and what the vnodes are told when it ends. */
class Bench {
  /** Partition and stream of each cancel. */
  readonly cancelled: [partition: number, stream: number][] = [];
  /** Types of the answers that were passed on to the peer. */
  readonly passed: number[] = [];
  readonly streams = new LinkStreams(
    (_target, correlation, bytes, start, end) => {
      assertEquals(correlation, 0);
      const reader = new ByteReader(bytes, start, end);
      const header = {
        moduleId: 0,
        vnode: 0,
        command: 0,
        flags: 0,
        timeLeftMs: 0,
      };
      readVnodeRequestHeader(reader, header);
      assertEquals(
        [header.moduleId, header.command, header.flags],
        [MODULE_ID, QUERY, RequestFlag.coverage],
      );
      const { action, stream } = readCoverageRequest(reader);
      assertEquals(action, CoverageAction.cancel);
      this.cancelled.push([header.vnode, stream]);
    },
  );

  /** The request that does `action` with the stream, and where its answer goes. */
  ask(
    action: (typeof CoverageAction)[keyof typeof CoverageAction],
    partition: number,
    stream: number,
  ): AnswerTarget {
    const into = request(action, partition, stream);
    return this.streams.watch(into.bytes, 0, into.length, {
      vnodeAnswer: (type) => this.passed.push(type),
    });
  }
}

function request(
  action: number,
  partition: number,
  stream: number,
): ByteWriter {
  const into = new ByteWriter();
  writeVnodeRequestHeader(
    into,
    MODULE_ID,
    partition,
    QUERY,
    RequestFlag.coverage,
    1_000,
  );
  if (action === CoverageAction.open) {
    writeCoverageOpen(into, stream, 1_000, null);
  } else {
    writeCoverageAction(
      into,
      action as typeof CoverageAction.more | typeof CoverageAction.cancel,
      stream,
    );
  }
  return into;
}

/** Answers with a batch, the end, or a failure. */
function answer(target: AnswerTarget, type: number, ended: boolean): void {
  target.vnodeAnswer(type, 7, Uint8Array.from([9, ended ? 1 : 0]), 1, 2);
}

const { open, more, cancel } = CoverageAction;
const { vnodeReply, vnodeError } = FrameType;

Deno.test("LinkStreams.close() cancels the streams that have not ended", () => {
  const bench = new Bench();
  answer(bench.ask(open, 1, 100), vnodeReply, false);
  answer(bench.ask(open, 2, 200), vnodeReply, true);
  answer(bench.ask(open, 3, 300), vnodeError, false);
  bench.ask(open, 4, 400);
  answer(bench.ask(open, 5, 500), vnodeReply, false);
  answer(bench.ask(more, 5, 500), vnodeReply, true);
  answer(bench.ask(open, 6, 600), vnodeReply, false);
  answer(bench.ask(more, 6, 600), vnodeReply, false);
  answer(bench.ask(open, 7, 700), vnodeReply, false);
  bench.ask(cancel, 7, 700);
  assertEquals(bench.passed.length, 8);
  assertEquals(bench.streams.size, 3);
  bench.streams.close();
  assertEquals(bench.cancelled, [[1, 100], [4, 400], [6, 600]]);
  assertEquals(bench.streams.size, 0);
});

Deno.test("LinkStreams passes on a request that is cut short, for others to refuse", () => {
  const bench = new Bench();
  const target: AnswerTarget = { vnodeAnswer: () => {} };
  const whole = request(more, 1, 100);
  for (let end = 0; end < whole.length; end++) {
    assertEquals(bench.streams.watch(whole.bytes, 0, end, target), target);
  }
  bench.streams.close();
  assertEquals(bench.cancelled, []);
});
