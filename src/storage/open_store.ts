/**
 * Opens a store by its description, which is plain data and may have come from
 * another thread or process.
 *
 * @module
 */
import type { StorageEnvironment } from "../environment/environment.ts";
import type { Store, StoreConfig } from "../environment/storage.ts";
import { openDenoKvStore } from "./deno_kv_store.ts";
import { openMemoryStore } from "./memory_store.ts";

/**
 * Opens the store that `config` describes.
 *
 * @throws {WhorlError} One of the `store_…` codes or `invalid_config`, naming the file.
 */
export function openStore(
  config: StoreConfig,
  environment: StorageEnvironment,
): Promise<Store> {
  switch (config.type) {
    case "memory":
      return Promise.resolve(
        openMemoryStore(environment.secretBytes(8).toHex(), environment),
      );
    case "deno_kv":
      return openDenoKvStore(config, environment);
  }
}
