import { assertEquals } from "@std/assert";
import { HistoryRecorder } from "../history.ts";
import { checkLinearizability } from "./linearizability.ts";
import { type RaKvInput, raKvModel, type RaKvOutput } from "./ra_kv_model.ts";

type Step = [RaKvInput, RaKvOutput | "unknown"];

/** The verdict on operations of one client, one after the other. */
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
const cas = (expected: string | null, value: string | null): RaKvInput => ({
  type: "cas",
  expected,
  value,
});

Deno.test("raKvModel: a delete reports whether the key existed", () => {
  assertEquals(
    verdictOn([put("a"), 1], [remove, 2], [remove, false], [get, null]),
    "linearizable",
  );
  assertEquals(verdictOn([put("a"), 1], [remove, false]), "violation");
  assertEquals(verdictOn([remove, 1]), "violation");
});

Deno.test("raKvModel: operations of unknown outcome explain what a delete found", () => {
  assertEquals(verdictOn([put("a"), "unknown"], [remove, 2]), "linearizable");
  assertEquals(
    verdictOn([put("a"), 1], [remove, "unknown"], [remove, false]),
    "linearizable",
  );
});

Deno.test("raKvModel: a compare-and-set takes effect if the key holds what it expects", () => {
  assertEquals(
    verdictOn(
      [cas(null, "a"), 1],
      [cas("b", "c"), false],
      [cas("a", null), 3],
      [get, null],
    ),
    "linearizable",
  );
  assertEquals(verdictOn([put("a"), 1], [cas("a", "b"), false]), "violation");
});

Deno.test("raKvModel: writes happen in the order of their indexes", () => {
  assertEquals(verdictOn([put("a"), 2], [put("b"), 3]), "linearizable");
  assertEquals(verdictOn([put("a"), 3], [put("b"), 2]), "violation");
  assertEquals(verdictOn([put("a"), 3], [cas("a", "b"), 3]), "violation");
});

Deno.test("raKvModel: a value with a TTL may be gone at any time, and then never comes back", () => {
  const lent = (value: string): RaKvInput => ({
    ...put(value),
    fleeting: true,
  });
  const look: RaKvInput = { ...get, fleeting: true };
  assertEquals(
    verdictOn([lent("a"), 1], [look, "a"], [look, null], [look, null]),
    "linearizable",
  );
  assertEquals(
    verdictOn([lent("a"), 1], [look, null], [look, "a"]),
    "violation",
  );
  const again = { ...cas(null, "b"), fleeting: true };
  assertEquals(
    verdictOn([lent("a"), 1], [again, 2], [look, "b"]),
    "linearizable",
  );
  assertEquals(
    verdictOn([lent("a"), 1], [again, 2], [look, "a"]),
    "violation",
  );
  // The failed condition shows that the value had expired.
  const extend = { ...cas("a", "b"), fleeting: true };
  assertEquals(
    verdictOn([lent("a"), 1], [extend, false], [look, null]),
    "linearizable",
  );
  assertEquals(
    verdictOn([lent("a"), 1], [extend, false], [look, "a"]),
    "violation",
  );
  // Values without a TTL stay.
  assertEquals(verdictOn([put("a"), 1], [get, null]), "violation");
});

Deno.test("raKvModel: a batch changes all of its keys or none", () => {
  const both = (value: string): RaKvInput => ({
    type: "batch",
    changes: [{ place: 0, value }, { place: 1, value }],
  });
  const at = (place: number): RaKvInput => ({ ...get, place });
  assertEquals(
    verdictOn([both("a"), 1], [at(0), "a"], [at(1), "a"]),
    "linearizable",
  );
  assertEquals(
    verdictOn([both("a"), "unknown"], [at(0), "a"], [at(1), null]),
    "violation",
  );
  const move: RaKvInput = {
    type: "batch",
    changes: [{ place: 0, value: null, expected: "a" }, {
      place: 1,
      value: "b",
    }],
  };
  assertEquals(
    verdictOn([both("a"), 1], [move, 2], [at(0), null], [at(1), "b"]),
    "linearizable",
  );
  assertEquals(
    verdictOn([both("a"), 1], [move, false]),
    "violation",
  );
  assertEquals(
    verdictOn([both("a"), 1], [move, 2], [move, false], [at(1), "b"]),
    "linearizable",
  );
});
