/**
 * What one partition of a Deno KV store needs of the store it belongs to.
 *
 * @module
 */
import type {
  Awaitable,
  StoreState,
  StoreWrite,
  StoreWriteOptions,
} from "../environment/storage.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";

/** The store behind a partition. */
export interface PartitionHost {
  readonly state: StoreState;
  /** The value of `key`, as `PartitionStore.get`. */
  get(partition: number, key: Uint8Array): Awaitable<Uint8Array | undefined>;
  /** As `PartitionStore.write`. */
  write(
    partition: number,
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    options?: StoreWriteOptions,
  ): void;
  /** The value in a record, or `undefined` if it is in chunks. @throws {WhorlError} `value_corrupt`. */
  decodeInline(key: Uint8Array, record: unknown): Uint8Array | undefined;
  /** The value in a record that was read from disk; see `DenoKvStore.decode`. @throws {WhorlError} `value_corrupt`. */
  decode(
    key: Uint8Array,
    record: unknown,
    isCurrent: () => boolean,
  ): Promise<Uint8Array | undefined>;
  /** Rows in key order. */
  page(
    ...args: Parameters<DenoKvFile["page"]>
  ): ReturnType<DenoKvFile["page"]>;
  /** Writes that are not in their rows, in key order. */
  unfolded(
    ...args: Parameters<UnfoldedWrites["range"]>
  ): ReturnType<UnfoldedWrites["range"]>;
  /** @throws {WhorlError} `closed`, or what made the store refuse writes. */
  refuseIfClosed(action: "read" | "write"): void;
}
