import { assertEquals } from "@std/assert";
import { contextOf, contextToText } from "../../kv/causal_context.ts";
import { writeToObject } from "../../kv/kv_object.ts";
import { SiblingFlag } from "../../kv/kv_object_codec.ts";
import { HistoryRecorder } from "../history.ts";
import { checkAcknowledgedCopies } from "./acknowledged_copies.ts";
import type { KvInput, KvOutput, KvRead } from "./kv_history.ts";

const object = (value: string, before?: Uint8Array) =>
  writeToObject(before, undefined, new Uint8Array(12).fill(1), {
    flags: SiblingFlag.json,
    lastModified: 0,
    value: new TextEncoder().encode(JSON.stringify(value)),
  });
const contextText = (object: Uint8Array): string =>
  contextToText(contextOf(object)) as string;

const first = object("a");
const second = object("b", first);
const nothing: KvRead = { values: [], context: null };
const holds = (object: Uint8Array, ...values: string[]): KvRead => ({
  values,
  context: contextText(object),
});

/**
 * Two puts, the second of which knows the first; only the first is certainly
 * acknowledged.
 */
function history(secondIsKnown: boolean) {
  let nowMs = 0;
  const history = new HistoryRecorder<KvInput, KvOutput>(() => nowMs++);
  const put = (value: string, object: Uint8Array, isKnown: boolean) => {
    const record = history.invoke("c1", "sim/k", { type: "put", value });
    if (!isKnown) return history.lose(record, "timeout");
    history.succeed(record, {
      context: contextText(object),
      siblings: 1,
    });
  };
  put("a", first, true);
  put("b", second, secondIsKnown);
  return history.records;
}

const check = (
  records: ReturnType<typeof history>,
  ...reads: readonly KvRead[]
) =>
  checkAcknowledgedCopies(
    records,
    new Map([[
      "sim/k",
      new Map(reads.map((read, i) => [`n${i + 1}/${i}`, read])),
    ]]),
    () => 2,
  ).map(({ message }) => message);

Deno.test("checkAcknowledgedCopies() passes if as many owners as acknowledged have a write, whatever the third has", () => {
  assertEquals(
    check(history(false), holds(first, "a"), nothing, holds(first, "a")),
    [],
  );
});

Deno.test("checkAcknowledgedCopies() counts a version that knows the write", () => {
  assertEquals(
    check(history(false), holds(first, "a"), nothing, holds(second, "b")),
    [],
  );
});

Deno.test("checkAcknowledgedCopies() reports a write that only one owner has", () => {
  assertEquals(
    check(history(true), holds(second, "b"), holds(first, "a"), nothing),
    [
      'Key "sim/k": operation 1, acknowledged to c1 at 3 ms, is known to n1/0, and 2 owners must know it without a read: it is missing on n2/1, n3/2',
    ],
  );
});

Deno.test("checkAcknowledgedCopies() reports a write that nobody has", () => {
  const messages = checkAcknowledgedCopies(history(false), new Map(), () => 2)
    .map(({ message }) => message);
  assertEquals(messages, [
    'Key "sim/k": operation 0, acknowledged to c1 at 1 ms, is known to no owner, and 2 owners must know it without a read',
  ]);
});
