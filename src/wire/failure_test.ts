import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { readFailure, writeFailure } from "./failure.ts";
import { encodeMsgpack } from "./msgpack.ts";

function travelled(error: WhorlError): WhorlError {
  const into = new ByteWriter();
  into.u8(1);
  writeFailure(into, error);
  return readFailure(into.view().subarray(1));
}

Deno.test("readFailure() gets back code, message and details", () => {
  const error = travelled(
    new WhorlError("wrong_owner", "Cannot run it here", {
      details: {
        partition: 7,
        owner: "b@host",
        tried: ["a", null, true],
        raw: Uint8Array.of(1, 2),
      },
      cause: new Error("stays at home"),
    }),
  );
  assert(isWhorlError(error, "wrong_owner"));
  assertEquals(error.message, "Cannot run it here");
  assertEquals(error.details, {
    partition: 7,
    owner: "b@host",
    tried: ["a", null, true],
    raw: Uint8Array.of(1, 2),
  });
  assertEquals("cause" in error, false);
});

Deno.test("readFailure() undoes writeFailure() for any plain details", () => {
  const details = fc.dictionary(
    fc.string().filter((key) => key !== "__proto__"),
    fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
    { noNullPrototype: true },
  );
  fc.assert(fc.property(fc.string(), details, (message, details) => {
    const error = travelled(new WhorlError("timeout", message, { details }));
    assertEquals([error.code, error.message, error.details], [
      "timeout",
      message,
      details,
    ]);
  }));
});

Deno.test("writeFailure() leaves details behind that cannot travel, and nothing half written", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  for (const details of [{ big: 1n }, { of: { run: () => {} } }, cyclic]) {
    const error = travelled(
      new WhorlError("vnode_error", "It failed", { details }),
    );
    assertEquals([error.code, error.message, error.details], [
      "vnode_error",
      "It failed",
      {},
    ]);
  }
});

Deno.test("readFailure() keeps its bytes: the buffer it was read from may be used again", () => {
  const into = new ByteWriter();
  writeFailure(
    into,
    new WhorlError("timeout", "m", { details: { raw: Uint8Array.of(5) } }),
  );
  const error = readFailure(into.view());
  into.bytes.fill(0);
  assertEquals(error.details, { raw: Uint8Array.of(5) });
});

Deno.test("readFailure() reads what is none as a protocol_error", () => {
  const strange = [
    new Uint8Array(0),
    Uint8Array.of(0xc1),
    encodeMsgpack(null),
    encodeMsgpack("timeout"),
    encodeMsgpack(["timeout"]),
    encodeMsgpack([1, "message", {}]),
    encodeMsgpack(["timeout", 2, {}]),
    encodeMsgpack({ 0: "timeout", 1: "message" }),
  ];
  for (const bytes of strange) {
    const error = readFailure(bytes);
    assert(isWhorlError(error, "protocol_error"), bytes.toHex());
    assertEquals(
      error.message,
      "Cannot read a failure that another process sent",
    );
  }
});

Deno.test("readFailure() makes an empty object of details that are none", () => {
  for (const details of [undefined, null, "text", 7]) {
    assertEquals(
      readFailure(encodeMsgpack(["timeout", "m", details ?? null])).details,
      {},
    );
  }
  assertEquals(readFailure(encodeMsgpack(["timeout", "m"])).details, {});
});

Deno.test("readFailure() never throws, whatever arrives", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    assert(isWhorlError(readFailure(bytes)));
  }));
});

Deno.test("writeFailure() does not hide a failure of another kind", () => {
  const details = {
    get trap(): never {
      throw new RangeError("from a getter");
    },
  };
  // The encoder wraps what its input throws; only then is it left behind.
  assertEquals(
    travelled(new WhorlError("internal", "m", { details })).details,
    {},
  );
  let tries = 0;
  const full = {
    raw(): void {
      if (tries++ === 0) throw new RangeError("no room");
    },
  };
  assertThrows(
    () => writeFailure(full as never, new WhorlError("internal", "m")),
    RangeError,
    "no room",
  );
});

Deno.test("writeFailure() makes text of a message, details and keys that are none", () => {
  const error = travelled(
    new WhorlError("vnode_error", "Cannot find 'a\ud800b'", {
      details: {
        key: "\udc00",
        "na\ud801me": ["x", { deep: "y\udfff" }],
        fine: "\u{1f600}",
      },
    }),
  );
  assertEquals([error.code, error.message, error.details], [
    "vnode_error",
    "Cannot find 'a\ufffdb'",
    {
      key: "\ufffd",
      "na\ufffdme": ["x", { deep: "y\ufffd" }],
      fine: "\u{1f600}",
    },
  ]);
});

Deno.test("writeFailure() cuts a long message, also in the middle of a character, and keeps its details", () => {
  for (const before of [3_999, 4_000]) {
    const details = { partition: 7 };
    const error = travelled(
      new WhorlError(
        "timeout",
        `${"m".repeat(before)}\u{1f600}${"n".repeat(100)}`,
        { details },
      ),
    );
    assertEquals(error.code, "timeout");
    assertEquals(
      error.message,
      before === 3_999 ? `${"m".repeat(3_999)}\ufffd` : "m".repeat(4_000),
    );
    assertEquals(error.details, details);
  }
});

Deno.test("writeFailure() leaves details behind that are too large, and nothing half written", () => {
  const into = new ByteWriter();
  into.u8(1);
  writeFailure(
    into,
    new WhorlError("quorum_unavailable", "It failed", {
      details: { raw: new Uint8Array(256 * 1024) },
    }),
  );
  assert(into.length < 100, `${into.length} bytes`);
  const error = readFailure(into.view().subarray(1));
  assertEquals([error.code, error.message, error.details], [
    "quorum_unavailable",
    "It failed",
    {},
  ]);
  const details = { raw: new Uint8Array(200 * 1024) };
  assertEquals(
    travelled(new WhorlError("quorum_unavailable", "m", { details })).details,
    details,
  );
});

Deno.test("readFailure() gets back the code of any failure, whatever its texts hold", () => {
  // Halves of characters next to each other and to text.
  const unit = fc.constantFrom("a", "\u{1f600}", "\ud800", "\udc00", "\udbff");
  const odd = fc.string({ unit, maxLength: 12 });
  fc.assert(
    fc.property(
      odd,
      fc.oneof(fc.constant(0), fc.integer({ min: 3_990, max: 4_002 })),
      fc.dictionary(odd, fc.oneof(odd, fc.array(odd)), {
        noNullPrototype: true,
      }),
      (text, padding, details) => {
        const message = "m".repeat(padding) + text;
        const error = travelled(
          new WhorlError("timeout", message, { details }),
        );
        assertEquals(error.code, "timeout");
        assertEquals(error.message, message.slice(0, 4_000).toWellFormed());
        assertEquals(
          Object.values(error.details).length,
          new Set(Object.keys(details).map((key) => key.toWellFormed())).size,
        );
      },
    ),
    { numRuns: 200 },
  );
});
