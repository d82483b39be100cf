/**
 * What one partition of a Deno KV store needs from the store it belongs to.
 *
 * @module
 */
import type {
  StoreState,
  StoreWrite,
  StoreWriteOptions,
} from "../environment/storage.ts";
import type { DenoKvFile } from "./deno_kv_file.ts";
import type { UnfoldedWrites } from "./unfolded_writes.ts";
import type { ValueReads } from "./value_reads.ts";

/** The store behind a partition. */
export interface PartitionHost {
  readonly state: StoreState;
  readonly reads: Pick<ValueReads, "get" | "decode" | "decodeInline">;
  /** As `PartitionStore.write`. */
  write(
    partition: number,
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
    options?: StoreWriteOptions,
  ): void;
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
