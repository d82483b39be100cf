import { assert, assertEquals, assertThrows } from "@std/assert";
import { crc32 } from "node:zlib";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { writeFrame } from "./frame.ts";
import {
  checkRecord,
  isBadRecord,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  recordLength,
  sealRecord,
} from "./record.ts";

/** One record with `payload` in it. */
function recordOf(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(RECORD_HEADER_BYTES + payload.length);
  into.length = RECORD_HEADER_BYTES;
  into.raw(payload);
  sealRecord(into, RECORD_HEADER_BYTES, into.length);
  return into.copy();
}

function refused(act: () => unknown): string {
  const error = assertThrows(act, WhorlError);
  assertEquals(error.code, "protocol_error");
  assert(isBadRecord(error));
  return error.message;
}

Deno.test("sealRecord() writes length, its check and the sum before the bytes", () => {
  const bytes = recordOf(new TextEncoder().encode("123456789"));
  assertEquals(
    bytes.toHex(),
    // The check value of CRC-32 is well known: cbf43926.
    "000009" + "f6" + "cbf43926" + "313233343536373839",
  );
  const long = recordOf(new Uint8Array(0x01_02_03));
  assertEquals(long.subarray(0, 4).toHex(), "010203" + "ff");
});

Deno.test("sealRecord() overwrites nothing but the header before its bytes", () => {
  const into = new ByteWriter();
  into.rawText("before--HEADER--bytes-after");
  sealRecord(into, 16, 21);
  const text = new TextDecoder().decode(into.copy());
  assertEquals([text.slice(0, 8), text.slice(-11)], [
    "before--",
    "bytes-after",
  ]);
  assertEquals(recordLength(into.bytes, 8, into.length), 5);
  checkRecord(into.bytes, 8, 5);
});

Deno.test("recordLength() knows the length as soon as four bytes are there", () => {
  const bytes = recordOf(new Uint8Array(300));
  for (let end = 0; end < 4; end++) {
    assertEquals(recordLength(bytes, 0, end), undefined);
  }
  assertEquals(recordLength(bytes, 0, 4), 300);
});

Deno.test("recordLength() takes the largest record and refuses what no record is", () => {
  const largest = recordOf(new Uint8Array(RECORD_BYTES_MAX));
  assertEquals(recordLength(largest, 0, largest.length), RECORD_BYTES_MAX);
  const larger = recordOf(new Uint8Array(RECORD_BYTES_MAX + 1));
  assertEquals(
    refused(() => recordLength(larger, 0, 4)),
    "Cannot receive a record of 262145 bytes: it must have 1 to 262144",
  );
  const empty = recordOf(new Uint8Array(0));
  assertEquals(crc32(new Uint8Array(0)), 0);
  refused(() => recordLength(empty, 0, empty.length));
  for (
    const text of ["\0\0\0\0\0\0\0\0", "GET / HTTP/1.1", "\xff\xff\xff\xff"]
  ) {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    refused(() => recordLength(bytes, 0, bytes.length));
  }
});

Deno.test("recordLength() and checkRecord() refuse a record of frames with any single bit flipped", () => {
  const frames = new ByteWriter();
  for (const type of [10, 50, 70]) {
    writeFrame(frames, type, 7, new TextEncoder().encode(`payload ${type}`));
  }
  const bytes = recordOf(frames.view());
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const message = refused(() => {
      const length = recordLength(bytes, 0, bytes.length);
      assertEquals(
        length,
        frames.length,
        "a changed length is refused at once",
      );
      checkRecord(bytes, 0, length!);
    });
    assert(message.includes("changed on the way"), message);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
  assertEquals(recordLength(bytes, 0, bytes.length), frames.length);
  checkRecord(bytes, 0, frames.length);
});

Deno.test("isBadRecord() knows other protocol errors from those of records", () => {
  assert(!isBadRecord(new WhorlError("protocol_error", "Cannot take this")));
});
