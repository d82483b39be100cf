import { assertEquals } from "@std/assert";
import { windowsWithRepeat } from "./claim_quality.ts";
import { sharePlaces } from "./claim_sharing.ts";

/** A ring that these nodes go round. */
function round(size: number, nodes: readonly string[]): string[] {
  return Array.from({ length: size }, (_, i) => nodes[i % nodes.length]!);
}

Deno.test("sharePlaces() gives each newcomer half of a place, and no window a repeat", () => {
  const ring = round(64, ["a", "b", "c", "d"]);
  const after = sharePlaces(ring, ["e", "f", "g", "h"])!;
  const places = [0, 1, 2, 3].map((place) =>
    after.filter((_, partition) => partition % 4 === place).join("")
  );
  assertEquals(places, [
    "aaeeaaeeaaeeaaee",
    "ffffbbbbffffbbbb",
    "ccggggccccggggcc",
    "ddddddddhhhhhhhh",
  ]);
  assertEquals(windowsWithRepeat(after, 4), 0);
});

Deno.test("sharePlaces() works with more places and larger rings", () => {
  const nodes = "abcdef".split("");
  const newcomers = "uvwxyz".split("");
  const after = sharePlaces(round(960, nodes), newcomers)!;
  for (const node of [...nodes, ...newcomers]) {
    assertEquals(after.filter((owner) => owner === node).length, 80);
  }
  assertEquals(windowsWithRepeat(after, 6), 0);
});

Deno.test("sharePlaces() returns undefined if nodes do not go round, or shares would differ", () => {
  const nodes = ["a", "b", "c", "d"];
  const newcomers = ["e", "f", "g", "h"];
  assertEquals(sharePlaces(round(64, ["a", "b"]), ["e", "f", "g"]), undefined);
  assertEquals(sharePlaces(round(64, nodes).toSorted(), newcomers), undefined);
  assertEquals(sharePlaces(round(32, nodes), newcomers), undefined);
});
