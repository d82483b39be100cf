/**
 * A vnode module that keeps texts by key, in two dresses: with `itemAt`, where
 * each text has a version and the highest wins, and without, where commands that
 * count how often they are run follow the items.
 *
 * @module
 */
import type { PartitionStore } from "../../environment/storage.ts";
import { command, defineVnode } from "../define_vnode.ts";
import type {
  HandoffItem,
  Vnode,
  VnodeContext,
  VnodeModule,
  VnodeStorage,
} from "../vnode.ts";

/** The commands of the module. */
export const mapCommands = {
  /** Keeps `text` under `key` if `version` is higher, or appends it. */
  put: command<MapPut, string>(),
  get: command<string, string | null>(),
};

/** What a put takes. */
export interface MapPut {
  readonly key: string;
  readonly text: string;
  /** Only where items are merged. */
  readonly version: number;
}

/** How what is written during a handoff follows. */
export type MapMode = "items" | "commands";

/** What a test may change of a vnode, and see of it. */
export interface MapHooks {
  /** Replaces callbacks of each vnode that starts. */
  extra?: (partition: number) => Partial<Vnode<typeof mapCommands>>;
  /** Told of each vnode that starts. */
  started?: (partition: number, context: VnodeContext) => void;
  /** Waited for before a put is done. */
  beforePut?: (put: MapPut) => Promise<void> | undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The module in `mode`. */
export function mapModule(mode: MapMode, hooks: MapHooks = {}): VnodeModule {
  return defineVnode({
    name: "map",
    commands: mapCommands,
    init: async (partition, context) => {
      hooks.started?.(partition, context);
      const vnode = new MapVnode(mode, context, hooks);
      await vnode.load();
      return { ...vnode.callbacks(), ...hooks.extra?.(partition) };
    },
  }) as unknown as VnodeModule;
}

/** Everything a store has of a partition, as `key: value`. */
export async function storedTexts(
  storage: PartitionStore,
): Promise<Record<string, string>> {
  const texts: [string, string][] = [];
  for await (const { key, value } of storage.scan()) {
    texts.push([decoder.decode(key), decoder.decode(value)]);
  }
  return Object.fromEntries(texts);
}

/** The higher of two values `version:text`. */
export function mergeTexts(a: string | undefined, b: string): string {
  if (a === undefined) return b;
  const versionOf = (value: string) => Number(value.split(":")[0]);
  if (versionOf(a) !== versionOf(b)) return versionOf(a) > versionOf(b) ? a : b;
  return a > b ? a : b;
}

class MapVnode {
  readonly #mode: MapMode;
  readonly #storage: VnodeStorage;
  readonly #hooks: MapHooks;
  readonly #signal: AbortSignal;
  readonly #texts = new Map<string, string>();

  constructor(mode: MapMode, context: VnodeContext, hooks: MapHooks) {
    this.#mode = mode;
    this.#storage = context.storage;
    this.#signal = context.signal;
    this.#hooks = hooks;
  }

  async load(): Promise<void> {
    const stored = await storedTexts(this.#storage);
    for (const [key, text] of Object.entries(stored)) {
      this.#texts.set(key, text);
    }
  }

  #keep(key: string, value: string): Promise<void> {
    this.#texts.set(key, value);
    return this.#storage.commit([
      { key: encoder.encode(key), value: encoder.encode(value) },
    ]);
  }

  #put({ key, text, version }: MapPut): Promise<void> {
    const before = this.#texts.get(key);
    return this.#keep(
      key,
      this.#mode === "items"
        ? mergeTexts(before, `${version}:${text}`)
        : `${before ?? ""}${text}`,
    );
  }

  #itemOf(key: string): HandoffItem | undefined {
    const value = this.#texts.get(key);
    if (value === undefined) return undefined;
    return { sortKey: encoder.encode(key), item: [key, value] };
  }

  *#fold(): Generator<HandoffItem> {
    for (const key of [...this.#texts.keys()].sort()) {
      const item = this.#itemOf(key);
      if (item !== undefined) yield item;
    }
  }

  callbacks(): Vnode<typeof mapCommands> {
    return {
      handleCommand: {
        put: async (put) => {
          await this.#hooks.beforePut?.(put);
          // It must not write beside its successor.
          this.#signal.throwIfAborted();
          await this.#put(put);
          return put.text;
        },
        get: (key) => this.#texts.get(key) ?? null,
      },
      handleHandoffCommand: (name) =>
        name === "get" ? "apply" : "apply_and_forward",
      fold: () => this.#fold(),
      ...(this.#mode === "items"
        ? { itemAt: (key) => this.#itemOf(decoder.decode(key)) }
        : {}),
      // By their first letter: "3..." is of key space 3.
      keySpaceOf: ({ sortKey }) => (sortKey[0] ?? 0) - 48,
      encodeHandoffItem: ({ item }) => {
        const [key, value] = item as [string, string];
        // One that cannot be read any more.
        if (value.includes("corrupt")) return null;
        return encoder.encode(`${key}\n${value}`);
      },
      handleHandoffData: (bytes) => {
        const [key, value] = decoder.decode(bytes).split("\n") as [
          string,
          string,
        ];
        return this.#keep(
          key,
          this.#mode === "items"
            ? mergeTexts(this.#texts.get(key), value)
            : value,
        );
      },
      isEmpty: () => this.#texts.size === 0,
      delete: async () => {
        this.#texts.clear();
        await this.#storage.deleteRange();
      },
    };
  }
}
