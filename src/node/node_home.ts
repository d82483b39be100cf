/**
 * Where a node keeps what it must remember: who it is, how often it has
 * started, the ring, and the stores of its vnode masters. Either a data
 * directory, or nothing but memory, in which case each start is a new node.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import type { StoreConfig } from "../environment/storage.ts";
import { DataDirectory } from "../storage/data_directory.ts";
import type { NodeConfig } from "./node_options.ts";

/**
 * Memory a vnode master keeps for values it has read or written. A value that
 * must come from the disk costs ten times one that is here.
 */
export const STORE_CACHE_BYTES_MAX = 64 * 1024 * 1024;
/** Name of the record that holds the ring. */
const RING_RECORD = "ring";
/** Name of the record that says which stores there have been. */
const STORES_RECORD = "stores";

/** What a node remembers. */
export interface NodeHome extends AsyncDisposable {
  /** 32 hex digits, drawn when the home was made. */
  readonly nodeId: string;
  /** Grows with every start. */
  readonly incarnation: number;
  /** The ring that was stored last, before this start or since, or `null`. */
  readonly storedRing: Uint8Array | null;
  /** Replaces the stored ring; durable when it resolves. */
  storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The store of a vnode master. */
  storeOf(module: string, master: number): StoreConfig;
  /** A vnode master has opened its store: from now on it is known that there was one. */
  storeOpened(module: string, master: number): Promise<void>;
  /**
   * Puts a damaged store aside, so that the master begins with an empty one that
   * knows it has lost everything.
   *
   * @returns What the names of its files end with now.
   */
  setStoreAside(module: string, master: number): Promise<string>;
}

/**
 * Opens the home of a node and holds it.
 *
 * @throws {WhorlError} One of the `store_…` codes or `invalid_config`, naming the file.
 */
export function openNodeHome(
  config: NodeConfig,
  environment: Environment,
): Promise<NodeHome> {
  return config.dataDirectory === undefined
    ? Promise.resolve(memoryHome(environment))
    : directoryHome(config, config.dataDirectory, environment);
}

function memoryHome(environment: Environment): NodeHome {
  let storedRing: Uint8Array | null = null;
  return {
    nodeId: environment.secretBytes(16).toHex(),
    incarnation: 1,
    get storedRing() {
      return storedRing;
    },
    storeRing(bytes) {
      storedRing = bytes.slice();
      return Promise.resolve();
    },
    storeOf: () => ({ type: "memory" }),
    storeOpened: () => Promise.resolve(),
    setStoreAside: () => Promise.resolve(""),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function directoryHome(
  config: NodeConfig,
  path: string,
  environment: Environment,
): Promise<NodeHome> {
  const directory = await DataDirectory.open({
    path,
    disk: environment.disk,
    identity: {
      nodeId: environment.secretBytes(16).toHex(),
      name: config.name,
      cluster: config.clusterName,
      ringSize: config.ringSize,
      masters: config.masters,
    },
  });
  try {
    const record = await directory.readRecord(RING_RECORD);
    let storedRing = record === undefined ? null : ringBytes(record, path);
    const stores = new Set(
      storeNames(await directory.readRecord(STORES_RECORD), path),
    );
    return {
      nodeId: directory.identity.nodeId,
      incarnation: directory.incarnation,
      get storedRing() {
        return storedRing;
      },
      async storeRing(bytes) {
        const stored = bytes.slice();
        await directory.writeRecord(RING_RECORD, { ring: stored.toBase64() });
        storedRing = stored;
      },
      storeOf: (module, master) =>
        config.storage === "memory" ? { type: "memory" } : {
          type: "deno_kv",
          path: directory.storePath(module, master),
          cacheBytesMax: STORE_CACHE_BYTES_MAX,
          existed: stores.has(`${module}-${master}`),
        },
      async storeOpened(module, master) {
        const name = `${module}-${master}`;
        if (config.storage === "memory" || stores.has(name)) return;
        stores.add(name);
        await directory.writeRecord(STORES_RECORD, {
          stores: [...stores].sort(),
        });
      },
      setStoreAside: (module, master) =>
        directory.setStoreAside(module, master),
      [Symbol.asyncDispose]: () => directory.close(),
    };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

function ringBytes(record: unknown, path: string): Uint8Array {
  const { ring } = record as { ring?: unknown };
  try {
    return Uint8Array.fromBase64(ring as string);
  } catch (cause) {
    throw new WhorlError(
      "store_corrupt",
      `Cannot start from ${path}/${RING_RECORD}.json as it does not hold a ring`,
      { cause },
    );
  }
}

function storeNames(record: unknown, path: string): string[] {
  if (record === undefined) return [];
  const { stores } = record as { stores?: unknown };
  if (
    Array.isArray(stores) && stores.every((name) => typeof name === "string")
  ) return stores;
  throw new WhorlError(
    "store_corrupt",
    `Cannot start from ${path}/${STORES_RECORD}.json as it does not list stores`,
  );
}
