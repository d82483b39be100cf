/**
 * Frames come out the same however the stream cuts them, and no bytes do more
 * harm than a refusal.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import {
  RECEIVE_BUFFER_BYTES,
  ReceiveBuffer,
} from "../../src/transport/receive_buffer.ts";
import {
  FRAME_BYTES_MAX_UNAUTHENTICATED,
  writeFrame,
} from "../../src/wire/frame.ts";

interface Frame {
  type: number;
  flags: number;
  correlation: number;
  payload: Uint8Array;
}

const frames = fc.array(
  fc.record({
    type: fc.nat({ max: 255 }),
    flags: fc.nat({ max: 255 }),
    correlation: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    payload: fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ maxLength: 80 }) },
      {
        weight: 1,
        arbitrary: fc.nat({ max: 3 * RECEIVE_BUFFER_BYTES }).map((size) =>
          new Uint8Array(size).fill(size)
        ),
      },
    ),
  }),
  { maxLength: 12 },
);

/** Feeds `bytes` in pieces as large as `sizes` say, over and over. */
function feed(
  buffer: ReceiveBuffer,
  bytes: Uint8Array,
  sizes: number[],
  lengthMax: number,
): Frame[] {
  const got: Frame[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const space = buffer.space();
    assert(space.length > 0);
    const size = Math.min(
      sizes[i % sizes.length]!,
      space.length,
      bytes.length - at,
    );
    space.set(bytes.subarray(at, at + size));
    buffer.filled(size);
    at += size;
    buffer.drain(lengthMax, (type, flags, correlation, all, start, end) => {
      got.push({ type, flags, correlation, payload: all.slice(start, end) });
    });
  }
  return got;
}

Deno.test("ReceiveBuffer gives the same frames in any chunking", () => {
  fc.assert(
    fc.property(
      frames,
      fc.array(
        fc.oneof(
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 1, max: 400_000 }),
        ),
        { minLength: 1, maxLength: 8 },
      ),
      fc.nat({ max: 64 }),
      (frames, sizes, already) => {
        const into = new ByteWriter();
        for (const { type, correlation, payload, flags } of frames) {
          writeFrame(into, type, correlation, payload, flags);
        }
        const bytes = into.copy();
        const split = Math.min(already, bytes.length);
        const buffer = new ReceiveBuffer(bytes.subarray(0, split));
        const early: Frame[] = [];
        buffer.drain(2 ** 24, (type, flags, correlation, all, start, end) => {
          early.push({
            type,
            flags,
            correlation,
            payload: all.slice(start, end),
          });
        });
        const got = [
          ...early,
          ...feed(buffer, bytes.subarray(split), sizes, 2 ** 24),
        ];
        assertEquals(
          got,
          frames.map((frame) => ({
            ...frame,
            payload: Uint8Array.from(frame.payload),
          })),
        );
        assertEquals(buffer.pendingBytes, 0);
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("ReceiveBuffer meets garbage with a refusal and never grows beyond what came", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 4 }),
      (bytes, sizes) => {
        const buffer = new ReceiveBuffer();
        try {
          feed(buffer, bytes, sizes, FRAME_BYTES_MAX_UNAUTHENTICATED);
        } catch (error) {
          assert(
            isWhorlError(error, "protocol_error") ||
              isWhorlError(error, "frame_too_large"),
            String(error),
          );
        }
        assert(buffer.capacity <= RECEIVE_BUFFER_BYTES);
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("ReceiveBuffer believes an announced length only as far as bytes come", () => {
  const buffer = new ReceiveBuffer();
  const header = new Uint8Array(14);
  new DataView(header.buffer).setUint32(0, 2 ** 24);
  assertEquals(feed(buffer, header, [14], 2 ** 24), []);
  assert(buffer.capacity <= RECEIVE_BUFFER_BYTES);
  // A million bytes of it bring at most twice as much memory.
  assertEquals(feed(buffer, new Uint8Array(1e6), [65536], 2 ** 24), []);
  assert(buffer.capacity <= 2 ** 21, `${buffer.capacity} bytes are held`);
});

Deno.test("ReceiveBuffer goes back to its usual size after a large frame", () => {
  const buffer = new ReceiveBuffer();
  const large = new ByteWriter();
  writeFrame(large, 1, 1, new Uint8Array(2 ** 21));
  assertEquals(feed(buffer, large.view(), [2 ** 16], 2 ** 24).length, 1);
  assert(buffer.capacity >= 2 ** 21);
  const small = new ByteWriter();
  writeFrame(small, 1, 1, new Uint8Array(10));
  for (let i = 0; i < 100; i++) feed(buffer, small.view(), [100], 2 ** 24);
  assertEquals(buffer.capacity, RECEIVE_BUFFER_BYTES);
});
