import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { BATCH_BYTES_MAX, BatchingSink } from "./batching_sink.ts";
import { FRAME_BYTES_MAX, readFrames } from "./frame.ts";

/** A sink whose turns end when the test says so. */
class Bench {
  readonly batches: Uint8Array<ArrayBuffer>[] = [];
  deferred: (() => void)[] = [];
  readonly sink = new BatchingSink(
    (callback) => this.deferred.push(callback),
    (batch) => this.batches.push(batch),
  );

  send(correlation: number, payload = 0): void {
    this.sink.begin(7, correlation).u8(payload);
    this.sink.end();
  }

  endTurn(): void {
    for (const callback of this.deferred.splice(0)) callback();
  }

  /** The correlations in each batch. */
  get delivered(): number[][] {
    return this.batches.map((batch) => {
      const found: number[] = [];
      const at = readFrames(
        batch,
        0,
        batch.length,
        FRAME_BYTES_MAX,
        (_t, _f, correlation) => {
          found.push(correlation);
        },
      );
      assertEquals(at, batch.length);
      return found;
    });
  }
}

Deno.test("BatchingSink sends the frames of a turn as one batch, in order", () => {
  const bench = new Bench();
  bench.send(1);
  bench.send(2);
  bench.send(3);
  assertEquals(bench.delivered, []);
  assertEquals(bench.deferred.length, 1);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 2, 3]]);
  bench.send(4);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 2, 3], [4]]);
});

Deno.test("BatchingSink gives each batch away for good", () => {
  const bench = new Bench();
  bench.send(1, 11);
  bench.endTurn();
  bench.send(2, 22);
  bench.endTurn();
  const [first] = bench.batches;
  assertEquals(first?.at(-1), 11);
  assertEquals(first?.byteLength, first?.buffer.byteLength);
});

Deno.test("BatchingSink.bufferedBytes counts what waits to leave", () => {
  const bench = new Bench();
  assertEquals(bench.sink.bufferedBytes, 0);
  bench.send(1);
  assertEquals(bench.sink.bufferedBytes, 15);
  bench.endTurn();
  assertEquals(bench.sink.bufferedBytes, 0);
});

Deno.test("BatchingSink.flush() sends at once, and the end of the turn has nothing to add", () => {
  const bench = new Bench();
  bench.send(1);
  bench.sink.flush();
  bench.endTurn();
  bench.sink.flush();
  assertEquals(bench.delivered, [[1]]);
});

Deno.test("BatchingSink keeps frames back while it is paused and sends them first afterwards", () => {
  const bench = new Bench();
  bench.send(1);
  bench.sink.pause();
  bench.endTurn();
  bench.send(2);
  bench.sink.flush();
  bench.endTurn();
  assertEquals(bench.delivered, []);
  bench.sink.resume();
  assertEquals(bench.delivered, [[1, 2]]);
  bench.send(3);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 2], [3]]);
});

Deno.test("BatchingSink.discard() forgets what was gathered, and no more", () => {
  const bench = new Bench();
  bench.send(1);
  bench.sink.discard();
  bench.endTurn();
  assertEquals(bench.delivered, []);
  bench.send(2);
  bench.endTurn();
  assertEquals(bench.delivered, [[2]]);
});

Deno.test("BatchingSink survives a frame that is too large: the others of its turn leave", () => {
  const bench = new Bench();
  bench.send(1);
  bench.sink.begin(7, 2).raw(new Uint8Array(FRAME_BYTES_MAX));
  assertThrows(() => bench.sink.end(), WhorlError, "Cannot send a frame");
  bench.send(3);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 3]]);
});

Deno.test("BatchingSink does not hold the memory of a huge message for ever", () => {
  const bench = new Bench();
  bench.sink.begin(7, 1).raw(new Uint8Array(2 * 1024 * 1024));
  bench.sink.end();
  bench.endTurn();
  const writer = bench.sink.begin(7, 2);
  bench.sink.end();
  assert(writer.bytes.length <= 64 * 1024, `${writer.bytes.length}`);
  bench.endTurn();
  assertEquals(bench.delivered, [[1], [2]]);
});

/** Payload of frames of which four make a batch. */
const QUARTER = new Uint8Array(BATCH_BYTES_MAX / 4);

function sendQuarters(bench: Bench, correlations: readonly number[]): void {
  for (const correlation of correlations) {
    bench.sink.begin(7, correlation).raw(QUARTER);
    bench.sink.end();
  }
}

Deno.test("BatchingSink lets a batch go within the turn once it is large, and the rest at its end, in order", () => {
  const bench = new Bench();
  sendQuarters(bench, [1, 2, 3]);
  assertEquals(bench.delivered, []);
  sendQuarters(bench, [4]);
  assertEquals(bench.delivered, [[1, 2, 3, 4]]);
  assertEquals(bench.sink.bufferedBytes, 0);
  sendQuarters(bench, [5, 6, 7, 8, 9]);
  assertEquals(bench.delivered, [[1, 2, 3, 4], [5, 6, 7, 8]]);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 2, 3, 4], [5, 6, 7, 8], [9]]);
  // What left early took no later frame's turn with it.
  bench.send(10);
  bench.endTurn();
  assertEquals(bench.delivered[3], [10]);
});

Deno.test("BatchingSink sends one large frame at once, behind the small ones before it", () => {
  const bench = new Bench();
  bench.send(1);
  bench.sink.begin(7, 2).raw(new Uint8Array(2 * BATCH_BYTES_MAX));
  bench.sink.end();
  assertEquals(bench.delivered, [[1, 2]]);
  bench.endTurn();
  assertEquals(bench.delivered, [[1, 2]]);
});

Deno.test("BatchingSink keeps large frames back too while it is paused, and all of them leave afterwards", () => {
  const bench = new Bench();
  bench.sink.pause();
  sendQuarters(bench, [1, 2, 3, 4, 5]);
  bench.endTurn();
  assertEquals(bench.delivered, []);
  bench.sink.resume();
  assertEquals(bench.delivered, [[1, 2, 3, 4, 5]]);
  sendQuarters(bench, [6, 7, 8, 9]);
  assertEquals(bench.delivered[1], [6, 7, 8, 9]);
});
