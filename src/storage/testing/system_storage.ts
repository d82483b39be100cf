/**
 * The real disk, clock and chance for tests of stores.
 *
 * @module
 */
import { systemRuntime } from "../../../supervisors/runtime.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { systemDisk } from "../system_disk.ts";

/** What a store needs of the world, of the real one. */
export const systemStorage: StorageEnvironment = {
  ...systemRuntime,
  disk: systemDisk,
  secretBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};
