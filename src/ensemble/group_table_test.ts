import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  decodeGroupTable,
  encodeGroupTable,
  makeGroupTable,
} from "./group_table.ts";

Deno.test("makeGroupTable() creates a group for each partition, on three nodes if there are three", () => {
  let next = 1;
  const table = makeGroupTable(
    ["a", "b", "a", "b", "c", "c", "a", "b"],
    () => next++,
  );
  assertEquals(
    table.map(({ members }) => members.map(({ node }) => node).join("")),
    ["abc", "bac", "abc", "bca", "cab", "cab", "abc", "bac"],
  );
  const numbers = table.flatMap(({ groupId, members }) => [
    groupId,
    ...members.map(({ uid }) => uid),
  ]);
  assertEquals(new Set(numbers).size, 8 * 4);
  assertEquals(decodeGroupTable(encodeGroupTable(table)), table);
});

Deno.test("decodeGroupTable() refuses malformed tables", () => {
  for (
    const [value, code] of [
      [null, "value_corrupt"],
      [[2, []], "store_format"],
      [[1, []], "value_corrupt"],
      [[1, [[0, []]]], "value_corrupt"],
      [[1, [[1, [[1, 1]]]]], "value_corrupt"],
      [[1, [[1, [["a", 1.5]]]]], "value_corrupt"],
    ] as const
  ) {
    const error = assertThrows(() => decodeGroupTable(value), WhorlError);
    assertEquals(error.code, code);
  }
});
