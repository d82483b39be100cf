/**
 * Collects a commit for a simulated database, with the limits of Deno KV and
 * its error messages, so that a store that exceeds them fails in a simulation
 * too.
 *
 * @module
 */
import { briefCopy } from "../../base/byte_slab.ts";
import type {
  KvAtomicOperation,
  KvCommitResult,
  KvKey,
} from "../../environment/disk.ts";
import { bytesToText } from "../../base/byte_text.ts";
import { denoKvLimits } from "../../storage/deno_kv_limits.ts";
import type { DatabaseCommit } from "./simulated_database.ts";

/** Most checks in one atomic operation of Deno KV. */
const CHECKS_MAX = 100;

/**
 * Size of a key as Deno KV encodes it: a zero byte takes two, as does each end.
 */
function encodedBytes(key: Uint8Array): number {
  let bytes = key.length + 2;
  for (let i = 0; i < key.length; i++) if (key[i] === 0) bytes++;
  return bytes;
}

/** Why Deno KV refuses the key, or `undefined`. */
export function keyRefusal(
  [key]: KvKey,
  use: "read" | "write",
): string | undefined {
  return refusalOf(encodedBytes(key), use);
}

function refusalOf(
  bytes: number,
  use: "read" | "write",
): string | undefined {
  const { keyBytesMax } = denoKvLimits;
  if (bytes <= keyBytesMax) return undefined;
  // A read is a range that ends one byte after the key.
  const max = use === "read" ? keyBytesMax + 1 : keyBytesMax;
  return `Key too large for ${use} (max ${max} bytes)`;
}

/**
 * A commit under construction. As in Deno KV, keys and values are read when it
 * is committed, not before.
 */
export class GatheredCommit implements KvAtomicOperation {
  readonly #checks: { readonly key: KvKey; readonly stamp: string | null }[] =
    [];
  /** The key of each change; its value has the same index in `#values`. */
  readonly #keys: KvKey[] = [];
  readonly #values: (Uint8Array | null)[] = [];
  readonly #commit: (commit: DatabaseCommit) => Promise<KvCommitResult>;

  /** @param commit Performs the commit. */
  constructor(commit: (commit: DatabaseCommit) => Promise<KvCommitResult>) {
    this.#commit = commit;
  }

  check(
    { key, versionstamp }: {
      readonly key: KvKey;
      readonly versionstamp: string | null;
    },
  ): this {
    this.#checks.push({ key, stamp: versionstamp });
    return this;
  }

  set(key: KvKey, value: Uint8Array): this {
    return this.#change(key, value);
  }

  delete(key: KvKey): this {
    return this.#change(key, null);
  }

  #change(key: KvKey, value: Uint8Array | null): this {
    this.#keys.push(key);
    this.#values.push(value);
    return this;
  }

  commit(): Promise<KvCommitResult> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(new TypeError(refusal));
    return this.#commit({
      checks: this.#checks.map((
        { key, stamp },
      ) => [bytesToText(key[0]), stamp]),
      changes: this.#keys.map(([key], i) => {
        const value = this.#values[i] as Uint8Array | null;
        return [bytesToText(key), value === null ? null : briefCopy(value)];
      }),
    });
  }

  /** Why Deno KV refuses the commit, or `undefined`. */
  #refusal(): string | undefined {
    for (const { key } of this.#checks) {
      const refusal = keyRefusal(key, "write");
      if (refusal !== undefined) return refusal;
    }
    const { valueBytesMax } = denoKvLimits;
    let keyBytes = 0;
    let valueBytes = 0;
    for (let i = 0; i < this.#keys.length; i++) {
      const bytes = encodedBytes((this.#keys[i] as KvKey)[0]);
      const refusal = refusalOf(bytes, "write");
      if (refusal !== undefined) return refusal;
      const length = this.#values[i]?.length ?? 0;
      if (length > valueBytesMax) {
        return `Value too large (max ${valueBytesMax} bytes)`;
      }
      keyBytes += bytes;
      valueBytes += length;
    }
    return this.#excess(keyBytes, valueBytes);
  }

  #excess(keyBytes: number, valueBytes: number): string | undefined {
    const { mutationsMax, commitBytesMax, commitKeyBytesMax } = denoKvLimits;
    if (this.#checks.length > CHECKS_MAX) {
      return `Too many checks (max ${CHECKS_MAX})`;
    }
    if (this.#keys.length > mutationsMax) {
      return `Too many mutations (max ${mutationsMax})`;
    }
    if (keyBytes + valueBytes > commitBytesMax) {
      return `Total mutation size too large (max ${commitBytesMax} bytes)`;
    }
    return keyBytes > commitKeyBytesMax
      ? `Total key size too large (max ${commitKeyBytesMax} bytes)`
      : undefined;
  }
}
