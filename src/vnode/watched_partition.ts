/**
 * The storage of a vnode, as the handoffs to and from it need it: it tells which
 * keys are written while somebody wants to know, as those are sent again; lets
 * somebody else tell when a write counts as durable; writes what comes by handoff
 * in bulk; and remembers the keys that were sent, which
 * need not be looked for when they are removed.
 *
 * @module
 */
import { bytesToText, textToBytes } from "../base/byte_text.ts";
import type {
  Awaitable,
  IntegrityReport,
  PartitionStore,
  RowSteps,
  RowView,
  ScanEntry,
  ScanRange,
  StoreWrite,
  StoreWriteOptions,
} from "../environment/storage.ts";
import type { VnodeStorage } from "./vnode.ts";

/** Keys that are remembered, of about 50 bytes each; further ones are looked for when they are removed. */
const SENT_KEYS_MAX = 250_000;

const IN_BULK: StoreWriteOptions = { inBulk: true };
const ONE_BY_ONE: StoreWriteOptions = { inBulk: false };

/** Calls `committed`, at once or later; after those of earlier writes. It has `failed`, or the write is durable. */
export type TellDurable = (committed: () => void, failed: boolean) => void;

/** The store of a vnode's partition; see the module's text. */
export class WatchedPartition implements VnodeStorage {
  /** Called with what is about to be written. */
  watch: ((writes: readonly StoreWrite[]) => void) | undefined;
  /** Called with what is about to be written; may return who is to tell when that is durable, instead of this. */
  hold:
    | ((writes: readonly StoreWrite[]) => TellDurable | undefined)
    | undefined;
  readonly #store: PartitionStore;
  #inBulk = false;
  /** Keys that were sent, in their order, as texts. */
  #sent: string[] = [];

  constructor(store: PartitionStore) {
    this.#store = store;
  }

  get partition(): number {
    return this.#store.partition;
  }

  get(key: Uint8Array): Awaitable<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
  ): void {
    this.watch?.(writes);
    const tell = this.hold?.(writes);
    this.#store.write(
      writes,
      tell === undefined
        ? committed
        : (error) => tell(() => committed(error), error !== undefined),
      this.#inBulk ? IN_BULK : ONE_BY_ONE,
    );
  }

  /** See {@linkcode VnodeStorage.commit}. */
  commit(writes: readonly StoreWrite[]): Promise<void> {
    // Not async: it is written before this returns, in bulk if that is wanted.
    return new Promise((resolve, reject) =>
      this.write(
        writes,
        (error) => error === undefined ? resolve() : reject(error),
      )
    );
  }

  /** Does `act`, whose writes are some of many in the order of their keys. */
  inBulk<T>(act: () => T): T {
    this.#inBulk = true;
    try {
      return act();
    } finally {
      this.#inBulk = false;
    }
  }

  /** An item that is stored under `key` is being sent, to be removed once all are. */
  noteSent(key: Uint8Array): void {
    if (this.#sent.length < SENT_KEYS_MAX) this.#sent.push(bytesToText(key));
  }

  /** Nothing that was sent will be removed. */
  forgetSent(): void {
    this.#sent = [];
  }

  scan(range?: ScanRange): AsyncIterable<ScanEntry> {
    return this.#store.scan(range);
  }

  rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    return this.#store.rows(range, visit);
  }

  deleteRange(start?: Uint8Array, end?: Uint8Array): Promise<void> {
    const all = start === undefined && end === undefined;
    const sent = all ? this.#sent : [];
    this.#sent = [];
    return this.#store.deleteRange(start, end, bytesOf(sent));
  }

  count(): Promise<number> {
    return this.#store.count();
  }

  integrity(): Promise<IntegrityReport> {
    return this.#store.integrity();
  }
}

function* bytesOf(texts: readonly string[]): Generator<Uint8Array> {
  for (const text of texts) yield textToBytes(text);
}
