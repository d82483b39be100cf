/**
 * The vnodes of app_name, which keep lists of entries.
 *
 * An entry has an id of its own and never changes. So replicas that missed
 * different entries are merged by putting them together, and an entry that
 * arrives twice is there once: nothing is lost by a retry, a handoff or a
 * repair. Whatever you make of this module, keep it like that, or build on `kv`,
 * which has versions for what changes.
 *
 * @module
 */
import {
  answersLater,
  command,
  type CommandDeclaration,
  defineVnode,
  partitionOf,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "@whorl/whorl";

/** Lists are spread over the ring by this and their name. */
export const BUCKET = "app_name";

/** Longest name of a list, in bytes of UTF-8. */
export const LIST_BYTES_MAX = 500;
/** Longest id of an entry, in bytes of UTF-8. */
export const ID_BYTES_MAX = 100;
/** Longest text of an entry, in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 10_000;

/** One entry of a list. */
export type Entry = { readonly id: string; readonly text: string };

/** What the vnodes of a list can be asked. Their order is their number on the wire: new ones go to the end. */
export type AppNameCommands = {
  /** Adds an entry; answers once it is durable. */
  readonly add: CommandDeclaration<
    { readonly list: string; readonly id: string; readonly text: string },
    true,
    "invalid_entry"
  >;
  /** The entries of a list, by id. */
  readonly entries: CommandDeclaration<
    { readonly list: string },
    readonly Entry[],
    "incomplete"
  >;
};

/** What all vnodes can be asked at once. */
export type AppNameQueries = {
  /** The names of all lists. */
  readonly lists: CommandDeclaration<undefined, readonly string[], never>;
};

const commands: AppNameCommands = {
  add: command({ failures: ["invalid_entry"] }),
  entries: command({ failures: ["incomplete"] }),
};

const coverage: AppNameQueries = { lists: command() };

/** Names in one chunk of the answer to `lists`. */
const LISTS_PER_CHUNK = 100;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the key of an entry begins with: its list, and a byte that no list has. */
function prefixOf(list: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${list}\0`);
}

/** The first key behind all entries of `list`. */
function endOf(list: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${list}\x01`);
}

function listOf(key: Uint8Array): string {
  return decoder.decode(key.subarray(0, key.indexOf(0)));
}

function isText(value: unknown, bytesMax: number): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0") &&
    encoder.encode(value).length <= bytesMax;
}

class AppNameVnode implements Vnode<AppNameCommands, AppNameQueries> {
  readonly #context: VnodeContext;

  constructor(context: VnodeContext) {
    this.#context = context;
  }

  readonly handleCommand: Vnode<AppNameCommands>["handleCommand"] = {
    add: ({ list, id, text }, call) => {
      // Bytes from elsewhere have the shape that was promised, or not.
      if (
        !isText(list, LIST_BYTES_MAX) || !isText(id, ID_BYTES_MAX) ||
        !isText(text, TEXT_BYTES_MAX)
      ) {
        call.fail(
          "invalid_entry",
          `Cannot add entry as list, id and text must be text of at most ${LIST_BYTES_MAX}, ${ID_BYTES_MAX} and ${TEXT_BYTES_MAX} bytes`,
        );
        return answersLater;
      }
      this.#context.storage.write(
        [{
          key: encoder.encode(`${list}\0${id}`),
          value: encoder.encode(text),
        }],
        (error) => {
          if (error === undefined) call.reply(true);
          // Nobody knows what is stored now: a vnode that starts afresh looks.
          else this.#context.crash(error);
        },
      );
      // Many entries share one commit, and the next command need not wait for it.
      return answersLater;
    },
    entries: async ({ list }, call) => {
      const { storage, store } = this.#context;
      let damaged = 0;
      const entries: Entry[] = [];
      const prefix = prefixOf(list);
      const range = { start: prefix, end: endOf(list) };
      for await (
        const { key, value } of storage.scan({
          ...range,
          onCorrupt: () => damaged++,
        })
      ) {
        entries.push({
          id: decoder.decode(key.subarray(prefix.length)),
          text: decoder.decode(value),
        });
      }
      // Who knows that it does not know all leaves the answer to other replicas.
      if (store.tailLost || damaged > 0) {
        call.fail("incomplete", `Cannot answer for all entries of ${list}`);
      }
      return entries;
    },
  };

  readonly handleCoverage: Required<
    Vnode<AppNameCommands, AppNameQueries>
  >["handleCoverage"] = {
    lists: (_request, keySpaces, signal) => this.#lists(keySpaces, signal),
  };

  async *#lists(
    keySpaces: ReadonlySet<number> | null,
    signal: AbortSignal,
  ): AsyncGenerator<readonly string[]> {
    let start = new Uint8Array();
    let key = await this.#firstKey(start);
    while (key !== undefined && !signal.aborted) {
      const lists: string[] = [];
      // From one list to the next: nothing of the store is held in between.
      for (let i = 0; i < LISTS_PER_CHUNK && key !== undefined; i++) {
        const list = listOf(key);
        const keySpace = partitionOf(BUCKET, list, this.#context.ringSize);
        // Other vnodes are asked for the other key spaces.
        if (keySpaces === null || keySpaces.has(keySpace)) lists.push(list);
        start = endOf(list);
        key = await this.#firstKey(start);
      }
      yield lists;
    }
  }

  /** The first key from `start` on. */
  async #firstKey(start: Uint8Array): Promise<Uint8Array | undefined> {
    let first: Uint8Array | undefined;
    const take = (key: Uint8Array): void => {
      first ??= key.slice();
    };
    const range = { start, limit: 1, onCorrupt: take };
    for await (const { key } of this.#context.storage.scan(range)) take(key);
    return first;
  }

  async *fold() {
    const { storage, log } = this.#context;
    // What is damaged stays behind; other replicas have it.
    const onCorrupt = () => log.warn("A damaged entry is not handed over");
    for await (const { key, value } of storage.scan({ onCorrupt })) {
      yield { sortKey: key, item: value };
    }
  }

  async itemAt(sortKey: Uint8Array) {
    const item = await this.#context.storage.get(sortKey);
    return item === undefined ? undefined : { sortKey, item };
  }

  keySpaceOf({ sortKey }: { sortKey: Uint8Array }, ringSize: number): number {
    return partitionOf(BUCKET, listOf(sortKey), ringSize);
  }

  encodeHandoffItem(
    { sortKey, item }: { sortKey: Uint8Array; item: unknown },
  ): Uint8Array {
    const text = item as Uint8Array;
    const bytes = new Uint8Array(2 + sortKey.length + text.length);
    new DataView(bytes.buffer).setUint16(0, sortKey.length);
    bytes.set(sortKey, 2);
    bytes.set(text, 2 + sortKey.length);
    return bytes;
  }

  handleHandoffData(bytes: Uint8Array): Promise<void> {
    const end = 2 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
    // The same entry may be here: it has the same text.
    return this.#context.storage.commit([
      { key: bytes.subarray(2, end), value: bytes.subarray(end) },
    ]);
  }

  async isEmpty(): Promise<boolean> {
    return await this.#context.storage.count() === 0;
  }

  delete(): Promise<void> {
    return this.#context.storage.deleteRange();
  }
}

const appNameModule: VnodeModule<AppNameCommands, AppNameQueries> = defineVnode(
  {
    name: "app_name",
    commands,
    coverage,
    init: (_partition, context) => new AppNameVnode(context),
  },
);

export default appNameModule;
