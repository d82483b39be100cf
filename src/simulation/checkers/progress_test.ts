import { assertEquals } from "@std/assert";
import type { OperationRecord } from "../history.ts";
import { checkProgress } from "./progress.ts";

function record(
  id: number,
  invokedAtMs: number,
  returnedAtMs: number | undefined,
  error?: string,
): OperationRecord<number, null> {
  return {
    id,
    client: "c",
    key: "k",
    input: 100,
    invokedAtMs,
    returnedAtMs,
    outcome: error === undefined && returnedAtMs !== undefined
      ? "ok"
      : "unknown",
    output: null,
    error,
  };
}

const options = {
  acknowledgedMin: 1,
  timeoutMs: 100,
  graceMs: 10,
  endedAtMs: 1_000,
};

Deno.test("checkProgress() passes answers up to deadline and grace, and operations that still have time", () => {
  assertEquals(
    checkProgress([
      record(0, 0, 110),
      record(1, 0, 100, "timeout"),
      record(2, 890, undefined),
    ], options),
    [],
  );
});

Deno.test("checkProgress() reports a run that did too little, and says why", () => {
  const [violation] = checkProgress(
    [record(0, 0, 5), record(1, 0, 5, "overload"), record(2, 995, undefined)],
    { ...options, acknowledgedMin: 2 },
  );
  assertEquals(
    violation!.message,
    "1 of 3 operations were acknowledged, and 2 are the least with which a run means something: 1 overload, 1 no answer",
  );
});

Deno.test("checkProgress() reports answers that came too late or never", () => {
  const records = [
    record(0, 0, 5),
    record(1, 0, 111, "timeout"),
    record(2, 889, undefined),
  ];
  const [violation, ...others] = checkProgress(records, options);
  assertEquals(others, []);
  assertEquals([violation!.check, violation!.operations], ["deadline", [1, 2]]);
  assertEquals(
    violation!.message,
    "Answers came later than their deadline and 10 ms: operation 1 of c, invoked at 0 ms, was answered at 111 ms; operation 2 of c, invoked at 889 ms, was open at 1000 ms",
  );
  assertEquals(
    checkProgress(records, { ...options, timeoutMs: ({ input }) => 2 * input }),
    [],
  );
});
