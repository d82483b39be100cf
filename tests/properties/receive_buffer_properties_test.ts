/**
 * Frames come out the same however records and the stream cut them, what was
 * changed on the way does not come out, and no bytes do more harm than a refusal.
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
import { isBadRecord, RECORD_BYTES_MAX } from "../../src/wire/record.ts";
import { recordsOf } from "../../src/wire/testing/records.ts";

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

/** The largest record that may be made: few sizes by which frames divide. */
const recordSizes = fc.oneof(
  fc.integer({ min: 1, max: 60 }),
  fc.integer({ min: 1_000, max: RECORD_BYTES_MAX }),
);

/** Feeds `bytes` in pieces as large as `sizes` say, over and over. */
function feed(
  buffer: ReceiveBuffer,
  bytes: Uint8Array,
  sizes: number[],
  lengthMax: number,
  got: Frame[] = [],
): Frame[] {
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
      recordSizes,
      (frames, sizes, already, recordBytes) => {
        const into = new ByteWriter();
        for (const { type, correlation, payload, flags } of frames) {
          writeFrame(into, type, correlation, payload, flags);
        }
        const bytes = recordsOf(into.view(), recordBytes);
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

Deno.test("ReceiveBuffer passes on what comes before a changed bit, and nothing else", () => {
  fc.assert(
    fc.property(
      frames.filter((frames) => frames.length > 0),
      fc.array(fc.integer({ min: 1, max: 90_000 }), {
        minLength: 1,
        maxLength: 4,
      }),
      recordSizes,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (frames, sizes, recordBytes, where) => {
        const into = new ByteWriter();
        const ends = frames.map(({ type, correlation, payload, flags }) => {
          writeFrame(into, type, correlation, payload, flags);
          return into.length;
        });
        const bytes = recordsOf(into.view(), recordBytes);
        const bit = Math.floor(where * bytes.length * 8);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        // Where the frames' bytes end that stand in records before that one.
        const good = Math.floor((bit >> 3) / (8 + recordBytes)) * recordBytes;
        const got: Frame[] = [];
        const buffer = new ReceiveBuffer();
        let refused = false;
        try {
          feed(buffer, bytes, sizes, 2 ** 24, got);
        } catch (error) {
          refused = isWhorlError(error, "protocol_error") && isBadRecord(error);
          if (!refused) throw error;
        }
        assert(refused, "a changed bit is refused once its record is whole");
        const whole = frames.slice(0, ends.filter((end) => end <= good).length);
        assertEquals(
          got,
          whole.map((frame) => ({
            ...frame,
            payload: Uint8Array.from(frame.payload),
          })),
        );
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("ReceiveBuffer refuses garbage and never grows beyond what arrived", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (garbage, sizes, inRecords) => {
        const bytes = inRecords ? recordsOf(garbage) : garbage;
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

Deno.test("ReceiveBuffer trusts an announced length only as far as bytes arrive", () => {
  const buffer = new ReceiveBuffer();
  const header = new Uint8Array(14);
  new DataView(header.buffer).setUint32(0, 2 ** 24);
  assertEquals(feed(buffer, recordsOf(header), [14], 2 ** 24), []);
  assert(buffer.capacity <= RECEIVE_BUFFER_BYTES);
  // A million bytes of it bring at most twice as much memory.
  const more = recordsOf(new Uint8Array(1e6));
  assertEquals(feed(buffer, more, [65536], 2 ** 24), []);
  assert(buffer.capacity <= 2 ** 21, `${buffer.capacity} bytes are held`);
});

Deno.test("ReceiveBuffer goes back to its usual size after a large frame", () => {
  const buffer = new ReceiveBuffer();
  const large = new ByteWriter();
  writeFrame(large, 1, 1, new Uint8Array(2 ** 21));
  const records = recordsOf(large.view());
  assertEquals(feed(buffer, records, [2 ** 16], 2 ** 24).length, 1);
  assert(buffer.capacity >= 2 ** 21);
  const small = new ByteWriter();
  writeFrame(small, 1, 1, new Uint8Array(10));
  const record = recordsOf(small.view());
  for (let i = 0; i < 100; i++) feed(buffer, record, [100], 2 ** 24);
  assertEquals(buffer.capacity, RECEIVE_BUFFER_BYTES);
});
