/**
 * The tables of groups known to this node: of the current ring, and of the
 * future one during a resize. They are stored by the root ensemble, which is
 * asked until a table is formed.
 *
 * @module
 */
import { isWhorlError } from "../base/errors.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import { GENERATIONS_KEPT } from "../ring/ring_generations.ts";
import { ROOT_GROUP } from "./ensemble_names.ts";
import {
  decodeGroupTable,
  encodeGroupTable,
  FIRST_TABLE,
  GONE_TABLE,
  type GroupTable,
  isGoneTable,
  makeGroupTable,
  type TableKeys,
  tableKeys,
} from "./group_table.ts";

/** Timeout for reading or writing a table, in milliseconds. */
const TABLE_TIMEOUT_MS = 5_000;

/** Dependencies of tables. */
export interface RootTablesWorld {
  /** The store with the root's tables. */
  readonly raKv: RaKvClient;
  /** A number from 1 to 2^48 - 1, never used before. */
  readonly newNumber: () => number;
  /** The generation of the current ring. */
  readonly present: () => number;
  /** A table is formed. */
  readonly formed: (generation: number) => void;
}

interface KnownTable {
  readonly keys: TableKeys;
  /**
   * The table before it is known whether it is formed: from that alone, a node
   * would create members again that it has lost.
   */
  readonly read: GroupTable;
  /** The same table, once that is known. */
  table: GroupTable | undefined;
  formed: boolean;
}

/** Tables by the generation of their ring; see the module comment. */
export class RootTables {
  readonly #world: RootTablesWorld;
  readonly #tables = new Map<number, KnownTable>();
  /** Up to which generation this node has dropped all tables but the present one's. */
  #gone = { present: 0, newest: 0 };

  constructor(world: RootTablesWorld) {
    this.#world = world;
  }

  /** The table of a ring; undefined while unknown. */
  of(generation: number): GroupTable | undefined {
    return this.#tables.get(generation)?.table;
  }

  /** Whether all members of it are known to have been created. */
  isFormed(generation: number): boolean {
    return this.#tables.get(generation)?.formed === true;
  }

  /** Forgets the tables of other rings. */
  keep(generations: readonly number[]): void {
    for (const generation of this.#tables.keys()) {
      if (!generations.includes(generation)) this.#tables.delete(generation);
    }
  }

  /**
   * Reads a table from the root, and whether it is formed.
   *
   * @returns Whether it was unknown.
   */
  async read(generation: number): Promise<boolean> {
    const { raKv } = this.#world;
    const options = { timeoutMs: TABLE_TIMEOUT_MS };
    const known = this.#tables.get(generation) ?? await this.#find(generation);
    if (known === undefined) return false;
    this.#tables.set(generation, known);
    const formed = await raKv.get(ROOT_GROUP, known.keys.formed, options);
    const isNews = known.table === undefined;
    known.table ??= known.read;
    if (formed.value === true) this.#nowFormed(generation, known);
    return isNews;
  }

  /**
   * The table of a ring that results from a resize; else the first one, which
   * has no generation.
   */
  async #find(generation: number): Promise<KnownTable | undefined> {
    const { raKv, present } = this.#world;
    const own = tableKeys(generation);
    for (
      const keys of generation === present() ? [own, FIRST_TABLE] : [own]
    ) {
      const { value } = await raKv.get(ROOT_GROUP, keys.table, {
        timeoutMs: TABLE_TIMEOUT_MS,
      });
      if (value === undefined || isGoneTable(value)) continue;
      const read = decodeGroupTable(value);
      return { keys, read, table: undefined, formed: false };
    }
    return undefined;
  }

  /**
   * Makes the root store a table for a ring with these owners, unless it has
   * one.
   *
   * @returns Whether it was unknown.
   */
  async write(
    generation: number,
    owners: readonly string[],
  ): Promise<boolean> {
    const { newNumber, present } = this.#world;
    const table = makeGroupTable(owners, newNumber);
    // Without consistent buckets a ring may have been resized any number of
    // times.
    const keys = generation === present() ? FIRST_TABLE : tableKeys(generation);
    await this.#putOnce(keys.table, encodeGroupTable(table));
    return await this.read(generation);
  }

  /**
   * Whether the root may have tables of former rings, as far as this node
   * knows.
   */
  mayHaveFormer(newest: number): boolean {
    // A resize that was resumed is not the newest.
    return newest > this.#gone.newest ||
      this.#world.present() !== this.#gone.present;
  }

  /**
   * Drops the tables of all rings except `present`, up to the newest one begun.
   * No resize may be in progress, and all members must use the current ring.
   * Those that are marked as down may not, which does no harm; see
   * `group_table.ts`.
   */
  async dropFormer(present: number, newest: number): Promise<void> {
    const { raKv } = this.#world;
    const known = this.#tables.get(present);
    if (known?.formed !== true) return;
    const former = known.keys.table === FIRST_TABLE.table ? [] : [FIRST_TABLE];
    // Older ones were dropped in their time.
    const first = Math.max(1, newest - GENERATIONS_KEPT + 1);
    for (let generation = first; generation <= newest; generation++) {
      if (generation !== present) former.push(tableKeys(generation));
    }
    const options = { timeoutMs: TABLE_TIMEOUT_MS };
    for (const { table } of former) {
      const { value, index } = await raKv.get(ROOT_GROUP, table, options);
      if (value === undefined || isGoneTable(value)) continue;
      await raKv.put(ROOT_GROUP, table, GONE_TABLE, {
        ...options,
        ifIndex: index,
      });
    }
    this.#gone = { present, newest };
  }

  /** All members of a table have been created. */
  async markFormed(generation: number): Promise<void> {
    const known = this.#tables.get(generation);
    if (known === undefined) return;
    await this.#putOnce(known.keys.formed, true);
    this.#nowFormed(generation, known);
  }

  #nowFormed(generation: number, known: KnownTable): void {
    if (known.formed) return;
    known.formed = true;
    this.#world.formed(generation);
  }

  /** Writes a key of the root unless it exists. */
  async #putOnce(
    key: string,
    value: Parameters<RaKvClient["put"]>[2],
  ): Promise<void> {
    try {
      await this.#world.raKv.put(ROOT_GROUP, key, value, {
        ifIndex: 0,
        timeoutMs: TABLE_TIMEOUT_MS,
      });
    } catch (error) {
      if (!isWhorlError(error, "index_mismatch")) throw error;
    }
  }
}
