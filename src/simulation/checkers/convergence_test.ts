import { assertEquals } from "@std/assert";
import { writeToObject } from "../../kv/kv_object.ts";
import { SiblingFlag } from "../../kv/kv_object_codec.ts";
import { checkConvergence } from "./convergence.ts";
import { describeKvObject } from "./kv_object_text.ts";

const object = (actor: number, value: string) =>
  writeToObject(undefined, undefined, new Uint8Array(12).fill(actor), {
    flags: SiblingFlag.json,
    lastModified: 0,
    value: new TextEncoder().encode(value),
  });

Deno.test("checkConvergence() passes equal replicas, even empty ones", () => {
  const replicas = new Map([
    ["a", new Map([["p1", object(1, "1")], ["p2", object(1, "1")]])],
    ["b", new Map<string, Uint8Array | undefined>([["p1", undefined]])],
  ]);
  assertEquals(checkConvergence(replicas), []);
});

Deno.test("checkConvergence() reports the key, each content and its holders", () => {
  const replicas = new Map([
    ["same", new Map([["p1", object(1, "1")], ["p2", object(1, "1")]])],
    [
      "differs",
      new Map<string, Uint8Array | undefined>([
        ["p1", object(1, "1")],
        ["p2", object(2, '"two"')],
        ["p3", object(1, "1")],
        ["p4", undefined],
      ]),
    ],
  ]);
  const violations = checkConvergence(replicas, describeKvObject);
  assertEquals(violations.map(({ key, message }) => ({ key, message })), [{
    key: "differs",
    message:
      'Key "differs" differs between its replicas: {1 of 01010101:1} knowing 01010101:1 on p1, p3; {"two" of 02020202:1} knowing 02020202:1 on p2; nothing on p4',
  }]);
  const [inHex] = checkConvergence(replicas);
  assertEquals(inHex!.message.includes("01000001000101010101"), true);
});

Deno.test("checkConvergence() reports a single byte that differs in two objects of one history", () => {
  const changed = object(1, "1");
  changed[changed.length - 1]! ^= 1;
  assertEquals(
    checkConvergence(
      new Map([["k", new Map([["p1", object(1, "1")], ["p2", changed]])]]),
    ).length,
    1,
  );
});
