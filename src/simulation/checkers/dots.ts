/**
 * No dot names two versions. If a dot is issued twice, for example by a vnode
 * that lost its last writes and continues counting from where it was, replicas
 * take two different values for the same one, and one of them is silently lost
 * (riak_kv issue 679). The replicas may never hold both at once, so every
 * version seen anywhere at any time is remembered.
 *
 * ```ts
 * import { DotWatch } from "./dots.ts";
 *
 * const watch = new DotWatch();
 * watch.see({ key: "k", actor: "a", counter: 1, value: "x", place: "n1 at 5 ms" });
 * watch.see({ key: "k", actor: "a", counter: 1, value: "y", place: "n2 at 9 ms" });
 * // watch.violations[0].message: … dot 1 of actor a names x on n1 at 5 ms and y on n2 at 9 ms
 * ```
 *
 * @module
 */
import { SiblingFlag } from "../../kv/kv_object_codec.ts";
import { dottedSiblings } from "./kv_object_text.ts";
import type { Violation } from "./violation.ts";

/** A version as it was seen somewhere. */
export interface DotSighting {
  /** The key of the version. */
  readonly key: string;
  /** Who issued the dot, as text. */
  readonly actor: string;
  /** The counter of the dot, from 1. */
  readonly counter: number;
  /** The version, or a digest of it; equal for equal versions. */
  readonly value: string;
  /** Where and when it was seen, for the message. */
  readonly place: string;
}

/** Remembers every version it is shown. */
export class DotWatch {
  readonly #seen = new Map<string, Map<string, DotSighting>>();
  readonly #doubled = new Set<DotSighting>();
  readonly #violations: Violation[] = [];

  /** One violation for each dot that names two versions. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Records a version. */
  see(sighting: DotSighting): void {
    const { key, actor, counter, value, place } = sighting;
    let ofKey = this.#seen.get(key);
    if (ofKey === undefined) {
      ofKey = new Map();
      this.#seen.set(key, ofKey);
    }
    const dot = `${counter} of actor ${actor}`;
    const first = ofKey.get(dot);
    if (first === undefined) {
      ofKey.set(dot, sighting);
      return;
    }
    if (first.value === value || this.#doubled.has(first)) return;
    this.#doubled.add(first);
    this.#violations.push({
      check: "dot_issued_twice",
      message: `Key ${
        JSON.stringify(key)
      }: dot ${dot} names ${first.value} on ${first.place} and ${value} on ${place}`,
      key,
      details: [first, sighting],
    });
  }

  /**
   * Records the live versions of a stored `kv` object.
   *
   * @throws {WhorlError} `protocol_error` or `store_format` if `object` is not
   * a `kv` object.
   */
  seeKvObject(key: string, object: Uint8Array, place: string): void {
    for (const { actor, counter, sibling } of dottedSiblings(object)) {
      const { flags, lastModified } = sibling;
      const value = flags & SiblingFlag.tombstone
        ? `a tombstone of ${lastModified}`
        : `${sibling.value.toHex()} of ${lastModified}`;
      this.see({ key, actor, counter, value, place });
    }
  }
}
