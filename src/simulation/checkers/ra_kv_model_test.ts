import { assertEquals } from "@std/assert";
import { HistoryRecorder } from "../history.ts";
import { checkLinearizability } from "./linearizability.ts";
import { type RaKvInput, raKvModel, type RaKvOutput } from "./ra_kv_model.ts";

type Step = [RaKvInput, RaKvOutput | "unknown"];

/** The verdict on operations of one client on one key, one after the other. */
function verdictOn(...steps: Step[]): string {
  let nowMs = 0;
  const history = new HistoryRecorder<RaKvInput, RaKvOutput>(() => nowMs++);
  for (const [input, output] of steps) {
    const record = history.invoke("c", "k", input);
    if (output === "unknown") history.lose(record, "timeout");
    else history.succeed(record, output);
  }
  return checkLinearizability(history.records, raKvModel).verdict;
}

const put = (value: string): RaKvInput => ({ type: "put", value });
const get: RaKvInput = { type: "get" };
const remove: RaKvInput = { type: "delete" };

Deno.test("raKvModel: a delete tells whether there was anything", () => {
  assertEquals(
    verdictOn([put("a"), true], [remove, true], [remove, false], [get, null]),
    "linearizable",
  );
  assertEquals(verdictOn([put("a"), true], [remove, false]), "violation");
  assertEquals(verdictOn([remove, true]), "violation");
});

Deno.test("raKvModel: what may have happened explains what a delete found", () => {
  assertEquals(
    verdictOn([put("a"), "unknown"], [remove, true]),
    "linearizable",
  );
  assertEquals(
    verdictOn([put("a"), true], [remove, "unknown"], [remove, false]),
    "linearizable",
  );
});

Deno.test("raKvModel: a compare-and-set takes effect if the key holds what it expects", () => {
  const cas = (expected: string | null, value: string | null): RaKvInput => ({
    type: "cas",
    expected,
    value,
  });
  assertEquals(
    verdictOn(
      [cas(null, "a"), true],
      [cas("b", "c"), false],
      [cas("a", null), true],
      [get, null],
    ),
    "linearizable",
  );
  assertEquals(
    verdictOn([put("a"), true], [cas("a", "b"), false]),
    "violation",
  );
});
