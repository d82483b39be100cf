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
      const reads = ringViewOf(version, owners.slice(1), up, self, 2_048);
      const both = { ...view, reads };
      into.clear();
      writeRingView(into, moduleId, both);
      assertEquals(readRingView(into.copy()), { moduleId, view: both });
    },
  ));
});

const VIEW = [1, ["a"], new Uint8Array(2), new Uint8Array(1), 0, 0] as const;

for (
  const [what, message] of Object.entries({
    "no list": {},
    "a list that is too short": [1, VIEW],
    "a module that is no number": ["1", VIEW, null],
    "a view that is none": [1, null, null],
    "a view that is too short": [1, VIEW.slice(1), null],
    "a node that is no text": [1, VIEW.with(1, [7] as never), null],
    "an owner that is no node": [
      1,
      VIEW.with(2, new Uint8Array([0, 1])),
      null,
    ],
    "half an owner": [1, VIEW.with(2, new Uint8Array(3)), null],
    "a self that is no node": [1, VIEW.with(4, 1), null],
    "a first vnode that is no number": [1, VIEW.with(5, "0" as never), null],
    "fewer states than nodes": [1, VIEW.with(3, new Uint8Array(0)), null],
    "a view to read by that is none": [1, VIEW, VIEW.with(4, 1)],
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

Deno.test("readRingView() accepts the view that the other cases are derived from", () => {
  const { view } = readRingView(encodeMsgpack([1, VIEW, null]));
  assertEquals([view.ringSize, view.nodes], [1, ["a"]]);
});
