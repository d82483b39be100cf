/**
 * Holds stores to their word: what a store said is committed is there when it is
 * opened again, or the store says what it has lost. Replicas hide such a loss
 * from clients, as each write has several; this looks at every store alone.
 *
 * For each key it is known what may be there: the newest write that is certainly
 * committed, and those after it, of which the outcome is not known. At each
 * opening the store must hold one of them; then that is what is there. Damage
 * that the disk did excuses a value that the store calls damaged, and a tail
 * that it calls lost, but nothing that is gone without a word.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { briefCopy } from "../base/byte_slab.ts";
import { isWhorlError } from "../base/errors.ts";
import type { Store, StoreWrite } from "../environment/storage.ts";
import type { Violation } from "./checkers/violation.ts";
import type { DiskCounts } from "./disk/disk_conditions.ts";

/** What a disk has done to what it was given. */
export type DiskDamage =
  & Pick<DiskCounts, "rottenBits" | "lostCommits" | "writeErrors">
  & {
    /** When its machine lost power last, in virtual milliseconds; lives that failed to start may lie between. */
    readonly powerLostAtMs: number;
    /** How long its process had stood still until then, in virtual milliseconds. */
    readonly stoodStillMs: number;
  };

/**
 * Time after a commit in which a disk that lies may lose it without a trace, in
 * milliseconds: what remembers commits is synced once a second, and a slow disk
 * may take its time over that. A process that stands still syncs nothing.
 */
const REMEMBERED_AFTER_MS = 4_000;

/** A value, or `null` for none. */
type Content = Uint8Array | null;

interface TrackedKey {
  readonly partition: number;
  readonly key: Uint8Array;
  /** What may be there; the first is what certainly was. */
  may: readonly Content[];
  /** When the first was committed. */
  sinceMs: number;
}

const NOTHING: readonly Content[] = [null];

/** What the stores of a cluster must hold. */
export class DurableWrites {
  readonly #now: () => number;
  /** By store, then by partition and key. */
  readonly #stores = new Map<string, Map<string, TrackedKey>>();
  readonly #violations: Violation[] = [];

  /** @param now Virtual milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** What did not hold. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Takes note of writes; the function it returns is told what became of them. */
  written(
    store: string,
    partition: number,
    writes: readonly StoreWrite[],
  ): (error: Error | undefined) => void {
    const tracked = this.#store(store);
    const made = writes.map(({ key, value }) => {
      const name = nameOf(partition, key);
      let known = tracked.get(name);
      if (known === undefined) {
        known = { partition, key: briefCopy(key), may: NOTHING, sinceMs: 0 };
        tracked.set(name, known);
      }
      // What was written stays with its writer.
      const content: Content = value === null ? null : briefCopy(value);
      known.may = [...known.may, content];
      return { known, content };
    });
    return (error) => {
      if (error !== undefined) return;
      for (const { known, content } of made) {
        const at = known.may.indexOf(content, content === null ? 1 : 0);
        if (at <= 0) continue;
        known.may = known.may.slice(at);
        known.sinceMs = this.#now();
      }
    };
  }

  /** What the stores whose names end with `path` certainly hold of a partition, by store, then by key in hex. */
  certain(
    path: string,
    partition: number,
  ): ReadonlyMap<string, ReadonlyMap<string, Uint8Array>> {
    const stores = new Map<string, Map<string, Uint8Array>>();
    for (const [store, tracked] of this.#stores) {
      if (!store.endsWith(path)) continue;
      const content = new Map<string, Uint8Array>();
      for (const known of tracked.values()) {
        const [certain] = known.may;
        if (known.partition !== partition || !certain) continue;
        content.set(known.key.toHex(), certain);
      }
      stores.set(store, content);
    }
    return stores;
  }

  /** What the stores whose names end with `path` certainly hold of other partitions than this one of `except`, by key in hex. */
  certainElsewhere(
    path: string,
    except: string,
    partition: number,
  ): Map<string, Uint8Array>[] {
    const contents = new Map<string, Map<string, Uint8Array>>();
    for (const [store, tracked] of this.#stores) {
      if (!store.endsWith(path)) continue;
      for (const known of tracked.values()) {
        const [certain] = known.may;
        const isIt = store === except && known.partition === partition;
        if (isIt || !certain) continue;
        const place = `${store} ${known.partition}`;
        const content = contents.get(place) ?? new Map<string, Uint8Array>();
        contents.set(place, content.set(known.key.toHex(), certain));
      }
    }
    return [...contents.values()];
  }

  /** A range was deleted, key by key: of that partition nothing is known any more. */
  deleted(store: string, partition: number): void {
    const tracked = this.#store(store);
    for (const [name, known] of tracked) {
      if (known.partition === partition) tracked.delete(name);
    }
  }

  /** A store was opened, and nobody has written to it yet. */
  async opened(name: string, store: Store, damage: DiskDamage): Promise<void> {
    const tracked = this.#store(name);
    const { tailLost, durable } = { ...store.state, durable: store.durable };
    // What lies in memory goes with it.
    if (!durable) {
      tracked.clear();
      return;
    }
    if (tailLost && damage.rottenBits === 0 && damage.lostCommits === 0) {
      this.#report(
        "tail_loss",
        `${name} says that it has lost its newest commits, and its disk has lost and damaged nothing`,
      );
    }
    if (tracked.size === 0) return;
    const found = await contentOf(store);
    if (found === undefined) return;
    for (const [keyName, known] of tracked) {
      const there = found.get(keyName) ?? null;
      const isDamaged = there === "damaged";
      // A disk that fails as well as lies may never have synced what remembers.
      const mayForget = damage.lostCommits > 0 &&
        (damage.writeErrors > 0 ||
          known.sinceMs > damage.powerLostAtMs - damage.stoodStillMs -
              REMEMBERED_AFTER_MS);
      if (
        !isDamaged && !tailLost && !mayForget &&
        !known.may.some((may) => isSame(may, there))
      ) {
        this.#report(
          damage.lostCommits > 0 ? "tail_loss" : "durable_write_lost",
          `${name}, opened again, holds ${
            shown(there)
          } under ${known.key.toHex()} of partition ${known.partition}, and what it had committed is ${
            shown(known.may[0] as Content)
          }`,
        );
      } else if (isDamaged && damage.rottenBits === 0) {
        this.#report(
          "durable_write_lost",
          `${name}, opened again, calls ${known.key.toHex()} of partition ${known.partition} damaged, and its disk has damaged nothing`,
        );
      }
      if (isDamaged) tracked.delete(keyName);
      else {
        known.may = [there];
        known.sinceMs = this.#now();
      }
    }
  }

  #store(name: string): Map<string, TrackedKey> {
    let tracked = this.#stores.get(name);
    if (tracked === undefined) this.#stores.set(name, tracked = new Map());
    return tracked;
  }

  #report(check: string, message: string): void {
    this.#violations.push({
      check,
      message: `${message} (${this.#now()} ms)`,
    });
  }
}

function nameOf(partition: number, key: Uint8Array): string {
  return `${partition} ${key.toHex()}`;
}

/** Everything in `store`; undefined if it cannot be read now. By scans, as they warm no cache that the run would then find warm. */
async function contentOf(
  store: Store,
): Promise<Map<string, Uint8Array | "damaged"> | undefined> {
  const found = new Map<string, Uint8Array | "damaged">();
  try {
    for (const partition of await store.partitions()) {
      const scan = store.partition(partition).scan({
        onCorrupt: (key) => void found.set(nameOf(partition, key), "damaged"),
      });
      for await (const { key, value } of scan) {
        found.set(nameOf(partition, key), value.slice());
      }
    }
    return found;
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    return undefined;
  }
}

function isSame(a: Content, b: Content): boolean {
  return a === null || b === null ? a === b : equalBytes(a, b);
}

function shown(content: Content): string {
  return content === null ? "nothing" : `${content.length} bytes`;
}
