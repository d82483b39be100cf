/**
 * What the clients of a Raft group have written, for checks of watches and of
 * stale reads.
 *
 * @module
 */

/** A put or delete, as far as its client knows. */
export interface GroupWrite {
  readonly key: string;
  /** Null if it was deleted. */
  readonly value: string | null;
  /** Of its entry in the log; undefined if the outcome is unknown. */
  readonly index: number | undefined;
  /** It may have deleted a missing key, which is not a change. */
  readonly mayBeNothing: boolean;
}

/** Writes, indexed by key. */
export class GroupWrites {
  readonly #certain = new Map<string, GroupWrite>();
  readonly #ofKey = new Map<string, GroupWrite[]>();

  constructor(writes: readonly GroupWrite[]) {
    for (const write of writes) {
      const { key, index } = write;
      this.#ofKey.getOrInsertComputed(key, () => []).push(write);
      if (index !== undefined) this.#certain.set(`${index} ${key}`, write);
    }
  }

  /** All writes of `key`. */
  of(key: string): readonly GroupWrite[] {
    return this.#ofKey.get(key) ?? [];
  }

  /** All writes that certainly happened. */
  certain(): Iterable<GroupWrite> {
    return this.#certain.values();
  }

  /**
   * The write of `key` by the entry at `index`, if the client learned its
   * index.
   */
  at(index: number, key: string): GroupWrite | undefined {
    return this.#certain.get(`${index} ${key}`);
  }

  /** Whether the entry at `index` may have set `key` to `value`. */
  explain(index: number, key: string, value: string | null): boolean {
    const write = this.at(index, key);
    if (write !== undefined) return write.value === value;
    return this.of(key).some((other) =>
      other.index === undefined && other.value === value
    );
  }
}
