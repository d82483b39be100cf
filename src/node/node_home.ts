/**
 * The persistent state of a node: its identity, how often it has started, the
 * ring, and the stores of its vnode masters. Either in a data directory, or in
 * memory, in which case each start makes a new node.
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
 * must be read from disk costs ten times as much.
 */
export const STORE_CACHE_BYTES_MAX = 64 * 1024 * 1024;
/** Name of the record that holds the ring. */
const RING_RECORD = "ring";
/** Name of the record that says which stores there have been. */
const STORES_RECORD = "stores";

/** What a node remembers. */
export interface NodeHome extends AsyncDisposable {
  /** 32 hex digits, drawn when the home was created. */
  readonly nodeId: string;
  /** Grows with every start. */
  readonly incarnation: number;
  /** The ring that was stored last, before this start or since, or `null`. */
  readonly storedRing: Uint8Array | null;
  /** Replaces the stored ring; durable when it resolves. */
  storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The store of a vnode master. */
  storeOf(module: string, master: number): StoreConfig;
  /** Records that a vnode master has opened its store: from now on it is expected to exist. */
  storeOpened(module: string, master: number): Promise<void>;
  /**
   * Puts a damaged store aside, so that the master begins with an empty one that
   * knows it has lost everything.
   *
   * @returns The suffix of the names of its files.
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
    ? Promise.resolve(new MemoryHome(environment))
    : openDirectory(config, config.dataDirectory, environment);
}

class MemoryHome implements NodeHome {
  readonly nodeId: string;
  readonly incarnation = 1;
  storedRing: Uint8Array | null = null;

  constructor(environment: Environment) {
    this.nodeId = environment.secretBytes(16).toHex();
  }

  storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.storedRing = bytes.slice();
    return Promise.resolve();
  }

  storeOf(): StoreConfig {
    return { type: "memory" };
  }

  storeOpened(): Promise<void> {
    return Promise.resolve();
  }

  setStoreAside(): Promise<string> {
    return Promise.resolve("");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

async function openDirectory(
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
    const ring = record === undefined ? null : ringBytes(record, path);
    const stores = await directory.readRecord(STORES_RECORD);
    return new DirectoryHome(
      directory,
      config.storage,
      ring,
      storeNames(stores, path),
    );
  } catch (error) {
    await directory.close();
    throw error;
  }
}

class DirectoryHome implements NodeHome {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly #directory: DataDirectory;
  readonly #storage: NodeConfig["storage"];
  readonly #stores: Set<string>;
  #storedRing: Uint8Array | null;

  constructor(
    directory: DataDirectory,
    storage: NodeConfig["storage"],
    storedRing: Uint8Array | null,
    stores: readonly string[],
  ) {
    this.nodeId = directory.identity.nodeId;
    this.incarnation = directory.incarnation;
    this.#directory = directory;
    this.#storage = storage;
    this.#storedRing = storedRing;
    this.#stores = new Set(stores);
  }

  get storedRing(): Uint8Array | null {
    return this.#storedRing;
  }

  async storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const stored = bytes.slice();
    await this.#directory.writeRecord(RING_RECORD, { ring: stored.toBase64() });
    this.#storedRing = stored;
  }

  storeOf(module: string, master: number): StoreConfig {
    return this.#storage === "memory" ? { type: "memory" } : {
      type: "deno_kv",
      path: this.#directory.storePath(module, master),
      cacheBytesMax: STORE_CACHE_BYTES_MAX,
      existed: this.#stores.has(`${module}-${master}`),
    };
  }

  async storeOpened(module: string, master: number): Promise<void> {
    const name = `${module}-${master}`;
    const stores = this.#stores;
    if (this.#storage === "memory" || stores.has(name)) return;
    stores.add(name);
    await this.#directory.writeRecord(STORES_RECORD, {
      stores: [...stores].sort(),
    });
  }

  setStoreAside(module: string, master: number): Promise<string> {
    return this.#directory.setStoreAside(module, master);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory.close();
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
