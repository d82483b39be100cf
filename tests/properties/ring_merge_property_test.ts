import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { versionDescends } from "../../src/causality/version_vector.ts";
import type { Ring } from "../../src/ring/ring.ts";
import { decodeRing, encodeRing } from "../../src/ring/ring_codec.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";
import { ringHistory } from "./random_rings.ts";

const RUNS = { numRuns: 300 };

/** Three rings of one history, chosen by numbers. */
function three(history: Ring[], picks: number[]): [Ring, Ring, Ring] {
  const pick = (i: number) =>
    history[(picks[i] as number) % history.length] as Ring;
  return [pick(0), pick(1), pick(2)];
}

const picks = fc.array(fc.nat(), { minLength: 3, maxLength: 3 });

function same(a: Ring, b: Ring): void {
  assertEquals(encodeRing(a).bytes, encodeRing(b).bytes);
}

Deno.test("mergeRings() commutes", () => {
  fc.assert(
    fc.property(ringHistory, picks, (history: Ring[], picks: number[]) => {
      const [a, b] = three(history, picks);
      same(mergeRings(a, b), mergeRings(b, a));
    }),
    RUNS,
  );
});

Deno.test("mergeRings() is associative", () => {
  fc.assert(
    fc.property(ringHistory, picks, (history: Ring[], picks: number[]) => {
      const [a, b, c] = three(history, picks);
      same(mergeRings(mergeRings(a, b), c), mergeRings(a, mergeRings(b, c)));
    }),
    RUNS,
  );
});

Deno.test("mergeRings() is idempotent, also for what it has merged", () => {
  fc.assert(
    fc.property(ringHistory, picks, (history: Ring[], picks: number[]) => {
      const [a, b] = three(history, picks);
      const merged = mergeRings(a, b);
      same(mergeRings(merged, encodeRing(merged).ring), merged);
      same(mergeRings({ ...a }, a), a);
      same(mergeRings(merged, a), merged);
      same(mergeRings(b, merged), merged);
    }),
    RUNS,
  );
});

Deno.test("mergeRings() gives the newer ring when one contains the other's changes", () => {
  fc.assert(
    fc.property(ringHistory, picks, (history: Ring[], picks: number[]) => {
      const [a, b] = three(history, picks);
      fc.pre(versionDescends(a.clock, b.clock));
      assertEquals(encodeRing(mergeRings(a, b)).digest, encodeRing(a).digest);
    }),
    RUNS,
  );
});

Deno.test("rings with equal clocks have equal content", () => {
  fc.assert(
    fc.property(ringHistory, picks, (history: Ring[], picks: number[]) => {
      const [a, b, c] = three(history, picks);
      const one = mergeRings(mergeRings(c, a), b);
      const other = mergeRings(b, mergeRings(a, c));
      assertEquals(encodeRing(one).digest, encodeRing(other).digest);
    }),
    RUNS,
  );
});

Deno.test("decodeRing() undoes encodeRing(), byte for byte", () => {
  fc.assert(
    fc.property(ringHistory, (history: Ring[]) => {
      const encoded = encodeRing(history.at(-1) as Ring);
      const decoded = decodeRing(encoded.bytes);
      assertEquals(decoded.bytes, encoded.bytes);
      assertEquals(decoded.digest, encoded.digest);
    }),
    RUNS,
  );
});
