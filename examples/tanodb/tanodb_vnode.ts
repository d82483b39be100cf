/**
 * The vnode of tanodb: the rows of one partition, and what can be asked of
 * them. `put` and `delete` answer when they are durable, which in memory is at
 * once.
 *
 * Each replica of a row is written for itself. When copies of it meet, as data
 * moves between nodes, the one written later stays: so a deleted row leaves
 * behind that it was deleted, and when.
 *
 * @module
 */
import {
  command,
  type CommandDeclaration,
  defineVnode,
  type HandoffItem,
  partitionOf,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "../../mod.ts";
import {
  bucketEnd,
  bucketStart,
  laterRow,
  type Row,
  rowBytes,
  rowIn,
  rowKey,
  rowName,
} from "./tanodb_row.ts";

/** Which row is meant. */
export interface RowName {
  /** Its bucket. */
  readonly bucket: string;
  /** Its key in the bucket. */
  readonly key: string;
}

/** The commands of the module. Their order is their number on the wire. */
export type TanodbCommands = {
  /** Answers the partition of the vnode. */
  readonly ping: CommandDeclaration<undefined, number, never>;
  /** Answers the row, also one that was deleted; `null` if there never was one. */
  readonly get: CommandDeclaration<RowName, Row | null, never>;
  /** Writes the row; answers what was there before. */
  readonly put: CommandDeclaration<RowName & Row, Row | null, never>;
  /** Deletes the row; answers what was there before. */
  readonly delete: CommandDeclaration<
    RowName & Pick<Row, "at">,
    Row | null,
    never
  >;
};

/** The coverage queries of the module. */
export type TanodbCoverage = {
  /** Answers the keys of a bucket, in order, some at a time. */
  readonly keys: CommandDeclaration<
    { readonly bucket: string },
    readonly string[],
    never
  >;
};

/** Keys in one chunk of an answer: with keys as people choose them, some kilobytes. */
const KEYS_IN_CHUNK = 256;

class TanodbVnode implements Vnode<TanodbCommands, TanodbCoverage> {
  readonly #partition: number;
  readonly #context: VnodeContext;
  /** The change that was asked for last has read what it replaces. */
  #lastRead: Promise<unknown> = Promise.resolve();

  constructor(partition: number, context: VnodeContext) {
    this.#partition = partition;
    this.#context = context;
  }

  readonly handleCommand: Vnode<TanodbCommands>["handleCommand"] = {
    ping: () => this.#partition,
    get: ({ bucket, key }) => this.#read(rowKey(bucket, key)),
    put: ({ bucket, key, at, json }) =>
      this.#replace(rowKey(bucket, key), (row) => after(row, { at, json })),
    delete: ({ bucket, key, at }) =>
      this.#replace(
        rowKey(bucket, key),
        (row) => after(row, { at, json: null }),
      ),
  };

  readonly handleCoverage: Required<
    Vnode<TanodbCommands, TanodbCoverage>
  >["handleCoverage"] = {
    keys: ({ bucket }, keySpaces, signal) =>
      this.#keys(bucket, keySpaces, signal),
  };

  async *#keys(
    bucket: string,
    keySpaces: ReadonlySet<number> | null,
    signal: AbortSignal,
  ): AsyncGenerator<string[]> {
    const { storage, ringSize } = this.#context;
    let chunk: string[] = [];
    const range = { start: bucketStart(bucket), end: bucketEnd(bucket) };
    for await (const { key: stored, value } of storage.scan(range)) {
      if (signal.aborted) return;
      const { key } = rowName(stored);
      const isWanted = keySpaces === null ||
        keySpaces.has(partitionOf(bucket, key, ringSize));
      if (!isWanted || rowIn(value).json === null) continue;
      chunk.push(key);
      if (chunk.length < KEYS_IN_CHUNK) continue;
      yield chunk;
      chunk = [];
    }
    if (chunk.length > 0) yield chunk;
  }

  async #read(key: Uint8Array): Promise<Row | null> {
    const bytes = await this.#context.storage.get(key);
    return bytes === undefined ? null : rowIn(bytes);
  }

  /**
   * Writes what `next` makes of a row, and resolves to what it was when that is
   * durable. Commands, and rows that are handed over, come side by side: one
   * reads after the other has written.
   */
  #replace(
    key: Uint8Array,
    next: (row: Row | null) => Row,
  ): Promise<Row | null> {
    const { promise, resolve, reject } = Promise.withResolvers<Row | null>();
    const change = async () => {
      const row = await this.#read(key);
      this.#context.storage.commit([{ key, value: rowBytes(next(row)) }])
        .then(() => resolve(row), reject);
    };
    this.#lastRead = this.#lastRead.then(change).catch(reject);
    return promise;
  }

  async *fold(): AsyncGenerator<HandoffItem> {
    for await (const { key, value } of this.#context.storage.scan()) {
      yield { sortKey: key, item: value };
    }
  }

  async itemAt(sortKey: Uint8Array): Promise<HandoffItem | undefined> {
    const item = await this.#context.storage.get(sortKey);
    return item === undefined ? undefined : { sortKey, item };
  }

  keySpaceOf({ sortKey }: HandoffItem, ringSize: number): number {
    const { bucket, key } = rowName(sortKey);
    return partitionOf(bucket, key, ringSize);
  }

  encodeHandoffItem({ sortKey, item }: HandoffItem): Uint8Array {
    const row = item as Uint8Array;
    const bytes = new Uint8Array(2 + sortKey.length + row.length);
    new DataView(bytes.buffer).setUint16(0, sortKey.length);
    bytes.set(sortKey, 2);
    bytes.set(row, 2 + sortKey.length);
    return bytes;
  }

  async handleHandoffData(bytes: Uint8Array): Promise<void> {
    const end = 2 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
    const handed = rowIn(bytes.subarray(end));
    // Written even if it is what is here, which need not be durable yet.
    await this.#replace(
      bytes.slice(2, end),
      (row) => row === null ? handed : laterRow(row, handed),
    );
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  delete(): Promise<void> {
    return this.#context.storage.deleteRange();
  }
}

/** A vnode does what it is told in that order, whatever the clocks of those who tell it say. */
function after(row: Row | null, next: Row): Row {
  return row === null || next.at > row.at ? next : { ...next, at: row.at + 1 };
}

const tanodbModule: VnodeModule<TanodbCommands, TanodbCoverage> = defineVnode({
  name: "tanodb",
  commands: {
    ping: command(),
    get: command(),
    put: command(),
    delete: command(),
  } as TanodbCommands,
  coverage: { keys: command() } as TanodbCoverage,
  init: (partition, context) => new TanodbVnode(partition, context),
});

export default tanodbModule;
