import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  announcedFrameBytes,
  beginFrame,
  endFrame,
  FRAME_BYTES_MAX,
  FRAME_BYTES_MAX_UNAUTHENTICATED,
  FRAME_HEADER_BYTES,
  readFrames,
  writeFrame,
} from "./frame.ts";

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly correlation: number;
  readonly payload: Uint8Array;
}

function written(frames: readonly Frame[]): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(16);
  for (const { type, flags, correlation, payload } of frames) {
    writeFrame(into, type, correlation, payload, flags);
  }
  return into.copy();
}

/** Reads `bytes[start, end)` and says where it stopped. */
function read(
  bytes: Uint8Array<ArrayBuffer>,
  into: Frame[],
  start = 0,
  end = bytes.length,
  lengthMax = FRAME_BYTES_MAX,
): number {
  return readFrames(
    bytes,
    start,
    end,
    lengthMax,
    (type, flags, correlation, bytes, from, to) => {
      into.push({ type, flags, correlation, payload: bytes.slice(from, to) });
    },
  );
}

const frame = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  correlation: fc.maxSafeNat(),
  payload: fc.uint8Array({ maxLength: 60 }),
});

Deno.test("writeFrame() writes length, type, flags, correlation and payload", () => {
  const bytes = written([{
    type: 50,
    flags: 3,
    correlation: 2 ** 40 + 7,
    payload: Uint8Array.of(0xaa, 0xbb),
  }]);
  assertEquals(
    bytes.toHex(),
    "0000000c" + "32" + "03" + "0000010000000007" + "aabb",
  );
  assertEquals(FRAME_HEADER_BYTES, bytes.length - 2);
});

Deno.test("beginFrame() and endFrame() leave what stands before the frame alone", () => {
  const into = new ByteWriter(1);
  into.u16(0xffff);
  const start = beginFrame(into, 1, 2);
  into.text("payload");
  endFrame(into, start);
  const frames: Frame[] = [];
  assertEquals(read(into.copy(), frames, 2), into.length);
  assertEquals(
    frames.map(({ type, flags, correlation }) => [type, flags, correlation]),
    [[1, 0, 2]],
  );
  assertEquals([...into.view().subarray(0, 2)], [255, 255]);
});

Deno.test("readFrames() gets every frame from a stream that comes one byte at a time", () => {
  const sent: Frame[] = [
    { type: 1, flags: 0, correlation: 0, payload: new Uint8Array(0) },
    {
      type: 255,
      flags: 255,
      correlation: Number.MAX_SAFE_INTEGER,
      payload: Uint8Array.of(1, 2, 3),
    },
    { type: 9, flags: 1, correlation: 5, payload: new Uint8Array(300).fill(7) },
  ];
  const bytes = written(sent);
  const received: Frame[] = [];
  const arrivals: number[] = [];
  let at = 0;
  for (let end = 1; end <= bytes.length; end++) {
    const before = received.length;
    at = read(bytes, received, at, end);
    if (received.length > before) arrivals.push(end);
  }
  assertEquals(received, sent);
  // Each the moment its last byte is there, and not before.
  assertEquals(arrivals, [14, 14 + 17, bytes.length]);
  assertEquals(at, bytes.length);
});

Deno.test("readFrames() gets the same frames however the stream is cut", () => {
  fc.assert(fc.property(
    fc.array(frame, { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }),
    fc.nat(9),
    (sent, cuts, offset) => {
      const stream = written(sent);
      // As a receiver has it: the bytes stand somewhere inside a larger memory.
      const memory = new Uint8Array(offset + stream.length + 5).fill(255);
      memory.set(stream, offset);
      const view = memory.subarray(offset);
      const received: Frame[] = [];
      let at = 0, end = 0;
      for (let i = 0; end < stream.length; i++) {
        end = Math.min(stream.length, end + cuts[i % cuts.length]!);
        at = read(view, received, at, end);
        assert(at <= end);
      }
      assertEquals(at, stream.length);
      assertEquals(received, sent);
    },
  ));
});

Deno.test("readFrames() takes a frame of the largest length and refuses one byte more", () => {
  const into = new ByteWriter();
  const payload = new Uint8Array(FRAME_BYTES_MAX_UNAUTHENTICATED - 10);
  writeFrame(into, 1, 0, payload);
  const received: Frame[] = [];
  read(into.copy(), received, 0, into.length, FRAME_BYTES_MAX_UNAUTHENTICATED);
  assertEquals(received.length, 1);

  const larger = new ByteWriter();
  writeFrame(larger, 1, 0, new Uint8Array(payload.length + 1));
  const error = assertThrows(
    // Refused by its first four bytes: nobody waits for the rest.
    () => read(larger.copy(), [], 0, 4, FRAME_BYTES_MAX_UNAUTHENTICATED),
    WhorlError,
    "Cannot receive a frame of 4097 bytes: the limit is 4096",
  );
  assert(isWhorlError(error, "frame_too_large"));
  assertEquals(error.details, { length: 4097, limit: 4096 });
});

Deno.test("readFrames() refuses a length that leaves no room for a header", () => {
  for (const length of [0, 9]) {
    const error = assertThrows(
      () =>
        read(Uint8Array.of(0, 0, 0, length, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), []),
      WhorlError,
      `Cannot receive a frame of ${length} bytes: the least is 10`,
    );
    assert(isWhorlError(error, "protocol_error"));
  }
});

Deno.test("readFrames() refuses a correlation that a number cannot hold", () => {
  const bytes = written([{
    type: 1,
    flags: 0,
    correlation: Number.MAX_SAFE_INTEGER,
    payload: new Uint8Array(0),
  }]);
  bytes[7] = 0x20;
  const error = assertThrows(
    () => read(bytes, []),
    WhorlError,
    "above 2^53 - 1",
  );
  assert(isWhorlError(error, "protocol_error"));
});

Deno.test("readFrames() has handled what stood before a frame that cannot be", () => {
  const good: Frame = {
    type: 1,
    flags: 0,
    correlation: 4,
    payload: Uint8Array.of(8),
  };
  const received: Frame[] = [];
  const bytes = new Uint8Array([...written([good]), 0, 0, 0, 1]);
  assertThrows(() => read(bytes, received), WhorlError);
  assertEquals(received, [good]);
});

Deno.test("endFrame() takes a frame that is too large back out", () => {
  const into = new ByteWriter();
  writeFrame(into, 1, 1, Uint8Array.of(1));
  const before = into.copy();
  const start = beginFrame(into, 2, 2);
  into.raw(new Uint8Array(FRAME_BYTES_MAX - 10));
  const largest = into.length;
  endFrame(into, start);
  assertEquals(into.length, largest);
  into.length = start;

  const again = beginFrame(into, 2, 2);
  into.raw(new Uint8Array(FRAME_BYTES_MAX - 9));
  const error = assertThrows(() => endFrame(into, again), WhorlError);
  assert(isWhorlError(error, "frame_too_large"));
  assertEquals(into.view(), before);
});

Deno.test("announcedFrameBytes() tells the whole length as soon as four bytes are there", () => {
  const bytes = new Uint8Array([
    9,
    9,
    ...written([{
      type: 1,
      flags: 0,
      correlation: 1,
      payload: new Uint8Array(6),
    }]),
  ]);
  assertEquals(announcedFrameBytes(bytes, 2, 5), undefined);
  assertEquals(announcedFrameBytes(bytes, 2, 6), bytes.length - 2);
  assertEquals(announcedFrameBytes(bytes.subarray(2), 0, 4), bytes.length - 2);
});
