import { assertEquals, assertThrows } from "@std/assert";
import {
  BrokenStreamError,
  KIND_CONTROL,
  KIND_MESSAGE,
  MessageBatch,
  MessageReader,
} from "./message_stream.ts";

Deno.test("MessageReader finds the messages of a MessageBatch however the stream is cut", () => {
  const sent: [number, Uint8Array][] = [
    [KIND_CONTROL, Uint8Array.of(1, 2, 3)],
    [KIND_MESSAGE, new Uint8Array(0)],
    [KIND_MESSAGE, new Uint8Array(300).fill(7)],
  ];
  const batch = new MessageBatch();
  for (const [kind, payload] of sent) batch.add(kind, payload);
  assertEquals(batch.length, 5 * 3 + 303);
  const bytes = batch.take();
  assertEquals(batch.length, 0);
  for (const size of [1, 2, 3, 5, 7, 100, bytes.length]) {
    const found: [number, Uint8Array][] = [];
    const reader = new MessageReader((kind, payload) =>
      found.push([kind, payload])
    );
    // The same piece is used again, as a reader of a pipe does.
    const piece = new Uint8Array(size);
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      piece.set(part);
      reader.push(piece.subarray(0, part.length));
    }
    assertEquals(found, sent);
  }
});

Deno.test("MessageReader refuses a stream that cannot be one", () => {
  for (const length of [[0, 0, 0, 0], [255, 255, 255, 255]]) {
    const reader = new MessageReader(() => {});
    assertThrows(
      () => reader.push(Uint8Array.of(...length, 1)),
      BrokenStreamError,
    );
  }
});
