/**
 * How a read merges the objects that it reads. The store that owns the format
 * provides it, so that this folder does not depend on any store.
 *
 * @module
 */

/** Merges versioned objects in their canonical encoding: equal objects have equal bytes. */
export interface ObjectMerge {
  /**
   * The empty object: merging it changes no other object, and repairs a replica
   * whose object is unreadable.
   */
  readonly nothing: Uint8Array;
  /** @throws {WhorlError} If `bytes` are not an object. */
  check(bytes: Uint8Array): void;
  /**
   * Merges two objects. Returns `a` itself if it contains all of `b`, else `b`
   * itself if it contains all of `a`, else new bytes. `a` must be an object.
   *
   * @throws {WhorlError} If `b` is not an object, or the result is too large.
   */
  merge(a: Uint8Array, b: Uint8Array): Uint8Array;
}

/** What a coordinator must know about a module with versioned objects. */
export interface ObjectCommands {
  /** Number of the command that merges an object into a vnode's own. */
  readonly merge: number;
  /** How objects are merged. */
  readonly objects: ObjectMerge;
}
