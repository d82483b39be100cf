import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { encodeMsgpack } from "../wire/msgpack.ts";
import { ringViewOf } from "./ring_view.ts";
import { readRingView, writeRingView } from "./ring_view_codec.ts";

Deno.test("readRingView() undoes writeRingView()", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(fc.property(
    names.chain((nodes) =>
      fc.record({
        moduleId: fc.nat(0xffff_ffff),
        version: fc.nat(),
        owners: fc.array(fc.constantFrom(...nodes), {
          minLength: 8,
          maxLength: 64,
        }),
        up: fc.subarray(nodes),
        self: fc.constantFrom(...nodes, "a node that owns nothing"),
        firstVnode: fc.constantFrom(0, 1024, 64_512),
      })
    ),
    ({ moduleId, version, owners, up, self, firstVnode }) => {
      const view = ringViewOf(version, owners, up, self, firstVnode);
      const into = new ByteWriter();
      writeRingView(into, moduleId, view);
      assertEquals(readRingView(into.copy()), { moduleId, view });
    },
  ));
});

for (
  const [what, message] of Object.entries({
    "no list": {},
    "a list that is too short": [1, 1, ["a"], new Uint8Array(2)],
    "a node that is no text": [
      1,
      1,
      [7],
      new Uint8Array(2),
      new Uint8Array(1),
      0,
      0,
    ],
    "an owner that is no node": [
      1,
      1,
      ["a"],
      new Uint8Array([0, 1]),
      new Uint8Array(1),
      0,
      0,
    ],
    "half an owner": [1, 1, ["a"], new Uint8Array(3), new Uint8Array(1), 0, 0],
    "a self that is no node": [
      1,
      1,
      ["a"],
      new Uint8Array(2),
      new Uint8Array(1),
      1,
      0,
    ],
    "a first vnode that is no number": [
      1,
      1,
      ["a"],
      new Uint8Array(2),
      new Uint8Array(1),
      0,
      "0",
    ],
    "fewer states than nodes": [
      1,
      1,
      ["a"],
      new Uint8Array(2),
      new Uint8Array(0),
      0,
      0,
    ],
  })
) {
  Deno.test(`readRingView() refuses ${what}`, () => {
    const error = assertThrows(
      () => readRingView(encodeMsgpack(message)),
      WhorlError,
    );
    assertEquals(error.code, "protocol_error");
  });
}
