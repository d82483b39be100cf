/**
 * Checks stores: what a store reported as committed is there when it is next
 * opened, or the store reports what it lost. Replication hides such a loss from
 * clients, so this checks every store by itself.
 *
 * For each key it tracks what may be there: the newest write that is certainly
 * committed, and later ones of unknown outcome. Each time the store is opened
 * it must hold one of these, which is then known to be there. Damage done by
 * the disk excuses a value that the store reports as damaged, and a tail that
 * it reports as lost, but no silent loss.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { briefCopy } from "../base/byte_slab.ts";
import { isWhorlError } from "../base/errors.ts";
import type { Store, StoreWrite } from "../environment/storage.ts";
import type { Violation } from "./checkers/violation.ts";
import type { DiskCounts } from "./disk/disk_conditions.ts";

/** What a disk has done to its data. */
export type DiskDamage =
  & Pick<DiskCounts, "rottenBits" | "lostCommits" | "writeErrors">
  & {
    /**
     * When its machine last lost power, in virtual milliseconds; failed starts
     * may lie between.
     */
    readonly powerLostAtMs: number;
    /**
     * How long its process had been paused by then, in virtual milliseconds.
     */
    readonly stoodStillMs: number;
  };

/**
 * Time after a commit in which a lying disk may lose it without a trace, in
 * milliseconds: the store's record of its commits is synced once a second, and
 * a slow disk may take a while. A paused process syncs nothing.
 */
const REMEMBERED_AFTER_MS = 4_000;

/** A value, or `null` for none. */
type Content = Uint8Array | null;

interface TrackedKey {
  readonly partition: number;
  readonly key: Uint8Array;
  /** What may be there, starting with what certainly was. */
  may: readonly Content[];
  /** When the first of these was committed. */
  sinceMs: number;
}

/** What a disk has lost or damaged of what its store had committed. */
interface Taken {
  readonly partition: number;
  readonly key: string;
  readonly content: Uint8Array;
  readonly seenAtMs: number;
}

const NOTHING: readonly Content[] = [null];

/** What the stores of a cluster must hold. */
export class DurableWrites {
  readonly #now: () => number;
  /** By store, then by partition and key. */
  readonly #stores = new Map<string, Map<string, TrackedKey>>();
  /** By store. */
  readonly #taken = new Map<string, Taken[]>();
  readonly #violations: Violation[] = [];

  /** @param now Virtual milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** What was violated. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Records writes; the returned function gets their outcome. */
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
      // The buffer belongs to the writer.
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

  /**
   * What the stores whose names end with `path` certainly hold of a partition,
   * by store, then by key in hex.
   */
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

  /**
   * What the stores whose names end with `path` certainly hold of partitions
   * other than this one of `except`, by key in hex.
   */
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

  /**
   * What the disks of stores whose names end with `path` have lost or damaged
   * since `store` committed it in `partition`, by key in hex. Their stores may
   * have confirmed it before, in messages that are still in flight.
   *
   * @param anywhere Whether it may have been in other partitions.
   */
  takenSince(
    path: string,
    store: string,
    partition: number,
    anywhere: boolean,
  ): Map<string, Uint8Array>[] {
    const own = new Map(
      [...this.#store(store).values()]
        .filter((known) => known.partition === partition)
        .map(({ key, sinceMs }) => [key.toHex(), sinceMs]),
    );
    return [...this.#taken]
      .filter(([name]) => name !== store && name.endsWith(path))
      .flatMap(([, taken]) => taken)
      .filter((taken) =>
        (anywhere || taken.partition === partition) &&
        (own.get(taken.key) ?? Infinity) <= taken.seenAtMs
      )
      .map(({ key, content }) => new Map([[key, content]]));
  }

  /**
   * A range was deleted key by key: nothing is known of that partition any
   * more.
   */
  deleted(store: string, partition: number): void {
    const taken = this.#taken.get(store) ?? [];
    this.#taken.set(
      store,
      taken.filter((lost) => lost.partition !== partition),
    );
    const tracked = this.#store(store);
    for (const [name, known] of tracked) {
      if (known.partition === partition) tracked.delete(name);
    }
  }

  /** A store was opened, and nobody has written to it yet. */
  async opened(name: string, store: Store, damage: DiskDamage): Promise<void> {
    const tracked = this.#store(name);
    const { tailLost, durable } = { ...store.state, durable: store.durable };
    // A store in memory loses everything.
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
      const isAsWritten = !isDamaged &&
        known.may.some((may) => isSame(may, there));
      // A disk that both fails and lies may never have synced the record of
      // commits.
      const mayForget = damage.lostCommits > 0 &&
        (damage.writeErrors > 0 ||
          known.sinceMs > damage.powerLostAtMs - damage.stoodStillMs -
              REMEMBERED_AFTER_MS);
      if (!isAsWritten) this.#take(name, known);
      if (!isDamaged && !isAsWritten && !tailLost && !mayForget) {
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

  /** The newest committed content of a key is not there any more. */
  #take(store: string, { partition, key, may: [content] }: TrackedKey): void {
    if (!content) return;
    const taken = this.#taken.get(store) ?? [];
    const seenAtMs = this.#now();
    taken.push({ partition, key: key.toHex(), content, seenAtMs });
    this.#taken.set(store, taken);
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

/**
 * All content of `store`; undefined if it cannot be read now. Uses scans, which
 * do not warm caches for the run.
 */
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
