/**
 * Rings for tests: of one member, from which others are made.
 *
 * @module
 */
import type { Ring } from "../ring.ts";
import { freshRing } from "../ring_change.ts";

/** What a ring says of the member `name`. */
export function facts(name: string) {
  return { name, address: `${name}:1`, nodeId: `id-${name}` };
}

/** The ring of `size` partitions that `name` owns alone. */
export function aloneOf(name: string, size: number): Ring {
  return freshRing({
    clusterName: "default",
    size,
    seed: "0000000000000001",
    node: facts(name),
    wallMs: 0,
  });
}
