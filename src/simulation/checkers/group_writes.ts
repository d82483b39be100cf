/**
 * What clients of a Raft group have written, as whoever watches the group or
 * reads an old state of it can be held to.
 *
 * @module
 */

/** A key that was put or deleted, as far as its client knows. */
export interface GroupWrite {
  readonly key: string;
  /** Null if it was deleted. */
  readonly value: string | null;
  /** Of its entry in the log; undefined if it is not known whether it was done. */
  readonly index: number | undefined;
  /** It may have deleted what was not there, which is no change. */
  readonly mayBeNothing: boolean;
}

/** Writes by key, to be looked up. */
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

  /** All that certainly were done. */
  certain(): Iterable<GroupWrite> {
    return this.#certain.values();
  }

  /** The write of `key` by the entry at `index`, if it was told. */
  at(index: number, key: string): GroupWrite | undefined {
    return this.#certain.get(`${index} ${key}`);
  }

  /** Whether `key` may have got `value` from the entry at `index`. */
  explain(index: number, key: string, value: string | null): boolean {
    const write = this.at(index, key);
    if (write !== undefined) return write.value === value;
    return this.of(key).some((other) =>
      other.index === undefined && other.value === value
    );
  }
}
