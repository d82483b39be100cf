/**
 * Merging rings is commutative, associative and idempotent, shown on rings that
 * a run really had: they come out of histories that no generator would think of.
 *
 * ```ts
 * import { checkRingMergeLaws } from "./ring_merge_laws.ts";
 * import type { Ring } from "../../ring/ring.ts";
 *
 * const ringsOfTheRun: Ring[] = [];
 * const violations = checkRingMergeLaws(ringsOfTheRun);
 * ```
 *
 * @module
 */
import { type Ring, sameCluster } from "../../ring/ring.ts";
import { encodeRing, sameRing } from "../../ring/ring_codec.ts";
import { mergeRings } from "../../ring/ring_merge.ts";
import type { Violation } from "./violation.ts";

/** Bounds of a check, and what it checks. */
export interface RingMergeLawsOptions {
  /** Most different rings that are taken; of more, evenly many from the whole run. @default {12} */
  readonly ringsMax?: number | undefined;
  /** The merge. @default {mergeRings} */
  readonly merge?: ((a: Ring, b: Ring) => Ring) | undefined;
}

/** Puts all pairs and triples of different rings to the laws; one violation for each law and cluster at most. */
export function checkRingMergeLaws(
  rings: Iterable<Ring>,
  options: RingMergeLawsOptions = {},
): readonly Violation[] {
  const { ringsMax = 12, merge = mergeRings } = options;
  const clusters: Map<string, Ring>[] = [];
  for (const ring of rings) {
    let cluster = clusters.find((different) =>
      sameCluster(different.values().next().value as Ring, ring)
    );
    if (cluster === undefined) {
      cluster = new Map();
      clusters.push(cluster);
    }
    cluster.set(encodeRing(ring).bytes.toHex(), ring);
  }
  return clusters.flatMap((different) =>
    lawViolations(evenly([...different.values()], ringsMax), merge)
  );
}

/** At most `most` of `items`, from the whole length of it. */
function evenly<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  return Array.from(
    { length: most },
    (_, i) => items[Math.floor(i * items.length / most)] as T,
  );
}

function lawViolations(
  rings: readonly Ring[],
  merge: (a: Ring, b: Ring) => Ring,
): Violation[] {
  const broken = new Map<string, Violation>();
  const hold = (
    law: string,
    formula: string,
    left: Ring,
    right: Ring,
    of: readonly Ring[],
  ): void => {
    if (broken.has(law) || sameRing(left, right)) return;
    const [a, b] = [encodeRing(left), encodeRing(right)];
    broken.set(law, {
      check: "ring_merge_laws",
      message:
        `Merging rings is not ${law}: ${formula} does not hold for rings ${
          of.map((ring) => encodeRing(ring).digest).join(", ")
        }, it gives ${a.digest} and ${b.digest}${
          a.digest === b.digest
            ? ", which differ in what members have seen"
            : ""
        }`,
      // As text, so that a report can keep them: `decodeRing` reads them back.
      details: {
        law,
        rings: of.map((ring) => encodeRing(ring).bytes.toBase64()),
        left: a.bytes.toBase64(),
        right: b.bytes.toBase64(),
      },
    });
  };
  // A merge that brings nothing new gives what there was, so that many merges of
  // merges are ones that were made before.
  const made = new Map<Ring, Map<Ring, Ring>>();
  const join = (a: Ring, b: Ring): Ring =>
    made.getOrInsertComputed(a, () => new Map())
      .getOrInsertComputed(b, () => merge(a, b));
  // Each pair is merged once in each order; triples start from that.
  const merged = rings.map((a) => rings.map((b) => join(a, b)));
  rings.forEach((a, i) => {
    // A copy, so that a merge cannot get by with comparing references.
    hold("idempotent", "a ∨ a = a", merge(a, { ...a }), a, [a]);
    rings.forEach((b, j) => {
      if (j <= i) return;
      const ab = merged[i]![j] as Ring;
      const ba = merged[j]![i] as Ring;
      hold("commutative", "a ∨ b = b ∨ a", ab, ba, [a, b]);
      hold("idempotent", "(a ∨ b) ∨ a = a ∨ b", join(ab, a), ab, [a, b]);
    });
    // As both orders of a merge are compared above, the three ways to begin with
    // two of three say all.
    rings.forEach((b, j) => {
      if (j <= i) return;
      rings.forEach((c, k) => {
        if (k <= j || broken.has("associative")) return;
        const [ab, bc, ac] = [
          merged[i]![j] as Ring,
          merged[j]![k] as Ring,
          merged[i]![k] as Ring,
        ];
        const left = join(ab, c);
        const of = [a, b, c];
        hold(
          "associative",
          "(a ∨ b) ∨ c = a ∨ (b ∨ c)",
          left,
          join(a, bc),
          of,
        );
        hold(
          "associative",
          "(a ∨ b) ∨ c = (a ∨ c) ∨ b",
          left,
          join(ac, b),
          of,
        );
      });
    });
  });
  return [...broken.values()];
}
