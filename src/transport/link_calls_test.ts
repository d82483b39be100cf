import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { encodeMsgpack } from "../wire/msgpack.ts";
import {
  answerCall,
  CALL_TIMEOUT_MS_DEFAULT,
  CALLS_MAX,
  LinkCalls,
  readCall,
} from "./link_calls.ts";

/** One end that calls, and the frames that reach the other. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly calls = new LinkCalls(this.runtime);
  readonly sent: { type: number; correlation: number; body: Uint8Array }[] = [];
  readonly sink = this.newSink();

  newSink(): BatchingSink {
    return new BatchingSink((flush) => flush(), (batch) => {
      readFrames(
        batch,
        0,
        batch.length,
        FRAME_BYTES_MAX,
        (type, _flags, correlation, bytes, start, end) => {
          this.sent.push({ type, correlation, body: bytes.slice(start, end) });
        },
      );
    });
  }

  /** Lets the other end perform the call sent last, and its answer come back. */
  async perform(
    work: () => unknown,
    sink: BatchingSink = this.sink,
  ): Promise<void> {
    const call = this.sent.at(-1)!;
    await answerCall(sink, call.correlation, work);
    const answer = this.sent.at(-1)!;
    this.calls.answered(
      sink,
      answer.type,
      answer.correlation,
      answer.body,
    );
  }

  /** That nothing is left behind: no timer. */
  assertIdle(): void {
    assertEquals(this.runtime.pendingTimers, 0);
  }
}

async function failsWith(
  call: Promise<unknown>,
  code: string,
  message: string,
): Promise<void> {
  const error = await assertRejects(() => call, WhorlError, message);
  assertEquals(error.code, code);
}

Deno.test("LinkCalls.call() sends method, arguments and time, and resolves to the answer", async () => {
  const bench = new Bench();
  const call = bench.calls.call(bench.sink, "join_offer", { of: "a" }, {
    timeoutMs: 70,
  });
  assertEquals(bench.sent.map(({ type }) => type), [FrameType.call]);
  assertEquals(readCall(bench.sent[0]!.body), {
    method: "join_offer",
    args: { of: "a" },
    timeLeftMs: 70,
  });
  await bench.perform(() => Promise.resolve({ ring: Uint8Array.of(1, 2) }));
  assertEquals(await call, { ring: Uint8Array.of(1, 2) });
  bench.assertIdle();
});

Deno.test("LinkCalls matches answers with calls, in whatever order they come", async () => {
  const bench = new Bench();
  const first = bench.calls.call(bench.sink, "first", null);
  const second = bench.calls.call(bench.sink, "second", null);
  const [one, two] = bench.sent;
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    two!.correlation,
    encodeMsgpack(2),
  );
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    one!.correlation,
    encodeMsgpack(1),
  );
  assertEquals([await first, await second], [1, 2]);
});

Deno.test("LinkCalls.call() rejects with the error of the other end", async () => {
  const bench = new Bench();
  const typed = bench.calls.call(bench.sink, "plan", null);
  await bench.perform(() => {
    throw new WhorlError("ring_not_ready", "Cannot plan now", {
      details: { nodes: ["b"] },
    });
  });
  await failsWith(typed, "ring_not_ready", "Cannot plan now");
  const bug = bench.calls.call(bench.sink, "plan", null);
  await bench.perform(() => Promise.reject(new RangeError("off by one")));
  await failsWith(bug, "internal", "off by one");
  bench.assertIdle();
});

Deno.test("answerCall() sends a failure if the answer cannot be encoded", async () => {
  const bench = new Bench();
  const unknown = bench.calls.call(bench.sink, "stats", null);
  await bench.perform(() => 10n);
  await failsWith(unknown, "invalid_argument", "Cannot encode a value");
  const tooLarge = bench.calls.call(bench.sink, "stats", null);
  await bench.perform(() => new Uint8Array(FRAME_BYTES_MAX));
  await failsWith(tooLarge, "frame_too_large", "Cannot send a frame");
});

Deno.test("answerCall() sends an error whatever a call throws", async () => {
  const bench = new Bench();
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const failures: [unknown, string][] = [
    [new WhorlError("not_found", "x".repeat(FRAME_BYTES_MAX)), "not_found"],
    [
      new WhorlError("not_found", "large", {
        details: { of: "x".repeat(FRAME_BYTES_MAX) },
      }),
      "not_found",
    ],
    [
      new WhorlError("not_found", "circular", { details: circular }),
      "not_found",
    ],
    [undefined, "internal"],
    [Object.create(null), "internal"],
  ];
  for (const [failure, code] of failures) {
    const call = bench.calls.call(bench.sink, "m", null);
    await bench.perform(() => Promise.reject(failure));
    await failsWith(call, code, "");
  }
  bench.assertIdle();
});

Deno.test("answerCall() sends nothing on a link that has ended meanwhile", async () => {
  const bench = new Bench();
  const sink = Object.assign(bench.newSink(), { closed: { message: "gone" } });
  await answerCall(sink, 1, () => "late");
  await answerCall(sink, 1, () => Promise.reject(new Error("late")));
  assertEquals(bench.sent, []);
});

Deno.test("LinkCalls.call() fails at once on a link that has ended", async () => {
  const bench = new Bench();
  const sink = Object.assign(bench.newSink(), {
    closed: { message: "reset by peer" },
  });
  await failsWith(
    bench.calls.call(sink, "m", null),
    "connection_closed",
    "The connection ended: reset by peer",
  );
  assertEquals(bench.sent, []);
  bench.assertIdle();
});

Deno.test("LinkCalls.answered() accepts an answer only from the link that was called", async () => {
  const bench = new Bench();
  const stranger = bench.newSink();
  const call = bench.calls.call(bench.sink, "join_offer", null);
  const id = bench.sent[0]!.correlation;
  bench.calls.answered(
    stranger,
    FrameType.callReply,
    id,
    encodeMsgpack("forged"),
  );
  bench.calls.answered(
    stranger,
    FrameType.callError,
    id,
    encodeMsgpack(["internal", "forged", {}]),
  );
  await bench.perform(() => "true");
  assertEquals(await call, "true");
});

Deno.test("LinkCalls.call() fails when its arguments cannot be encoded, and keeps no open call", async () => {
  const bench = new Bench();
  await failsWith(
    bench.calls.call(bench.sink, "m", 10n),
    "invalid_argument",
    "Cannot encode a value",
  );
  await failsWith(
    bench.calls.call(bench.sink, "m", new Uint8Array(FRAME_BYTES_MAX)),
    "frame_too_large",
    "Cannot send a frame",
  );
  assertEquals(bench.sent, []);
  bench.assertIdle();
});

Deno.test("LinkCalls.call() fails with timeout when no answer comes, and ignores one that comes later", async () => {
  const bench = new Bench();
  const call = bench.calls.call(bench.sink, "slow", null);
  let settled = false;
  call.catch(() => settled = true);
  await bench.runtime.advance(CALL_TIMEOUT_MS_DEFAULT - 1);
  assertEquals(settled, false);
  await bench.runtime.advance(1);
  await failsWith(
    call,
    "timeout",
    "Cannot call 'slow' in time: no answer in 10000 ms",
  );
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    bench.sent[0]!.correlation,
    encodeMsgpack(1),
  );
  bench.assertIdle();
});

Deno.test("LinkCalls.call() can be cancelled, before and after it was sent", async () => {
  const bench = new Bench();
  await failsWith(
    bench.calls.call(bench.sink, "m", null, { signal: AbortSignal.abort() }),
    "cancelled",
    "The call of 'm' was cancelled",
  );
  assertEquals(bench.sent, []);
  const controller = new AbortController();
  const call = bench.calls.call(bench.sink, "m", null, {
    signal: controller.signal,
  });
  controller.abort();
  await failsWith(call, "cancelled", "The call of 'm' was cancelled");
  bench.assertIdle();
});

Deno.test("LinkCalls.linkClosed() fails the calls of that link and no others", async () => {
  const bench = new Bench();
  const other = bench.newSink();
  const lost = bench.calls.call(bench.sink, "m", null);
  const kept = bench.calls.call(other, "m", null);
  bench.calls.linkClosed(bench.sink, "reset by peer");
  await failsWith(
    lost,
    "connection_closed",
    "The connection ended: reset by peer",
  );
  await bench.perform(() => "here", other);
  assertEquals(await kept, "here");
  bench.assertIdle();
});

Deno.test("LinkCalls.close() fails all unanswered calls", async () => {
  const bench = new Bench();
  const calls = [1, 2].map(() => bench.calls.call(bench.sink, "m", null));
  bench.calls.close();
  for (const call of calls) {
    await failsWith(call, "closed", "The connection was closed");
  }
  bench.assertIdle();
});

Deno.test("LinkCalls refuses a call beyond its bound of open calls", async () => {
  const bench = new Bench();
  const calls = Array.from(
    { length: CALLS_MAX },
    () => bench.calls.call(bench.sink, "m", null),
  );
  await failsWith(
    bench.calls.call(bench.sink, "m", null),
    "overload",
    `as ${CALLS_MAX} calls are unanswered`,
  );
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    bench.sent[0]!.correlation,
    encodeMsgpack("first"),
  );
  assertEquals(await calls[0], "first");
  const next = bench.calls.call(bench.sink, "m", null);
  assertEquals(bench.sent.length, CALLS_MAX + 1);
  bench.calls.close();
  assertEquals(
    (await Promise.allSettled([...calls, next])).filter(({ status }) =>
      status === "rejected"
    ).length,
    CALLS_MAX,
  );
});

Deno.test("LinkCalls fails a call whose answer cannot be read", async () => {
  const bench = new Bench();
  const garbled = bench.calls.call(bench.sink, "m", null);
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    bench.sent[0]!.correlation,
    Uint8Array.of(0xc1),
  );
  await failsWith(garbled, "protocol_error", "");
  bench.assertIdle();
});

Deno.test("LinkCalls returns answers that stay valid after their buffer is reused", async () => {
  const bench = new Bench();
  const call = bench.calls.call(bench.sink, "m", null);
  const buffer = encodeMsgpack(Uint8Array.of(1, 2, 3));
  bench.calls.answered(
    bench.sink,
    FrameType.callReply,
    bench.sent[0]!.correlation,
    buffer,
  );
  buffer.fill(0);
  assertEquals(await call, Uint8Array.of(1, 2, 3));
});

Deno.test("readCall() refuses bytes that are not a call", () => {
  for (
    const strange of [null, "m", [], ["m", null], [1, null, 5], [
      "m",
      null,
      "5",
    ], { 0: "m", 2: 5 }]
  ) {
    const error = assertThrows(
      () => readCall(encodeMsgpack(strange)),
      WhorlError,
    );
    assertEquals(error.code, "protocol_error");
  }
  assert(readCall(encodeMsgpack(["m", null, 5])).method === "m");
});
