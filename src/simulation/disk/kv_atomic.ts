/**
 * Gathers a commit for a simulated database, within the limits of Deno KV and
 * with its words where they are exceeded: a store that fills its commits too
 * full is found out in a simulation as well.
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

/** Bytes of a key as Deno KV encodes it: a zero byte takes two, and so do the ends. */
function encodedBytes(key: Uint8Array): number {
  let bytes = key.length + 2;
  for (let i = 0; i < key.length; i++) if (key[i] === 0) bytes++;
  return bytes;
}

/** Why Deno KV refuses that key, or `undefined`. */
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
  // What is read is a range that ends one byte behind the key.
  const max = use === "read" ? keyBytesMax + 1 : keyBytesMax;
  return `Key too large for ${use} (max ${max} bytes)`;
}

/** A commit being put together. */
export class GatheredCommit implements KvAtomicOperation {
  readonly #checks: [string, string | null][] = [];
  readonly #changes: [string, Uint8Array<ArrayBuffer> | null][] = [];
  readonly #commit: (commit: DatabaseCommit) => Promise<KvCommitResult>;
  #keyBytes = 0;
  #valueBytes = 0;
  #refusal: string | undefined;

  /** @param commit Carries it out. */
  constructor(commit: (commit: DatabaseCommit) => Promise<KvCommitResult>) {
    this.#commit = commit;
  }

  check(
    { key, versionstamp }: {
      readonly key: KvKey;
      readonly versionstamp: string | null;
    },
  ): this {
    this.#refusal ??= keyRefusal(key, "write");
    this.#checks.push([bytesToText(key[0]), versionstamp]);
    return this;
  }

  set(key: KvKey, value: Uint8Array): this {
    const max = denoKvLimits.valueBytesMax;
    if (value.length > max) {
      this.#refusal ??= `Value too large (max ${max} bytes)`;
    }
    this.#change(key, briefCopy(value));
    this.#valueBytes += value.length;
    return this;
  }

  delete(key: KvKey): this {
    this.#change(key, null);
    return this;
  }

  #change([key]: KvKey, value: Uint8Array<ArrayBuffer> | null): void {
    const bytes = encodedBytes(key);
    this.#refusal ??= refusalOf(bytes, "write");
    this.#changes.push([bytesToText(key), value]);
    this.#keyBytes += bytes;
  }

  commit(): Promise<KvCommitResult> {
    const refusal = this.#refusal ?? this.#excess();
    if (refusal !== undefined) return Promise.reject(new TypeError(refusal));
    return this.#commit({ checks: this.#checks, changes: this.#changes });
  }

  #excess(): string | undefined {
    const { mutationsMax, commitBytesMax, commitKeyBytesMax } = denoKvLimits;
    if (this.#checks.length > CHECKS_MAX) {
      return `Too many checks (max ${CHECKS_MAX})`;
    }
    if (this.#changes.length > mutationsMax) {
      return `Too many mutations (max ${mutationsMax})`;
    }
    if (this.#keyBytes + this.#valueBytes > commitBytesMax) {
      return `Total mutation size too large (max ${commitBytesMax} bytes)`;
    }
    return this.#keyBytes > commitKeyBytesMax
      ? `Total key size too large (max ${commitKeyBytesMax} bytes)`
      : undefined;
  }
}
