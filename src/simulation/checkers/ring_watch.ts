/**
 * What holds at any time for every ring that a node uses:
 *
 * - an ownership version has one content, and a term has one claimant;
 * - every partition has an owner, which is a member once all members agree;
 * - on one node, within one incarnation, the ownership never goes back.
 *
 * ```ts
 * import { RingWatch } from "./ring_watch.ts";
 *
 * const watch = new RingWatch();
 * // watch.see("n1", ring, 5) for each ring that n1 uses
 * if (watch.violations.length > 0) throw new Error(watch.violations[0]?.message);
 * ```
 *
 * @module
 */
import {
  memberStatus,
  type Ring,
  type RingOwnership,
  ringReady,
  ringVersion,
} from "../../ring/ring.ts";
import type { Violation } from "./violation.ts";

/** Rings kept for the laws of merging. */
const KEPT_MAX = 64;

/** Remembers the rings it is shown. */
export class RingWatch {
  /**
   * By cluster and term: who claimed to be its claimant, and where that was
   * seen.
   */
  readonly #claimants = new Map<string, { claimant: string; place: string }>();
  /** By cluster, term, version and claimant. */
  readonly #contents = new Map<string, { content: string; place: string }>();
  readonly #versions = new Map<string, { seed: string; version: number }>();
  readonly #violations: Violation[] = [];
  readonly #kept: Ring[] = [];
  #stride = 1;
  #seen = 0;

  /** What was violated. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Rings of the whole run. */
  get rings(): readonly Ring[] {
    return this.#kept;
  }

  /**
   * A new incarnation of `node` starts with `ring`, perhaps before it is
   * stored; earlier versions that were not stored are forgotten.
   */
  begins(node: string, ring: Ring, atMs: number): void {
    this.#versions.delete(node);
    this.see(node, ring, atMs);
    this.#versions.delete(node);
  }

  /** `node` uses `ring`, which is stored. */
  see(node: string, ring: Ring, atMs: number): void {
    const { seed } = ring.clusterId;
    const { ownership } = ring;
    const place = `${node} at ${atMs} ms`;
    this.#keep(ring);
    this.#seeClaimant(seed, ownership, place);
    this.#seeContent(seed, ownership, place);
    const version = ringVersion(ring);
    const before = this.#versions.get(node);
    if (before?.seed === seed && before.version > version) {
      this.#report(
        "ring_goes_back",
        `${place} goes by ownership ${ownership.term}.${ownership.version} after a newer one`,
      );
    }
    this.#versions.set(node, { seed, version });
    if (ownership.owners.length !== ring.size) {
      this.#report(
        "partition_without_owner",
        `${place} has ${ownership.owners.length} owners for ${ring.size} partitions`,
      );
    }
    if (!ringReady(ring)) return;
    for (const [partition, owner] of ownership.owners.entries()) {
      const status = memberStatus(ring, owner);
      if (status !== undefined && status !== "invalid") continue;
      this.#report(
        "partition_without_owner",
        `All members agree, as ${place}, that partition ${partition} is of ${owner}, which is no member`,
      );
    }
  }

  #keep(ring: Ring): void {
    if (this.#seen++ % this.#stride !== 0) return;
    if (this.#kept.length === KEPT_MAX) {
      this.#kept.splice(
        0,
        KEPT_MAX,
        ...this.#kept.filter((_, index) => index % 2 === 0),
      );
      this.#stride *= 2;
    }
    this.#kept.push(ring);
  }

  #seeClaimant(
    seed: string,
    { term, claimant }: RingOwnership,
    place: string,
  ): void {
    const name = `${seed} ${term}`;
    const known = this.#claimants.get(name);
    if (known === undefined) this.#claimants.set(name, { claimant, place });
    else if (known.claimant !== claimant) {
      this.#report(
        "one_claimant_a_term",
        `The claimant of term ${term} is ${known.claimant} on ${known.place} and ${claimant} on ${place}`,
      );
    }
  }

  #seeContent(seed: string, ownership: RingOwnership, place: string): void {
    const { term, version, claimant } = ownership;
    const name = `${seed} ${term} ${version} ${claimant}`;
    const known = this.#contents.get(name);
    const content = JSON.stringify(ownership);
    if (known === undefined) this.#contents.set(name, { content, place });
    else if (known.content !== content) {
      this.#report(
        "ownership_version",
        `Version ${term}.${version} of ${claimant} says ${known.content} on ${known.place} and ${content} on ${place}`,
      );
    }
  }

  #report(check: string, message: string): void {
    if (this.#violations.some((known) => known.check === check)) return;
    this.#violations.push({ check, message });
  }
}
