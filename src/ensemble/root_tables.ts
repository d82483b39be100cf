/**
 * The tables of groups as this node knows them: of the ring as it is, and of the
 * one to come while it is resized. They are kept by the root ensemble, which is
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

/** Time reading or writing a table may take, in milliseconds. */
const TABLE_TIMEOUT_MS = 5_000;

/** What tables are kept with. */
export interface RootTablesWorld {
  /** The store in which the root keeps them. */
  readonly raKv: RaKvClient;
  /** A number from 1 to 2^48 - 1 that nobody has had. */
  readonly newNumber: () => number;
  /** The generation of the ring as it is. */
  readonly present: () => number;
  /** A table is formed. */
  readonly formed: (generation: number) => void;
}

interface KnownTable {
  readonly keys: TableKeys;
  /** Before it is known whether it is formed: by that alone a node would make members again that it has lost. */
  readonly read: GroupTable;
  /** The same, once that has been asked. */
  table: GroupTable | undefined;
  formed: boolean;
}

/** Tables by the generation of their ring; see the module's text. */
export class RootTables {
  readonly #world: RootTablesWorld;
  readonly #tables = new Map<number, KnownTable>();
  /** The newest generation up to which this node has had former tables go. */
  #goneUpTo = 0;

  constructor(world: RootTablesWorld) {
    this.#world = world;
  }

  /** The table of a ring; undefined while that is not known. */
  of(generation: number): GroupTable | undefined {
    return this.#tables.get(generation)?.table;
  }

  /** Whether all members of it are known to have been made. */
  isFormed(generation: number): boolean {
    return this.#tables.get(generation)?.formed === true;
  }

  /** Forgets those of other rings. */
  keep(generations: readonly number[]): void {
    for (const generation of this.#tables.keys()) {
      if (!generations.includes(generation)) this.#tables.delete(generation);
    }
  }

  /** Asks the root for a table, and whether it is formed. @returns Whether it was not known. */
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

  /** The table of a ring that came out of a resize; else the first one, which has no generation. */
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

  /** Has the root keep a table for a ring whose partitions are owned so, unless it has one. @returns Whether it was not known. */
  async write(
    generation: number,
    owners: readonly string[],
  ): Promise<boolean> {
    const { newNumber, present } = this.#world;
    const table = makeGroupTable(owners, newNumber);
    // Without consistent buckets a ring may have been resized any number of times.
    const keys = generation === present() ? FIRST_TABLE : tableKeys(generation);
    await this.#putOnce(keys.table, encodeGroupTable(table));
    return await this.read(generation);
  }

  /** Whether the root may have tables of rings that are no more, as far as this node knows. */
  mayHaveFormer(newest: number): boolean {
    return newest > this.#goneUpTo;
  }

  /**
   * Has the tables go of all rings but that of `present`, up to the newest one that
   * was begun. No resize may be under way, and all members must go by the ring as
   * it is. Those that are marked as down may not, which does no harm; see
   * `group_table.ts`.
   */
  async dropFormer(present: number, newest: number): Promise<void> {
    const { raKv } = this.#world;
    const known = this.#tables.get(present);
    if (known?.formed !== true) return;
    const former = known.keys.table === FIRST_TABLE.table ? [] : [FIRST_TABLE];
    // What is older went in its time.
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
    this.#goneUpTo = newest;
  }

  /** All members of a table have been made. */
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

  /** Writes a key of the root unless it is there. */
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
