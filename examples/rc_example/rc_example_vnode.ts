/**
 * The vnode of rc_example: a part of a key-value store, and `ping`. Each value
 * is stored once, in the vnode that its key hashes to.
 *
 * A deletion leaves a tombstone, a row without a value. A transfer sends rows,
 * so without the tombstone a value that was sent before its deletion would be
 * back after the transfer.
 *
 * @module
 */
import {
  command,
  type CommandDeclaration,
  defineVnode,
  encodeErlangTerm,
  erlangAtom,
  type HandoffDecision,
  type HandoffItem,
  type JsonValue,
  type KeySpaces,
  partitionIndex,
  partitionOf,
  type ScanRange,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "../../mod.ts";

/** The bucket all keys are in. */
export const BUCKET = "rc_example";
/** Longest value, in bytes of JSON. */
export const VALUE_BYTES_MAX = 1024 * 1024;

/** What a key holds; `null` if nothing. */
export type Held = { readonly value: JsonValue } | null;

/** The commands. Their order is their number on the wire. */
export type RcExampleCommands = {
  /** Answers with the partition of the vnode. */
  readonly ping: CommandDeclaration<undefined, number, never>;
  readonly put: CommandDeclaration<
    { readonly key: string; readonly value: JsonValue },
    "ok",
    "value_too_large"
  >;
  readonly get: CommandDeclaration<{ readonly key: string }, Held, never>;
  /** Answers with what the key held. */
  readonly delete: CommandDeclaration<{ readonly key: string }, Held, never>;
};

/** The coverage queries. */
export type RcExampleCoverage = {
  readonly keys: CommandDeclaration<undefined, readonly string[], never>;
  readonly values: CommandDeclaration<undefined, readonly JsonValue[], never>;
  /** Empties the vnode, and answers nothing. */
  readonly clear: CommandDeclaration<undefined, readonly never[], never>;
};

const commands: RcExampleCommands = {
  ping: command(),
  put: command({ failures: ["value_too_large"] }),
  get: command(),
  delete: command(),
};
const coverage: RcExampleCoverage = {
  keys: command(),
  values: command(),
  clear: command(),
};

/** Bytes of rows that are read in one step of a coverage query. */
const CHUNK_BYTES = 16 * 1024;
/** What is stored under a key that was deleted; JSON is never empty. */
const DELETED = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * What a key is hashed by: the bytes of the Erlang atom of that name, so that it
 * lies in the same partition as in riak_core's tutorial.
 */
export function keyTerm(key: string): Uint8Array {
  return encodeErlangTerm(erlangAtom(key));
}

class RcExampleVnode implements Vnode<RcExampleCommands, RcExampleCoverage> {
  readonly #context: VnodeContext;
  readonly #partition: number;
  readonly #name: string;
  /** Whether there was anything to hand over when the handoff began. */
  #handsOver = false;

  constructor(partition: number, context: VnodeContext) {
    this.#context = context;
    this.#partition = partition;
    this.#name = partitionIndex(partition, context.ringSize).toString(36)
      .toUpperCase();
  }

  readonly handleCommand: Vnode<RcExampleCommands>["handleCommand"] = {
    ping: () => {
      this.#log(`Received ping command ${this.#partition}`);
      return this.#partition;
    },
    put: async ({ key, value }, call) => {
      this.#log(`PUT ${key}:${JSON.stringify(value)}`);
      // A value that is not JSON becomes null, as it does within an object.
      const bytes = encoder.encode(JSON.stringify(value) ?? "null");
      if (bytes.length > VALUE_BYTES_MAX) {
        call.fail(
          "value_too_large",
          `Cannot store a value of ${bytes.length} bytes as it may have ${VALUE_BYTES_MAX}`,
        );
      } else await this.#write(encoder.encode(key), bytes);
      return "ok" as const;
    },
    get: ({ key }) => {
      this.#log(`GET ${key}`);
      return this.#held(key);
    },
    // The promise holds the next command back, so nothing comes between reading
    // and writing.
    delete: async ({ key }) => {
      this.#log(`DELETE ${key}`);
      const held = await this.#held(key);
      await this.#write(encoder.encode(key), DELETED);
      return held;
    },
  };

  readonly handleCoverage = {
    keys: (_: undefined, keySpaces: KeySpaces) => {
      this.#log("Received keys coverage");
      return this.#chunks(keySpaces, (key) => key);
    },
    values: (_: undefined, keySpaces: KeySpaces) => {
      this.#log("Received values coverage");
      return this.#chunks(keySpaces, (_, value) => valueIn(value));
    },
    clear: () => {
      this.#log("Received clear coverage");
      return this.#clear();
    },
  };

  /** While the partition moves, reads are answered here and changes are made at both ends. */
  handleHandoffCommand(command: string): HandoffDecision {
    return command === "get" ? "apply" : "apply_and_forward";
  }

  async handoffStarting(target: { node: string }): Promise<boolean> {
    this.#handsOver = !await this.isEmpty();
    this.#logHandoff(`starting handoff to ${target.node}`);
    return true;
  }

  handoffCancelled(): void {
    this.#logHandoff("handoff cancelled");
  }

  handoffFinished(): void {
    this.#logHandoff("finished handoff");
  }

  async *fold(): AsyncGenerator<HandoffItem> {
    const { storage } = this.#context;
    for await (const { key } of storage.scan()) {
      // Read again: what a scan has read ahead may be outdated.
      const item = await storage.get(key);
      if (item !== undefined) yield { sortKey: key, item };
    }
  }

  encodeHandoffItem({ sortKey, item }: HandoffItem): Uint8Array {
    const row = item as Uint8Array;
    const key = decoder.decode(sortKey);
    return encoder.encode(
      JSON.stringify(isDeleted(row) ? [key] : [key, valueIn(row)]),
    );
  }

  /** Data from the partition's former owner is newer than what is here. */
  async handleHandoffData(bytes: Uint8Array): Promise<void> {
    const [key, ...rest] = JSON.parse(decoder.decode(bytes)) as [
      string,
      ...JsonValue[],
    ];
    this.#log(`received handoff data ${key}`);
    const value = rest.length === 0
      ? DELETED
      : encoder.encode(JSON.stringify(rest[0]));
    await this.#write(encoder.encode(key), value);
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  async delete(): Promise<void> {
    this.#logHandoff("deleting the vnode");
    await this.#context.storage.deleteRange();
  }

  async #held(key: string): Promise<Held> {
    const bytes = await this.#context.storage.get(encoder.encode(key));
    return bytes === undefined || isDeleted(bytes)
      ? null
      : { value: valueIn(bytes) };
  }

  /** Resolves when the row is durable; if that fails, this vnode crashes. */
  #write(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#context.storage.commit([{ key, value }]);
  }

  /** Yields what `take` makes of each row, some kilobytes at a time; the store is not held open in between. */
  async *#chunks<T>(
    keySpaces: KeySpaces,
    take: (key: string, value: Uint8Array) => T,
  ): AsyncGenerator<readonly T[]> {
    let range: ScanRange | undefined = {};
    while (range !== undefined) {
      const chunk: T[] = [];
      let bytes = 0;
      let next: ScanRange | undefined;
      for await (const { key, value } of this.#context.storage.scan(range)) {
        bytes += key.length + value.length;
        const name = decoder.decode(key);
        if (!isDeleted(value) && this.#isAskedFor(name, keySpaces)) {
          chunk.push(take(name, value));
        }
        if (bytes < CHUNK_BYTES) continue;
        // The smallest key behind this one.
        next = { start: new Uint8Array([...key, 0]) };
        break;
      }
      range = next;
      if (chunk.length > 0) yield chunk;
    }
  }

  /** A replicated command leaves values in vnodes that are not the first of their keys. */
  #isAskedFor(key: string, keySpaces: KeySpaces): boolean {
    if (keySpaces === null) return true;
    return keySpaces.has(
      partitionOf(BUCKET, keyTerm(key), this.#context.ringSize),
    );
  }

  async *#clear(): AsyncGenerator<readonly never[]> {
    await this.#context.storage.deleteRange();
    yield [];
  }

  /** Vnodes with nothing to hand over, dozens when a node joins, are not worth a line. */
  #logHandoff(text: string): void {
    if (this.#handsOver) this.#log(text);
  }

  /** As the tutorial logs: the partition in base 36 stands before the line. */
  #log(text: string): void {
    this.#context.log.info(`[${this.#name}] ${text}`);
  }
}

function isDeleted(row: Uint8Array): boolean {
  return row.length === 0;
}

function valueIn(row: Uint8Array): JsonValue {
  return JSON.parse(decoder.decode(row));
}

const rcExampleModule: VnodeModule<RcExampleCommands, RcExampleCoverage> =
  defineVnode({
    name: "rc_example",
    commands,
    coverage,
    init: (partition, context) => new RcExampleVnode(partition, context),
  });

export default rcExampleModule;
