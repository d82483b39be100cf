import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import { kvClient } from "./kv_client.ts";
import { OBJECT_FORMAT } from "./kv_object_codec.ts";

/** Answers every operation with `object`, as a node at the other end of a connection might. */
function answering(object: Uint8Array | undefined): OperationCarrier {
  return {
    submit(_bytes, _start, _end, target) {
      target.operationDone({ object, replies: [], replicas: [] });
    },
  };
}

// 65,535 siblings announced, none there.
const LYING = new Uint8Array([OBJECT_FORMAT, 0, 0, 0, 0xff, 0xff]);
const NEWER = new Uint8Array([OBJECT_FORMAT + 1, 0, 0, 0, 0, 0]);

for (
  const { what, object, code } of [
    { what: "bytes that are cut short", object: LYING, code: "protocol_error" },
    { what: "no bytes", object: new Uint8Array(0), code: "protocol_error" },
    { what: "a newer format", object: NEWER, code: "store_format" },
  ]
) {
  Deno.test(`kvClient() refuses ${what} where an object should be`, async () => {
    const kv = kvClient(() => answering(object));
    for (
      const attempt of [
        () => kv.get("b", "k"),
        () => kv.put("b", "k", 1),
        () => kv.delete("b", "k"),
      ]
    ) {
      const error = await assertRejects(attempt, WhorlError);
      assertEquals(error.code, code);
    }
  });
}

Deno.test("kvClient() accepts no object at all for a key that was never written", async () => {
  const result = await kvClient(() => answering(undefined)).get("b", "k");
  assertEquals(result, {
    values: [],
    value: undefined,
    context: null,
    replicas: [],
  });
});

for (
  const { what, carrier } of [
    {
      what: "there is no carrier",
      carrier: (): OperationCarrier => {
        throw new WhorlError("closed", "The node is stopping");
      },
    },
    {
      what: "the carrier throws",
      carrier: (): OperationCarrier => ({
        submit(): never {
          throw new WhorlError("closed", "The node is stopping");
        },
      }),
    },
  ]
) {
  Deno.test(`kvClient() rejects and never throws when ${what}`, async () => {
    const kv = kvClient(carrier);
    for (
      const attempt of [
        () => kv.get("b", "k"),
        () => kv.put("b", "k", { json: true }),
        () => kv.put("b", "k", Uint8Array.of(1)),
        () => kv.delete("b", "k"),
      ]
    ) {
      // Not in an async function: an error thrown here would fail the test.
      const promise = attempt();
      const error = await assertRejects(() => promise, WhorlError);
      assertEquals(error.code, "closed");
    }
  });
}

Deno.test("kvClient() refuses to list an invalid bucket, or with invalid options", async () => {
  const kv = kvClient(() => answering(undefined));
  for (
    const [keys, code] of [
      [kv.keys(""), "invalid_key"],
      [kv.keys("b".repeat(257)), "invalid_key"],
      [kv.keys("b", { n: 9 }), "invalid_argument"],
      [kv.keys("b", { idleMs: 0 }), "invalid_argument"],
      // An answer without a page in it.
      [kv.keys("b"), "protocol_error"],
    ] as const
  ) {
    const error = await assertRejects(() => Array.fromAsync(keys), WhorlError);
    assertEquals(error.code, code);
  }
});
