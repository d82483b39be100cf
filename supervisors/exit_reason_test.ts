import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  crash,
  formatReason,
  isAbnormal,
  RemoteError,
  serializeError,
} from "./exit_reason.ts";

Deno.test("isAbnormal() tells OTP's orderly exits from the others", () => {
  assertEquals(isAbnormal("normal"), false);
  assertEquals(isAbnormal("shutdown"), false);
  assertEquals(isAbnormal({ type: "shutdown", detail: 1 }), false);
  assertEquals(isAbnormal("killed"), true);
  assertEquals(isAbnormal("noproc"), true);
  assertEquals(isAbnormal(crash(new Error("x"))), true);
});

Deno.test("RemoteError keeps what an error carried across a border", () => {
  const cause = new RangeError("too far");
  const error = Object.assign(new TypeError("wrong", { cause }), {
    code: "E_WRONG",
    details: { shelf: 7 },
  });
  const remote = new RemoteError(structuredClone(serializeError(error)));
  assertEquals(
    [remote.name, remote.message, remote.code, remote.details],
    ["TypeError", "wrong", "E_WRONG", { shelf: 7 }],
  );
  assertEquals((remote.cause as Error).name, "RangeError");
  assertStringIncludes(remote.remoteStack!, "exit_reason_test.ts");
});

Deno.test("serializeError() carries the stack to whatever copies it", () => {
  const serialized = serializeError(new Error("x"));
  for (
    const copy of [
      structuredClone(serialized),
      { ...serialized },
      JSON.parse(JSON.stringify(serialized)),
    ]
  ) assertStringIncludes(copy.stack, "exit_reason_test.ts");
});

Deno.test("serializeError() makes plain data of whatever was thrown", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  for (
    const thrown of [undefined, null, 7n, Symbol("s"), "words", cyclic, () => 1]
  ) structuredClone(serializeError(thrown));
  assertEquals(serializeError("words").message, "words");
  const details = { call: () => 1 };
  const unclonable = Object.assign(new Error("x"), { details });
  assertEquals(serializeError(unclonable).details, undefined);
  class Shelf {
    number = 7;
    #own = 7;
    read(): number {
      return this.#own;
    }
  }
  for (
    const details of [
      { shelf: 7, name: "s" },
      { shelf: { number: 7 }, at: [1, undefined] },
      new Shelf(),
    ]
  ) {
    const serialized = serializeError(
      Object.assign(new Error("x"), { details }),
    );
    assertEquals(structuredClone(serialized).details, { ...details });
  }
});

Deno.test("serializeError() bounds texts and chains of causes", () => {
  let error = new Error("x".repeat(1_000_000));
  for (let i = 0; i < 100; i++) error = new Error("outer", { cause: error });
  assertEquals(JSON.stringify(serializeError(error)).length < 400_000, true);
  const long = serializeError(new Error("x".repeat(1_000_000)));
  assertEquals(long.message.length < 20_000, true);
});

Deno.test("formatReason() says each reason in a few words", () => {
  assertEquals(formatReason("killed"), "killed");
  assertEquals(
    formatReason({ type: "shutdown", detail: { tired: true } }),
    'shutdown ({"tired":true})',
  );
  assertEquals(formatReason(crash(new TypeError("x"))), "crash (TypeError: x)");
});
