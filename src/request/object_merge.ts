/**
 * What a read must know of the objects it reads: how two of them become one.
 * The store that owns the format supplies it, so that this folder does not
 * depend on any store.
 *
 * @module
 */

/** Merging of versioned objects in their canonical bytes: equal objects are equal bytes. */
export interface ObjectMerge {
  /**
   * The object that holds nothing: merging it changes no other, and mends a
   * replica of which nothing can be read.
   */
  readonly nothing: Uint8Array;
  /** @throws {WhorlError} If `bytes` are not an object. */
  check(bytes: Uint8Array): void;
  /**
   * What both hold. Returns `a` itself if that holds all of `b`, else `b`
   * itself if that holds all of `a`, else new bytes. `a` is known to be an object.
   *
   * @throws {WhorlError} If `b` is not an object, or the result is too large.
   */
  merge(a: Uint8Array, b: Uint8Array): Uint8Array;
}

/** What a coordinator must know of a module whose objects are versioned. */
export interface ObjectCommands {
  /** Number of the command that takes in a finished object. */
  readonly merge: number;
  /** How objects become one. */
  readonly objects: ObjectMerge;
}
