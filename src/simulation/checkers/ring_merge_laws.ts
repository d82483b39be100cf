/**
 * Merging rings is commutative, associative and idempotent, checked on rings
 * that occurred in a run: their histories are ones that no generator would
 * find.
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
import { equalBytes } from "../../base/byte_order.ts";
import { type Ring, sameCluster } from "../../ring/ring.ts";
import { encodeRing, sameRing } from "../../ring/ring_codec.ts";
import { mergeRings } from "../../ring/ring_merge.ts";
import type { Violation } from "./violation.ts";

/** Options of a check. */
export interface RingMergeLawsOptions {
  /**
   * Most distinct rings to check; if there are more, they are sampled evenly
   * from the whole run.
   *
   * @default {12}
   */
  readonly ringsMax?: number | undefined;
  /** The merge to check. @default {mergeRings} */
  readonly merge?: ((a: Ring, b: Ring) => Ring) | undefined;
}

/**
 * Checks the laws on all pairs and triples of distinct rings; returns at most
 * one violation for each law and cluster.
 */
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

/** At most `most` of `items`, sampled evenly. */
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
    // To encode both takes far longer, and merges share most of their parts.
    if (broken.has(law) || sameData(left, right) || sameRing(left, right)) {
      return;
    }
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
      // As text, so that a report can contain them; `decodeRing` reads them.
      details: {
        law,
        rings: of.map((ring) => encodeRing(ring).bytes.toBase64()),
        left: a.bytes.toBase64(),
        right: b.bytes.toBase64(),
      },
    });
  };
  // A merge that adds nothing returns an existing ring, so many merges of
  // merges have been done before.
  const made = new Map<Ring, Map<Ring, Ring>>();
  const join = (a: Ring, b: Ring): Ring =>
    made.getOrInsertComputed(a, () => new Map())
      .getOrInsertComputed(b, () => merge(a, b));
  // Each pair is merged once in each order; triples start from that.
  const merged = rings.map((a) => rings.map((b) => join(a, b)));
  rings.forEach((a, i) => {
    // A copy, so that a merge cannot pass by comparing references.
    hold("idempotent", "a ∨ a = a", merge(a, { ...a }), a, [a]);
    rings.forEach((b, j) => {
      if (j <= i) return;
      const ab = merged[i]![j] as Ring;
      const ba = merged[j]![i] as Ring;
      hold("commutative", "a ∨ b = b ∨ a", ab, ba, [a, b]);
      hold("idempotent", "(a ∨ b) ∨ a = a ∨ b", join(ab, a), ab, [a, b]);
    });
    // Both orders of each merge are compared above, so three ways to combine
    // the first two suffice.
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

/**
 * Whether the parts of two rings are equal: texts, numbers, bytes, and lists,
 * maps and records of such. Equal parts are encoded equally; the reverse need
 * not hold.
 */
function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (
    typeof a !== "object" || typeof b !== "object" || a === null || b === null
  ) return false;
  if (a instanceof Map) {
    return b instanceof Map && sameEntries(a, b);
  }
  if (a instanceof Uint8Array) {
    return b instanceof Uint8Array && equalBytes(a, b);
  }
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length &&
      a.every((part, index) => sameData(part, b[index]));
  }
  const names = Object.keys(a);
  return Object.getPrototypeOf(a) === Object.prototype &&
    Object.getPrototypeOf(b) === Object.prototype &&
    names.length === Object.keys(b).length &&
    names.every((name) =>
      Object.hasOwn(b, name) &&
      sameData(a[name as keyof typeof a], b[name as keyof typeof b])
    );
}

function sameEntries(
  a: ReadonlyMap<unknown, unknown>,
  b: ReadonlyMap<unknown, unknown>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    if (!b.has(key) || !sameData(value, b.get(key))) return false;
  }
  return true;
}
