import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import { TurnClock } from "../environment/turn_clock.ts";
import { Link, LINK_LIMITS } from "../transport/link.ts";
import { MemoryNetwork } from "../transport/memory_transport.ts";
import { FRAME_BYTES_MAX } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { HeldByNode, LinkAnswers } from "./link_answers.ts";
import {
  ANSWERS_HELD_BYTES_MAX,
  ANSWERS_WINDOW_BYTES,
  LINK_BACKLOG_BYTES_MAX,
} from "./link_budget.ts";
import { NodeRoutes } from "./node_routes.ts";

const MIB = 1024 * 1024;

/** Answers over a real link to a peer that reads nothing, and requests to it. */
class Bench implements AsyncDisposable {
  readonly runtime = new ManualRuntime();
  readonly network = new MemoryNetwork(this.runtime);
  readonly heldByNode = new HeldByNode();
  link!: Link;
  far!: ByteStream;
  answers!: LinkAnswers;
  routes!: NodeRoutes;

  static async create(bufferedBytesMax?: number): Promise<Bench> {
    const bench = new Bench();
    const accepted = Promise.withResolvers<ByteStream>();
    await bench.network.transport("far").listen("far:1", accepted.resolve);
    const stream = await bench.network.transport("near").connect("far:1");
    bench.far = await accepted.promise;
    bench.network.stall("near", "far");
    bench.link = new Link(
      stream,
      {
        name: "b@far",
        nodeId: "id",
        incarnation: 1,
        cluster: "test",
        kind: "peer",
        address: "far:1",
        openedBy: "this_node",
        protocolVersion: 1,
        linkId: "0".repeat(32),
      },
      {
        runtime: bench.runtime,
        log: silentLog,
        limits: bufferedBytesMax === undefined ? {} : { bufferedBytesMax },
      },
      { onFrame() {}, onHeard() {}, onClosed() {} },
    );
    bench.link.start();
    bench.answers = new LinkAnswers(
      bench.link,
      new TurnClock(bench.runtime),
      bench.heldByNode,
      () => undefined,
    );
    bench.routes = new NodeRoutes(
      "a@near",
      () => undefined,
      () => bench.link,
      () => false,
    );
    return bench;
  }

  answer(byteCount: number): void {
    this.answers.send(
      FrameType.vnodeReply,
      1,
      new Uint8Array(byteCount),
      0,
      byteCount,
      this.answers.deadlineIn(60_000),
    );
  }

  /** Sends a request of this many bytes; returns the error if it was refused. */
  request(byteCount: number): string | undefined {
    const into = this.routes.beginVnodeRequest(
      "b@far",
      1,
      1,
      { vnodeAnswer() {} },
      8,
      1_000,
    );
    if (into instanceof WhorlError) return into.code;
    into.raw(new Uint8Array(byteCount));
    this.routes.endVnodeRequest();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.close();
    this.far.close();
    await this.runtime.advance(10_000);
    await this.link.finished;
  }
}

Deno.test("a request to a peer is sent while answers to it are held back, however large they are", async () => {
  await using bench = await Bench.create();
  bench.answer(ANSWERS_WINDOW_BYTES - 100);
  bench.answer(FRAME_BYTES_MAX - 64);
  for (let i = 0; i < 8; i++) bench.answer(8 * MIB);
  assert(bench.answers.heldBytes > 60 * MIB);
  assert(bench.link.bufferedBytes > 16 * MIB);
  assertEquals(bench.request(1000), undefined);
});

Deno.test("requests to a peer that reads none are refused with overload, and its link survives", async () => {
  await using bench = await Bench.create();
  const outcomes = Array.from({ length: 12 }, () => bench.request(8 * MIB));
  const sent = outcomes.filter((outcome) => outcome === undefined).length;
  assertEquals(sent, LINK_BACKLOG_BYTES_MAX / (8 * MIB));
  assertEquals(
    outcomes.slice(sent),
    outcomes.slice(sent).map(() => "overload"),
  );
  // Other frames still have room.
  assert(
    bench.link.bufferedBytes + FRAME_BYTES_MAX < LINK_LIMITS.bufferedBytesMax,
  );
  assertEquals(bench.link.closed, undefined);
});

Deno.test("answers that find no room end the link at last, and nothing is held for it then", async () => {
  await using bench = await Bench.create(6 * MIB);
  bench.answer(5 * MIB);
  bench.answer(MIB);
  assertEquals(bench.answers.heldBytes > MIB, true);
  // Other links have taken the rest.
  const others = ANSWERS_HELD_BYTES_MAX - bench.heldByNode.bytes;
  bench.heldByNode.bytes += others;
  let refused = 0;
  while (bench.link.closed === undefined) {
    assert(++refused < 100_000, "the bound holds");
    bench.answer(2_000);
  }
  assertEquals(bench.link.closed.code, "overloaded");
  assert(refused > 1_000, "each is answered before");
  await bench.runtime.settle();
  assertEquals(bench.answers.heldBytes, 0);
  assertEquals(bench.heldByNode.bytes, others);
});
