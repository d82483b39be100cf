import { assert, assertEquals } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import type { Awaitable } from "../environment/storage.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { readFailure } from "../wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  COVERAGE_CHUNK_BYTES_MAX,
  readCoverageBatch,
} from "./coverage_codec.ts";
import {
  COVERAGE_SLICE_MS,
  COVERAGE_STREAMS_MAX,
  COVERAGE_TURN_MS,
  COVERAGE_WINDOW_BYTES,
  CoverageStreams,
} from "./coverage_streams.ts";
import { bytesCodec, command } from "./define_vnode.ts";
import { BackgroundPace } from "./background_pace.ts";

const QUERY = command<undefined, Uint8Array>({ reply: bytesCodec });
const LONG_MS = 60_000;

/** The streams of a vnode, and every answer they give. */
class Bench {
  nowMs = 0;
  /** Correlation, then the first byte of each chunk with whether that was all, or the failure's code. */
  readonly answers: [number, number[], boolean][] = [];
  readonly failures: [number, string][] = [];
  readonly crashes: unknown[] = [];
  readonly streams: CoverageStreams;
  readonly pace = new BackgroundPace(4, 20);
  /** Turns it has asked for, in milliseconds. */
  readonly waits: number[] = [];
  #changed: (() => void)[] = [];
  #later: (() => void)[] = [];

  constructor() {
    this.streams = new CoverageStreams({
      partition: 5,
      answers: new BatchingSink((flush) => flush(), (batch) => {
        readFrames(batch, 0, batch.length, FRAME_BYTES_MAX, this.#onFrame);
      }),
      now: () => this.nowMs,
      pace: this.pace,
      later: (afterMs, callback) => {
        this.waits.push(afterMs);
        this.#later.push(callback);
      },
      crash: (error) => {
        this.crashes.push(error);
        for (const changed of this.#changed.splice(0)) changed();
      },
    });
  }

  readonly #onFrame: Parameters<typeof readFrames>[4] = (
    type,
    _flags,
    correlation,
    bytes,
    start,
    end,
  ) => {
    if (type === FrameType.vnodeError) {
      const { code } = readFailure(bytes.slice(start, end));
      this.failures.push([correlation, code]);
    } else if (end > start) {
      const { ended, chunks } = readCoverageBatch(
        new ByteReader(bytes.slice(start, end)),
      );
      this.answers.push([
        correlation,
        chunks.map(([first]) => first as number),
        ended,
      ]);
    }
    for (const changed of this.#changed.splice(0)) changed();
  };

  /** Lets it go on after the turns it has asked for. */
  goOn(): void {
    for (const callback of this.#later.splice(0)) callback();
  }

  /** Resolves when something has been answered, or a handler has failed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  open(
    id: number,
    correlation: number,
    begin: (
      signal: AbortSignal,
    ) => Iterable<Awaitable<Uint8Array>> | AsyncIterable<Uint8Array>,
    { askerMs = LONG_MS, queryMs = LONG_MS } = {},
  ): void {
    this.streams.open(
      id,
      correlation,
      this.nowMs + askerMs,
      this.nowMs + queryMs,
      QUERY,
      begin,
    );
  }
}

/** A chunk that is recognized by its first byte. */
function chunk(first: number, byteCount = 1): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  bytes[0] = first;
  return bytes;
}

Deno.test("CoverageStreams answers with all chunks at once if they are few", async () => {
  const bench = new Bench();
  bench.open(1, 10, () => [chunk(1), chunk(2), chunk(3)]);
  await bench.changed();
  assertEquals(bench.answers, [[10, [1, 2, 3], true]]);
  assertEquals(bench.streams.size, 0);
});

Deno.test("CoverageStreams answers an empty result with a final answer", async () => {
  const bench = new Bench();
  bench.open(1, 10, () => []);
  await bench.changed();
  assertEquals(bench.answers, [[10, [], true]]);
});

for (const kind of ["sync", "async"]) {
  Deno.test(`CoverageStreams runs a handler that is ${kind} at most one window ahead of its reader`, async () => {
    const bench = new Bench();
    const half = COVERAGE_WINDOW_BYTES / 2;
    let yielded = 0;
    function* generate() {
      for (;;) yield chunk(++yielded, half);
    }
    bench.open(1, 10, () => {
      const chunks = generate();
      return kind === "sync" ? chunks : (async function* () {
        yield* chunks;
      })();
    });
    let seen = 0;
    for (let correlation = 10; correlation < 20; correlation++) {
      if (bench.answers.length <= correlation - 10) await bench.changed();
      const [answered, firsts] = bench.answers.at(-1)!;
      assertEquals(answered, correlation);
      for (const first of firsts) assertEquals(first, ++seen);
      // Long enough for a handler that is not held back to run far ahead.
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      assert(yielded - seen <= 2, `${yielded} yielded, ${seen} read`);
      bench.streams.more(1, correlation + 1, LONG_MS);
    }
    bench.streams.close("done");
  });
}

Deno.test("CoverageStreams sends the chunks there are while a handler waits", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<void>();
  bench.open(1, 10, async function* () {
    yield chunk(1);
    await gate.promise;
    yield chunk(2);
  });
  await bench.changed();
  assertEquals(bench.answers, [[10, [1], false]]);
  bench.streams.more(1, 11, LONG_MS);
  gate.resolve();
  while (bench.streams.size > 0) {
    await bench.changed();
    const [, , ended] = bench.answers.at(-1)!;
    if (!ended) bench.streams.more(1, 12, LONG_MS);
  }
  assertEquals(bench.answers.flatMap(([, firsts]) => firsts), [1, 2]);
});

Deno.test("CoverageStreams answers vnode_error when a handler throws, and ends the vnode", async () => {
  const bench = new Bench();
  const failure = new Error("It broke");
  bench.open(1, 10, () => {
    throw failure;
  });
  bench.open(2, 20, async function* () {
    yield chunk(1);
    await Promise.resolve();
    throw failure;
  });
  while (bench.crashes.length < 2) {
    await bench.changed();
    if (bench.answers.length === 1) bench.streams.more(2, 21, LONG_MS);
  }
  assertEquals(bench.crashes, [failure, failure]);
  assertEquals(bench.failures, [[10, "vnode_error"], [21, "vnode_error"]]);
});

Deno.test("CoverageStreams treats a handler's result that cannot be iterated as a failure", () => {
  const bench = new Bench();
  bench.open(1, 10, () => undefined as unknown as Uint8Array[]);
  assertEquals(bench.failures, [[10, "vnode_error"]]);
  assert(bench.crashes[0] instanceof TypeError);
});

Deno.test("CoverageStreams.cancel() stops the handler and answers the waiting request", async () => {
  const bench = new Bench();
  const { promise: released, resolve } = Promise.withResolvers<void>();
  let signal: AbortSignal | undefined;
  bench.open(1, 10, async function* (given) {
    signal = given;
    try {
      await new Promise((_, reject) => {
        given.addEventListener("abort", () => reject(given.reason));
      });
      yield chunk(1);
    } finally {
      resolve();
    }
  });
  // The generator runs from its first step on.
  assertEquals(signal?.aborted, false);
  bench.streams.cancel(1, 11);
  assertEquals(signal?.aborted, true);
  await released;
  assertEquals(bench.failures, [[10, "cancelled"]]);
  assertEquals(bench.crashes, []);
  assertEquals(bench.streams.size, 0);
  bench.streams.more(1, 12, LONG_MS);
  assertEquals(bench.failures[1], [12, "vnode_crashed"]);
});

Deno.test("CoverageStreams drops a handler that has yielded and is not asked for more", async () => {
  const bench = new Bench();
  let released = 0;
  bench.open(1, 10, function* () {
    try {
      for (let i = 0;; i++) yield chunk(i, COVERAGE_WINDOW_BYTES);
    } finally {
      released++;
    }
  }, { queryMs: 1_000 });
  await bench.changed();
  bench.streams.giveUpOverdue();
  assertEquals(bench.streams.size, 1);
  bench.nowMs = 1_000;
  bench.streams.giveUpOverdue();
  await Promise.resolve();
  assertEquals(bench.streams.size, 0);
  assertEquals(released, 1);
});

Deno.test("CoverageStreams.giveUpOverdue() answers timeout when a handler is silent for too long", () => {
  const bench = new Bench();
  bench.open(1, 10, async function* () {
    await new Promise(() => {});
    yield chunk(1);
  }, { askerMs: 500 });
  bench.nowMs = 499;
  bench.streams.giveUpOverdue();
  assertEquals(bench.failures, []);
  bench.nowMs = 500;
  bench.streams.giveUpOverdue();
  assertEquals(bench.failures, [[10, "timeout"]]);
  assertEquals(bench.streams.size, 0);
});

Deno.test("CoverageStreams fails a query whose chunk cannot be sent, and not the vnode", async () => {
  const bench = new Bench();
  bench.open(1, 10, () => [chunk(1), chunk(2, COVERAGE_CHUNK_BYTES_MAX + 1)]);
  assertEquals(bench.failures, [[10, "frame_too_large"]]);
  // Met while nobody waited, it is told to the next who asks.
  bench.open(2, 20, async function* () {
    yield chunk(1);
    yield null as unknown as Uint8Array;
  });
  await bench.changed();
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  bench.streams.more(2, 21, LONG_MS);
  assertEquals(bench.answers, [[20, [1], false]]);
  assertEquals(bench.failures[1], [21, "vnode_error"]);
  assertEquals(bench.crashes, []);
  assertEquals(bench.streams.size, 0);
});

Deno.test("CoverageStreams refuses a query beyond its bound, and a query number in use", () => {
  const bench = new Bench();
  const silent = async function* () {
    await new Promise(() => {});
    yield chunk(1);
  };
  for (let id = 1; id <= COVERAGE_STREAMS_MAX - 1; id++) {
    bench.open(id, id, silent);
  }
  bench.open(1, 1_001, silent);
  bench.open(COVERAGE_STREAMS_MAX, 1_002, silent);
  bench.open(COVERAGE_STREAMS_MAX + 1, 1_003, silent);
  assertEquals(bench.failures, [[1_001, "invalid_argument"], [
    1_003,
    "overload",
  ]]);
  bench.streams.more(1, 1_004, LONG_MS);
  assertEquals(bench.failures[2], [1_004, "protocol_error"]);
  bench.streams.close("The vnode stopped");
  assertEquals(
    bench.failures.filter(([, code]) => code === "vnode_crashed").length,
    COVERAGE_STREAMS_MAX,
  );
});

Deno.test("CoverageStreams sends the chunks there are and lets commands run, while they come", async () => {
  const bench = new Bench();
  function* slow() {
    for (let number = 1; number <= 4; number++) {
      bench.nowMs += 2;
      yield chunk(number);
    }
  }
  bench.pace.noteCommand();
  bench.open(1, 10, slow);
  assertEquals(bench.answers, [[10, [1], false]]);
  assertEquals(bench.waits, [8]);
  // Nobody has asked for anything since.
  bench.nowMs += 100;
  bench.streams.more(1, 11, bench.nowMs + LONG_MS);
  bench.goOn();
  await bench.changed();
  assertEquals(bench.answers[1], [11, [2, 3, 4], true]);
  assertEquals(bench.waits.length, 1);
});

Deno.test("CoverageStreams accepts promises of chunks, and sends the chunks there are before it waits for one", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<Uint8Array>();
  bench.open(1, 10, function* () {
    yield chunk(1);
    yield gate.promise;
    yield chunk(3);
  });
  assertEquals(bench.answers, [[10, [1], false]]);
  bench.streams.more(1, 11, LONG_MS);
  gate.resolve(chunk(2));
  await bench.changed();
  assertEquals(bench.answers[1], [11, [2, 3], true]);
});

Deno.test("CoverageStreams answers vnode_error when a promised chunk fails, and ends the vnode", async () => {
  const bench = new Bench();
  const failure = new Error("It broke");
  bench.open(1, 10, () => [Promise.reject(failure)]);
  await bench.changed();
  assertEquals(bench.failures, [[10, "vnode_error"]]);
  assertEquals(bench.crashes, [failure]);
});

Deno.test("CoverageStreams yields to other work when it runs for long, and sends its reader the chunks there are", async () => {
  const bench = new Bench();
  function* long() {
    for (let number = 1; number <= 5; number++) {
      bench.nowMs += COVERAGE_TURN_MS / 2;
      yield chunk(number);
    }
  }
  bench.open(1, 10, long);
  assertEquals(bench.answers, [[10, [1, 2], false]]);
  assertEquals(bench.waits, [0]);
  bench.streams.more(1, 11, LONG_MS);
  bench.goOn();
  while (bench.answers.length < 2) await bench.changed();
  assertEquals(bench.answers[1], [11, [3, 4], false]);
  bench.streams.more(1, 12, LONG_MS);
  bench.goOn();
  while (bench.answers.length < 3) await bench.changed();
  assertEquals(bench.answers[2], [12, [5], true]);
});

Deno.test("CoverageStreams pauses after a slice of work and not after each small chunk, while commands come", async () => {
  const bench = new Bench();
  function* quick() {
    for (let number = 1; number <= 8; number++) {
      bench.nowMs += COVERAGE_SLICE_MS / 4;
      yield chunk(number);
    }
  }
  bench.pace.noteCommand();
  bench.open(1, 10, quick);
  assertEquals(bench.answers, [[10, [1, 2, 3, 4], false]]);
  assertEquals(bench.waits.length, 1);
  bench.streams.close("done");
  await Promise.resolve();
});
