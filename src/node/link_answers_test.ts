import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import type { Link } from "../transport/link.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { hasLeftCluster } from "./departure.ts";
import { HeldByNode, LinkAnswers } from "./link_answers.ts";
import {
  ANSWERS_HELD_BYTES_MAX,
  ANSWERS_WINDOW_BYTES,
  LINK_ANSWERS_HELD_BYTES_MAX,
} from "./link_budget.ts";

const MIB = 1024 * 1024;
/** Never written to, so it uses no memory; a slice of it does. */
const BODY = new Uint8Array(8 * MIB);

/** The part of a link that answers need; the test decides when bytes have left. */
class SlowLink {
  readonly peer = { name: "slow" };
  readonly sent: string[] = [];
  bufferedBytes = 0;
  closed: { message: string } | undefined;
  #writer = new ByteWriter(64);
  #begun = "";
  #type = 0;
  #waiting: { bytes: number; callback: () => void }[] = [];

  begin(type: number, correlation: number): ByteWriter {
    this.#writer.clear();
    this.#type = type;
    this.#begun = `${correlation}`;
    return this.#writer;
  }

  end(): void {
    const isError = this.#type === FrameType.vnodeError ||
      this.#type === FrameType.operationError;
    const what = isError
      ? ` ${this.#type} ${readFailure(this.#writer.view()).code}`
      : "";
    this.sent.push(this.#begun + what);
    this.bufferedBytes += this.#writer.length;
  }

  whenBelow(bytes: number, callback: () => void): void {
    this.#waiting.push({ bytes, callback });
  }

  /** Sends this many bytes. */
  leave(count: number): void {
    this.bufferedBytes = Math.max(0, this.bufferedBytes - count);
    this.#tell();
  }

  close(): void {
    this.closed = { message: "gone" };
    this.#tell();
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (this.closed !== undefined || this.bufferedBytes <= waiter.bytes) {
        waiter.callback();
      } else this.#waiting.push(waiter);
    }
  }

  get waiting(): number {
    return this.#waiting.length;
  }
}

class Bench {
  readonly runtime = new ManualRuntime();
  readonly clock = new TurnClock(this.runtime);
  readonly heldByNode = new HeldByNode();
  readonly link = new SlowLink();
  hasLeft = false;
  readonly answers = this.answersOver(this.link);

  answersOver(link: SlowLink): LinkAnswers {
    return new LinkAnswers(
      link as unknown as Link,
      this.clock,
      this.heldByNode,
      () => this.hasLeft ? hasLeftCluster("a@host") : undefined,
    );
  }

  /** Answers `count` bytes to a caller that waits for `timeLeftMs`. */
  answer(
    correlation: number,
    count: number,
    timeLeftMs = 1_000,
    answers = this.answers,
  ): void {
    answers.send(
      FrameType.operationReply,
      correlation,
      BODY,
      0,
      count,
      answers.deadlineIn(timeLeftMs),
    );
  }

  assertIdle(): void {
    assertEquals(
      [this.answers.heldBytes, this.heldByNode.bytes, this.link.waiting],
      [0, 0, 0],
    );
    assertEquals(this.runtime.pendingTimers, 0);
  }
}

Deno.test("LinkAnswers sends at once what the link has room for", () => {
  const bench = new Bench();
  for (let id = 1; id <= 3; id++) {
    bench.answer(id, 1000);
    bench.link.leave(1000);
  }
  assertEquals(bench.link.sent, ["1", "2", "3"]);
  bench.assertIdle();
});

Deno.test("LinkAnswers holds answers back in order, and sends each as the link drains", () => {
  const bench = new Bench();
  let most = 0;
  for (let id = 1; id <= 20; id++) {
    bench.answer(id, 5 * MIB);
    most = Math.max(most, bench.link.bufferedBytes);
  }
  assertEquals(bench.link.sent, ["1"]);
  while (bench.link.bufferedBytes > 0) {
    bench.link.leave(MIB);
    most = Math.max(most, bench.link.bufferedBytes);
  }
  assertEquals(
    bench.link.sent,
    Array.from({ length: 20 }, (_, i) => `${i + 1}`),
  );
  assert(most <= ANSWERS_WINDOW_BYTES + 5 * MIB, `${most}`);
  bench.assertIdle();
  bench.answer(21, 5 * MIB);
  assertEquals(bench.link.sent.at(-1), "21", "goes straight through again");
});

Deno.test("LinkAnswers holds an answer while others are held, even if there is room", () => {
  const bench = new Bench();
  bench.link.bufferedBytes = ANSWERS_WINDOW_BYTES + 1;
  bench.answer(1, 2000);
  // The link has drained, but has not reported it yet.
  bench.link.bufferedBytes = 0;
  bench.answer(2, 2000);
  assertEquals(bench.link.sent, []);
  bench.link.leave(0);
  assertEquals(bench.link.sent, ["1", "2"]);
  bench.assertIdle();
});

Deno.test("LinkAnswers sends small answers before large ones that wait", () => {
  const bench = new Bench();
  for (let id = 1; id <= 3; id++) bench.answer(id, 5 * MIB);
  bench.answer(4, 100);
  assertEquals(bench.link.sent, ["1", "4"]);
  bench.link.bufferedBytes = 25 * MIB;
  bench.answer(5, 100);
  assertEquals(bench.link.sent, ["1", "4"], "there is an end to that as well");
  for (const count of [22 * MIB, 5 * MIB, 5 * MIB]) bench.link.leave(count);
  assertEquals(bench.link.sent, ["1", "4", "2", "3", "5"]);
});

Deno.test("LinkAnswers drops answers that nobody waits for any longer", async () => {
  const bench = new Bench();
  bench.answer(1, 5 * MIB);
  bench.answer(2, 5 * MIB, 100);
  bench.answer(3, 5 * MIB, 300);
  await bench.runtime.advance(200);
  bench.link.leave(5 * MIB);
  assertEquals(bench.link.sent, ["1", "3"]);
  bench.assertIdle();
});

Deno.test("LinkAnswers answers overload for what it cannot hold, and drops overdue answers first", async () => {
  const bench = new Bench();
  bench.answer(1, 8 * MIB);
  const fit = Math.floor(LINK_ANSWERS_HELD_BYTES_MAX / (8 * MIB)) - 1;
  for (let id = 2; id < 2 + fit; id++) bench.answer(id, 8 * MIB, 100);
  assertEquals(bench.link.sent, ["1"]);
  bench.answer(100, 8 * MIB);
  assertEquals(bench.link.sent, [
    "1",
    `100 ${FrameType.operationError} overload`,
  ]);
  bench.answers.send(FrameType.vnodeReply, 101, BODY, 0, 8 * MIB, 1_000);
  assertEquals(
    bench.link.sent.at(-1),
    `101 ${FrameType.vnodeError} overload`,
  );
  assert(bench.answers.heldBytes <= LINK_ANSWERS_HELD_BYTES_MAX);
  await bench.runtime.advance(150);
  bench.answer(102, 8 * MIB);
  bench.link.leave(9 * MIB);
  assertEquals(bench.link.sent.at(-1), "102");
  bench.assertIdle();
});

Deno.test("LinkAnswers holds no more for all links of a node together than the bound", () => {
  const bench = new Bench();
  bench.heldByNode.bytes = ANSWERS_HELD_BYTES_MAX - 9 * MIB;
  const other = new SlowLink();
  const others = bench.answersOver(other);
  bench.answer(1, 5 * MIB);
  bench.answer(2, 5 * MIB);
  bench.answer(3, 5 * MIB, 1_000, others);
  bench.answer(4, 5 * MIB, 1_000, others);
  assertEquals(other.sent, ["3", `4 ${FrameType.operationError} overload`]);
  bench.link.leave(5 * MIB);
  assertEquals(bench.link.sent, ["1", "2"]);
  bench.answer(5, 5 * MIB, 1_000, others);
  other.leave(5 * MIB);
  assertEquals(other.sent.at(-1), "5");
});

Deno.test("LinkAnswers sends no success after the node has left, not even one held back, and still sends failures", () => {
  const bench = new Bench();
  for (let id = 1; id <= 2; id++) bench.answer(id, 5 * MIB);
  bench.hasLeft = true;
  bench.link.leave(5 * MIB);
  bench.answer(3, 10);
  const failure = new ByteWriter();
  writeFailure(failure, new WhorlError("timeout", "It took too long"));
  bench.answers.send(
    FrameType.operationError,
    4,
    failure.copy(),
    0,
    failure.length,
    bench.answers.deadlineIn(1_000),
  );
  const error = FrameType.operationError;
  assertEquals(bench.link.sent, [
    "1",
    `2 ${error} closed`,
    `3 ${error} closed`,
    `4 ${error} timeout`,
  ]);
  bench.assertIdle();
});

Deno.test("LinkAnswers drops everything when the link ends", () => {
  const bench = new Bench();
  for (let id = 1; id <= 3; id++) bench.answer(id, 5 * MIB);
  bench.link.close();
  assertEquals(bench.link.sent, ["1"]);
  bench.answer(4, 10);
  assertEquals(bench.link.sent, ["1"]);
  bench.assertIdle();
});
