import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { readFailure, writeFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames, writeFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import {
  MASTER_CALL_TIMEOUT_MS,
  MASTER_CALLS_MAX,
  MASTER_IN_FLIGHT_BYTES_MAX,
  MASTER_IN_FLIGHT_MAX,
  MASTER_WAITING_BYTES_MAX,
  VnodeMasterLink,
} from "./vnode_master_link.ts";
import {
  readVnodeRequestHeader,
  type VnodeRequestHeader,
  writeVnodeRequestHeader,
} from "./vnode_wire.ts";

type Sent = { type: number; id: number; body: Uint8Array };

/** A link, with the test in place of the master. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly events: unknown[] = [];
  readonly link = new VnodeMasterLink(
    this.runtime,
    (event) => this.events.push(event),
  );
  /** Messages that reached the master, as frames. */
  readonly messages: Sent[][] = [];
  /** Correlation, then `reply`, `accepted` or the failure's code. */
  readonly answers: [number, string][] = [];

  attach(): void {
    this.link.attach({
      send: (message) => {
        const frames: Sent[] = [];
        readFrames(
          message,
          0,
          message.length,
          FRAME_BYTES_MAX,
          (type, _flags, id, bytes, start, end) => {
            frames.push({ type, id, body: bytes.slice(start, end) });
          },
        );
        this.messages.push(frames);
      },
    });
  }

  get sent(): Sent[] {
    return this.messages.flat();
  }

  vnodeAnswer(
    type: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.answers.push([
      correlation,
      type === FrameType.vnodeError
        ? readFailure(bytes.subarray(start, end)).code
        : type === FrameType.vnodeAccepted
        ? "accepted"
        : "reply",
    ]);
  }

  request(
    correlation: number,
    timeLeftMs = 1_000,
    payloadBytes = 1,
  ): WhorlError | undefined {
    const into = this.link.beginRequest(this, correlation, timeLeftMs);
    if (into instanceof WhorlError) return into;
    writeVnodeRequestHeader(into, 1, 2, 3, 4, timeLeftMs);
    into.raw(new Uint8Array(payloadBytes));
    this.link.endRequest();
    return undefined;
  }

  answer(type: number, id: number, body: Uint8Array = new Uint8Array(0)): void {
    const into = new ByteWriter();
    writeFrame(into, type, id, body);
    this.link.receive(into.copy());
  }
}

function failure(error: WhorlError): Uint8Array {
  const into = new ByteWriter();
  writeFailure(into, error);
  return into.copy();
}

Deno.test("VnodeMasterLink sends the requests of a turn in one message and matches their answers", async () => {
  const bench = new Bench();
  bench.attach();
  bench.request(70);
  bench.request(71);
  await bench.runtime.settle();
  assertEquals(bench.messages.map((frames) => frames.map(({ type }) => type)), [
    [FrameType.vnodeRequest, FrameType.vnodeRequest],
  ]);
  const [first, second] = bench.sent;
  bench.answer(FrameType.vnodeReply, second!.id);
  bench.answer(
    FrameType.vnodeError,
    first!.id,
    failure(new WhorlError("wrong_owner", "no")),
  );
  assertEquals(bench.answers, [[71, "reply"], [70, "wrong_owner"]]);
  assertEquals(bench.link.inFlight, 0);
  bench.link.close();
});

Deno.test("VnodeMasterLink passes an early answer on and waits for the final one", async () => {
  const bench = new Bench();
  bench.attach();
  bench.request(1);
  await bench.runtime.settle();
  const { id } = bench.sent[0]!;
  bench.answer(FrameType.vnodeAccepted, id);
  assertEquals(bench.link.inFlight, 1);
  bench.answer(FrameType.vnodeReply, id);
  // A second one is nobody's any more.
  bench.answer(FrameType.vnodeReply, id);
  assertEquals(bench.answers, [[1, "accepted"], [1, "reply"]]);
  bench.link.close();
});

Deno.test("VnodeMasterLink fails the requests and calls that a master had not answered when it died", async () => {
  const bench = new Bench();
  bench.attach();
  assert(bench.link.attached);
  bench.request(1);
  bench.request(2);
  const call = bench.link.call("stats", null);
  await bench.runtime.settle();
  const { id } = bench.sent[0]!;
  bench.link.detach(new Error("killed"));
  assertEquals(bench.answers, [[1, "vnode_crashed"], [2, "vnode_crashed"]]);
  const error = await assertRejects(
    () => call,
    WhorlError,
    "The vnode master stopped: killed",
  );
  assertEquals(error.code, "vnode_crashed");
  assertEquals([bench.link.inFlight, bench.link.attached], [0, false]);
  // What it had still said changes nothing.
  bench.answer(FrameType.vnodeReply, id);
  assertEquals(bench.answers.length, 2);
  bench.link.close();
});

Deno.test("VnodeMasterLink does not send a dead master's requests to the next one", async () => {
  const bench = new Bench();
  bench.attach();
  bench.request(1);
  bench.link.cast("cluster_event", null);
  const call = bench.link.call("stats", null);
  // Dies in the same turn: nothing has left yet.
  bench.link.detach("gone");
  await assertRejects(() => call, WhorlError, "The vnode master stopped: gone");
  bench.request(2);
  bench.attach();
  await bench.runtime.settle();
  assertEquals(bench.answers, [[1, "vnode_crashed"]]);
  assertEquals(bench.sent.length, 1);
  bench.answer(FrameType.vnodeReply, bench.sent[0]!.id);
  assertEquals(bench.answers[1], [2, "reply"]);
  bench.link.close();
});

Deno.test("VnodeMasterLink keeps requests until there is a master, in order", async () => {
  const bench = new Bench();
  for (const correlation of [1, 2, 3]) bench.request(correlation);
  await bench.runtime.settle();
  assertEquals(bench.messages, []);
  bench.attach();
  assertEquals(bench.sent.map(({ id }) => id), [1, 2, 3]);
  bench.link.close();
});

Deno.test("VnodeMasterLink answers requests that wait for a master at their deadline", async () => {
  const bench = new Bench();
  bench.request(1, 300);
  bench.request(2, 10_000);
  await bench.runtime.advance(390);
  assertEquals(bench.answers, []);
  await bench.runtime.advance(360);
  assertEquals(bench.answers, [[1, "timeout"]]);
  assertEquals(bench.link.inFlight, 1);
  bench.link.close();
});

Deno.test("VnodeMasterLink sends requests that waited with their remaining time, and none that was answered", async () => {
  const bench = new Bench();
  bench.request(1, 300);
  bench.request(2, 10_000);
  bench.link.cast("cluster_event", null);
  await bench.runtime.advance(2_000);
  assertEquals(bench.answers, [[1, "timeout"]]);
  bench.attach();
  assertEquals(
    bench.messages.map((frames) => frames.map(({ type, id }) => [type, id])),
    [
      [[FrameType.vnodeRequest, 2], [FrameType.masterControl, 0]],
    ],
  );
  const header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  readVnodeRequestHeader(new ByteReader(bench.sent[0]!.body), header);
  assertEquals(header, {
    moduleId: 1,
    vnode: 2,
    command: 3,
    flags: 4,
    timeLeftMs: 8_000,
  });
  bench.request(3, 10_000);
  await bench.runtime.settle();
  readVnodeRequestHeader(new ByteReader(bench.sent[2]!.body), header);
  assertEquals(header.timeLeftMs, 10_000);
  bench.link.close();
});

Deno.test("VnodeMasterLink sends nothing to a master when all waiting requests have been answered", async () => {
  const bench = new Bench();
  bench.request(1, 100);
  await bench.runtime.advance(1_000);
  bench.attach();
  assertEquals([bench.answers, bench.messages], [[[1, "timeout"]], []]);
});

Deno.test("VnodeMasterLink gives each request its own deadline, however long the first one has waited", async () => {
  const bench = new Bench();
  bench.request(1, 10_000);
  await bench.runtime.advance(3_000);
  bench.request(2, 1_000);
  await bench.runtime.advance(900);
  assertEquals(bench.answers, []);
  await bench.runtime.advance(500);
  assertEquals(bench.answers, [[2, "timeout"]]);
  bench.link.close();
});

Deno.test("VnodeMasterLink answers for a silent master, shortly after the deadline", async () => {
  const bench = new Bench();
  bench.attach();
  bench.request(1, 500);
  await bench.runtime.advance(599);
  assertEquals(bench.answers, []);
  await bench.runtime.advance(251);
  assertEquals(bench.answers, [[1, "timeout"]]);
  // Nothing is in hand, so nothing is looked at.
  assertEquals(bench.runtime.pendingTimers, 0);
  bench.answer(FrameType.vnodeReply, bench.sent[0]!.id);
  assertEquals(bench.answers.length, 1);
});

Deno.test("VnodeMasterLink refuses a request beyond its bound", () => {
  const bench = new Bench();
  for (let i = 0; i < MASTER_IN_FLIGHT_MAX; i++) {
    assertEquals(bench.request(i), undefined);
  }
  const refusal = bench.request(-1);
  assertEquals(refusal?.code, "overload");
  assertStringIncludes(
    refusal?.message ?? "",
    `Cannot take a request for a vnode: ${MASTER_IN_FLIGHT_MAX} of together`,
  );
  assertEquals(bench.link.inFlight, MASTER_IN_FLIGHT_MAX);
  bench.link.close();
  assertEquals(bench.answers.length, MASTER_IN_FLIGHT_MAX);
});

const MEBIBYTE = 1024 * 1024;

/** Has the master take as many bytes as it may, a mebibyte and a header at a time. */
function fill(bench: Bench): number {
  let taken = 0;
  for (let bytes = 0; bytes < MASTER_IN_FLIGHT_BYTES_MAX; bytes += MEBIBYTE) {
    assertEquals(bench.request(taken++, 1_000, MEBIBYTE), undefined);
  }
  return taken;
}

Deno.test("VnodeMasterLink bounds a master's unanswered bytes and refuses any request beyond, however small", async () => {
  const bench = new Bench();
  bench.attach();
  const taken = fill(bench);
  await bench.runtime.settle();
  // All of them have left: it is not what waits to be sent that is bounded.
  assertEquals(bench.sent.length, taken);
  const refusal = bench.request(-1, 1_000, 1);
  assertEquals(refusal?.code, "overload");
  assertStringIncludes(
    refusal?.message ?? "",
    `${taken} of together `,
  );
  assertEquals(bench.link.inFlight, taken);
  bench.link.close();
  assertEquals(bench.answers.length, taken);
});

Deno.test("VnodeMasterLink frees a request's bytes at its final answer", async () => {
  const bench = new Bench();
  bench.attach();
  fill(bench);
  await bench.runtime.settle();
  const [first, second] = bench.sent;
  bench.answer(FrameType.vnodeAccepted, first!.id);
  assertEquals(bench.request(-1)?.code, "overload");
  bench.answer(FrameType.vnodeReply, first!.id);
  assertEquals(bench.request(-2, 1_000, MEBIBYTE), undefined);
  assertEquals(bench.request(-3)?.code, "overload");
  bench.answer(
    FrameType.vnodeError,
    second!.id,
    failure(new WhorlError("vnode_error", "no")),
  );
  // A second answer is nobody's and makes no room.
  bench.answer(FrameType.vnodeReply, second!.id);
  assertEquals(bench.request(-4, 1_000, MEBIBYTE), undefined);
  assertEquals(bench.request(-5)?.code, "overload");
  bench.link.close();
});

Deno.test("VnodeMasterLink forgets the bytes of a master that is gone", () => {
  const bench = new Bench();
  bench.attach();
  const taken = fill(bench);
  bench.link.detach("killed");
  assertEquals(bench.answers.length, taken);
  bench.attach();
  assertEquals(fill(bench), taken);
  assertEquals(bench.request(-1)?.code, "overload");
  bench.link.close();
});

Deno.test("VnodeMasterLink has room again when it has answered for a silent master", async () => {
  const bench = new Bench();
  bench.attach();
  const taken = fill(bench);
  await bench.runtime.advance(1_500);
  assertEquals(
    bench.answers,
    Array.from({ length: taken }, (_, i) => [i, "timeout"]),
  );
  // Answers that come after all make no more of it.
  for (const { id } of bench.sent.splice(0)) {
    bench.answer(FrameType.vnodeReply, id);
  }
  assertEquals(fill(bench), taken);
  assertEquals(bench.request(-1)?.code, "overload");
  bench.link.close();
});

Deno.test("VnodeMasterLink bounds the bytes that wait for a master and refuses more", () => {
  const bench = new Bench();
  const mebibyte = 1024 * 1024;
  for (
    let waiting = 0;
    waiting < MASTER_WAITING_BYTES_MAX;
    waiting += mebibyte
  ) {
    assertEquals(bench.request(1, 1_000, mebibyte), undefined);
  }
  assertEquals(bench.request(2)?.code, "overload");
  bench.attach();
  assertEquals(bench.request(3), undefined);
  bench.link.close();
});

Deno.test("VnodeMasterLink.call() resolves to what the master answers, or fails as it does", async () => {
  const bench = new Bench();
  bench.attach();
  const stats = bench.link.call("stats", { of: 1 });
  const release = bench.link.call("release", null);
  await bench.runtime.settle();
  assertEquals(
    bench.sent.map(({ type, body }) => [type, decodeMsgpack(body)]),
    [
      [FrameType.call, ["stats", { of: 1 }]],
      [FrameType.call, ["release", null]],
    ],
  );
  const [first, second] = bench.sent;
  bench.answer(
    FrameType.callError,
    second!.id,
    failure(new WhorlError("store_full", "no room")),
  );
  bench.answer(FrameType.callReply, first!.id, encodeMsgpack({ vnodes: 3 }));
  assertEquals(await stats, { vnodes: 3 });
  assertEquals(
    (await assertRejects(() => release, WhorlError, "no room")).code,
    "store_full",
  );
});

for (const attached of [false, true]) {
  Deno.test(`VnodeMasterLink.call() fails at its deadline ${attached ? "when the master does not answer" : "when no master comes, and is not made of a later one"}`, async () => {
    const bench = new Bench();
    if (attached) bench.attach();
    const outcomes: unknown[] = [];
    const failed = (error: WhorlError) =>
      outcomes.push([error.code, error.details]);
    bench.link.call("stats", null, 1_000).catch(failed);
    bench.link.call("release", null).catch(failed);
    await bench.runtime.advance(999);
    assertEquals(outcomes, []);
    await bench.runtime.advance(251);
    assertEquals(outcomes, [["timeout", { method: "stats", attached }]]);
    await bench.runtime.advance(MASTER_CALL_TIMEOUT_MS - 1_500);
    assertEquals(outcomes.length, 1);
    if (!attached) bench.attach();
    await bench.runtime.settle();
    assertEquals(
      bench.sent.map(({ body }) => decodeMsgpack(body)),
      attached ? [["stats", null], ["release", null]] : [["release", null]],
    );
    await bench.runtime.advance(500);
    assertEquals(outcomes[1], ["timeout", {
      method: "release",
      attached: true,
    }]);
    // Its answer is nobody's, and nothing is left to look for.
    bench.answer(FrameType.callReply, bench.sent[0]!.id, encodeMsgpack(null));
    assertEquals(bench.runtime.pendingTimers, 0);
    bench.link.close();
  });
}

Deno.test("VnodeMasterLink.call() is refused when the bound of unanswered calls is reached", async () => {
  const bench = new Bench();
  const calls = Array.from(
    { length: MASTER_CALLS_MAX },
    () => bench.link.call("stats", null),
  );
  const error = await assertRejects(
    () => bench.link.call("stats", null),
    WhorlError,
  );
  assertEquals(error.code, "overload");
  bench.link.close();
  for (const { status } of await Promise.allSettled(calls)) {
    assertEquals(status, "rejected");
  }
});

Deno.test("VnodeMasterLink.cast() sends to the master, and the master's casts reach the link", async () => {
  const bench = new Bench();
  bench.attach();
  bench.link.cast("cluster_event", { type: "ring_changed" });
  await bench.runtime.settle();
  assertEquals(
    bench.sent.map(({ type, body }) => [type, decodeMsgpack(body)]),
    [
      [FrameType.masterControl, ["cluster_event", { type: "ring_changed" }]],
    ],
  );
  bench.answer(
    FrameType.masterEvent,
    0,
    encodeMsgpack({ type: "vnode_crashed" }),
  );
  assertEquals(bench.events, [{ type: "vnode_crashed" }]);
});

Deno.test("VnodeMasterLink.refuse() fails waiting and new requests until there is a master", async () => {
  const bench = new Bench();
  bench.attach();
  bench.link.detach("killed");
  bench.request(1);
  const call = bench.link.call("holds_data", [1]);
  bench.link.refuse(new WhorlError("store_full", "The disk is full"));
  assertEquals(bench.answers, [[1, "store_full"]]);
  await assertRejects(() => call, WhorlError, "The disk is full");
  assertEquals(bench.request(2)?.code, "store_full");
  await assertRejects(
    () => bench.link.call("holds_data", [1]),
    WhorlError,
    "The disk is full",
  );
  bench.link.cast("cluster_event", null);
  assert(bench.link.refusing);
  bench.attach();
  assert(!bench.link.refusing);
  assertEquals(bench.request(3), undefined);
  await bench.runtime.settle();
  // Nothing of what was refused reaches the next master.
  assertEquals(bench.sent.map(({ type }) => type), [FrameType.vnodeRequest]);
  bench.link.close();
});

Deno.test("VnodeMasterLink.close() fails all open and later requests, and leaves no timer", async () => {
  const bench = new Bench();
  bench.attach();
  bench.request(1);
  const call = bench.link.call("stats", null);
  bench.link.close();
  assertEquals(bench.answers, [[1, "closed"]]);
  await assertRejects(() => call, WhorlError, "The node is stopping");
  assertEquals(bench.request(2)?.code, "closed");
  await assertRejects(
    () => bench.link.call("stats", null),
    WhorlError,
    "The node is stopping",
  );
  bench.link.cast("cluster_event", null);
  await bench.runtime.settle();
  assertEquals([bench.messages.length, bench.runtime.pendingTimers], [0, 0]);
});

for (const first of ["call", "cast"] as const) {
  Deno.test(`VnodeMasterLink counts a request's deadline from its arrival, even behind a ${first} in its message`, async () => {
    const bench = new Bench();
    bench.attach();
    // Long after the message before.
    await bench.runtime.advance(60_000);
    if (first === "cast") bench.link.cast("cluster_event", null);
    else bench.link.call("held_vnodes", null).catch(() => {});
    bench.request(1, 1_000);
    await bench.runtime.advance(1_000);
    assertEquals(bench.messages.length, 1);
    assertEquals(bench.answers, []);
    await bench.runtime.advance(1_000);
    assertEquals(bench.answers, [[1, "timeout"]]);
  });
}
