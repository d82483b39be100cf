import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isWhorlError } from "../base/errors.ts";
import {
  decodeHistory,
  encodeHistory,
  encodeRecord,
  HISTORY_HEADER,
  HistoryRecorder,
  type OperationRecord,
} from "./history.ts";

Deno.test("HistoryRecorder keeps what clients saw, in the order of their calls", () => {
  let nowMs = 10;
  const changed: string[] = [];
  const recorder = new HistoryRecorder<string, number>(
    () => nowMs,
    ({ id, outcome }) => changed.push(`${id} ${outcome}`),
  );
  const [a, b, c, open] = ["c1", "c2", "c3", "c4"].map((client) =>
    recorder.invoke(client, "k", "get")
  );
  nowMs = 20;
  recorder.lose(c!, "timeout");
  recorder.succeed(b!, 7);
  recorder.fail(a!, "invalid_key");
  assertEquals(changed.slice(0, 4), [0, 1, 2, 3].map((id) => `${id} unknown`));
  assertEquals(changed.slice(4), ["2 unknown", "1 ok", "0 failed"]);
  assertEquals(
    recorder.records.map(({ id, invokedAtMs, returnedAtMs, outcome }) => [
      id,
      invokedAtMs,
      returnedAtMs,
      outcome,
    ]),
    [
      [0, 10, 20, "failed"],
      [1, 10, 20, "ok"],
      [2, 10, 20, "unknown"],
      [3, 10, undefined, "unknown"],
    ],
  );
  assertEquals([b!.output, a!.error, c!.error, open!.error], [
    7,
    "invalid_key",
    "timeout",
    undefined,
  ]);
  assertThrows(
    () => recorder.succeed(c!, 1),
    RangeError,
    "Cannot end operation 2 twice: it is unknown since 20 ms",
  );
});

const content: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer(),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom("a", "b", "$bytes", "$plain", "__proto__"),
      tie("value"),
      { maxKeys: 2, noNullPrototype: true },
    ),
  ),
})).value;

const record: fc.Arbitrary<OperationRecord<unknown, unknown>> = fc.record({
  client: fc.string(),
  key: fc.string(),
  input: content,
  invokedAtMs: fc.nat(),
  lasted: fc.option(fc.nat(), { nil: undefined }),
  outcome: fc.constantFrom("ok", "failed", "unknown"),
  output: fc.option(content, { nil: undefined }),
  error: fc.option(fc.string(), { nil: undefined }),
}).map(({ lasted, ...rest }) => ({
  id: 0,
  ...rest,
  returnedAtMs: lasted === undefined ? undefined : rest.invokedAtMs + lasted,
  outcome: lasted === undefined ? "unknown" : rest.outcome,
}));

const history = fc.array(record, { maxLength: 5 }).map((records) =>
  records.map((item, id) => ({ ...item, id }))
);

Deno.test("decodeHistory() undoes encodeHistory(), bytes and odd names included", () => {
  fc.assert(
    fc.property(
      history,
      (records) => assertEquals(decodeHistory(encodeHistory(records)), records),
    ),
    { numRuns: 300 },
  );
});

const one: OperationRecord<unknown, unknown> = {
  id: 0,
  client: "c1",
  key: "k",
  input: "get",
  invokedAtMs: 1,
  returnedAtMs: 2,
  outcome: "ok",
  output: 3,
  error: undefined,
};

Deno.test("decodeHistory() sorts records by id and drops a truncated line", () => {
  const text = `${HISTORY_HEADER}\n${encodeRecord({ ...one, id: 1 })}\n${
    encodeRecord(one)
  }\n{"id":2,"cli`;
  assertEquals(decodeHistory(text).map(({ id }) => id), [0, 1]);
});

Deno.test("decodeHistory() replaces the line of the invocation by that of the return", () => {
  const open = { ...one, returnedAtMs: undefined, outcome: "unknown" as const };
  const lines = [
    HISTORY_HEADER,
    encodeRecord({ ...open, output: undefined }),
    encodeRecord({ ...open, id: 1, output: undefined }),
    encodeRecord(one),
    "",
  ];
  const [first, second] = decodeHistory(lines.join("\n"));
  assertEquals(first, one);
  assertEquals([second!.outcome, second!.returnedAtMs], ["unknown", undefined]);
});

Deno.test("decodeHistory() refuses invalid text and names the line", () => {
  const line = encodeRecord(one);
  const cases: [string, string][] = [
    ["", "line 1"],
    ["{}\n", "line 1"],
    [`${HISTORY_HEADER}\n${line}\nnonsense\n`, "line 3"],
    [`${HISTORY_HEADER}\nnull\n`, "line 2"],
    [`${HISTORY_HEADER}\n${line}\n${line}\n`, "line 3"],
    [
      `${HISTORY_HEADER}\n${encodeRecord({ ...one, returnedAtMs: 0 })}\n`,
      "line 2",
    ],
    [
      `${HISTORY_HEADER}\n${
        encodeRecord({ ...one, returnedAtMs: undefined })
      }\n`,
      "line 2",
    ],
  ];
  for (const [text, where] of cases) {
    const error = assertThrows(() => decodeHistory(text));
    assertEquals(isWhorlError(error, "protocol_error"), true, text);
    assertEquals((error as Error).message.includes(where), true, text);
  }
});
