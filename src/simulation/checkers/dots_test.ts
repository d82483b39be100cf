import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../../base/errors.ts";
import { contextOf } from "../../kv/causal_context.ts";
import { mergeObjects, writeToObject } from "../../kv/kv_object.ts";
import { SiblingFlag } from "../../kv/kv_object_codec.ts";
import { type DotSighting, DotWatch } from "./dots.ts";
import type { Violation } from "./violation.ts";

const sighting = {
  key: "k",
  actor: "a",
  counter: 1,
  value: "x",
  place: "n1",
};

/** Violations after `sightings`. */
function violationsOf(sightings: readonly DotSighting[]): readonly Violation[] {
  const watch = new DotWatch();
  for (const sighting of sightings) watch.see(sighting);
  return watch.violations;
}

Deno.test("DotWatch passes one version seen everywhere, and the same dot of other keys and actors", () => {
  assertEquals(
    violationsOf([
      sighting,
      { ...sighting, place: "n2" },
      { ...sighting, key: "l", value: "y" },
      { ...sighting, actor: "b", value: "y" },
      { ...sighting, counter: 2, value: "y" },
    ]),
    [],
  );
});

Deno.test("DotWatch reports a dot with two versions, once", () => {
  const violations = violationsOf([
    sighting,
    { ...sighting, value: "y", place: "n2" },
    { ...sighting, value: "z", place: "n3" },
    { ...sighting, counter: 2 },
  ]);
  assertEquals(violations.map(({ message }) => message), [
    'Key "k": dot 1 of actor a names x on n1 and y on n2',
  ]);
});

const actor = (id: number) => new Uint8Array(12).fill(id);
const version = (value: string, flags: number = SiblingFlag.json) => ({
  flags,
  lastModified: 5,
  value: new TextEncoder().encode(value),
});

Deno.test("DotWatch distinguishes the versions of stored objects by their dots", () => {
  const watch = new DotWatch();
  const one = writeToObject(undefined, undefined, actor(1), version("1"));
  const two = writeToObject(one, undefined, actor(1), version("2"));
  const beside = writeToObject(undefined, undefined, actor(2), version("3"));
  const all = mergeObjects(two, beside);
  const gone = writeToObject(
    all,
    contextOf(all),
    actor(2),
    version("", SiblingFlag.tombstone),
  );
  for (const [i, object] of [one, two, beside, all, gone, one].entries()) {
    watch.seeKvObject("k", object, `at ${i}`);
  }
  assertEquals(watch.violations, []);
  // A vnode that lost the write of 2 and continues counting from 1.
  const again = writeToObject(one, undefined, actor(1), version("4"));
  watch.seeKvObject("k", again, "at the end");
  assertEquals(watch.violations.map(({ message }) => message), [
    'Key "k": dot 2 of actor 010101010101010101010101 names 32 of 5 on at 1 and 34 of 5 on at the end',
  ]);
});

Deno.test("DotWatch refuses malformed objects", () => {
  assertThrows(
    () => new DotWatch().seeKvObject("k", new Uint8Array(3), "n1"),
    WhorlError,
  );
});
