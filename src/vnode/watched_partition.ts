/**
 * The storage of a vnode, with what handoffs need: it reports written keys
 * while a handoff asks for them, since those are sent again; lets another part
 * decide when a write counts as durable; writes received items in bulk; and
 * remembers the keys that were sent, so that their removal needs no search for
 * them.
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

/**
 * Number of sent keys that are remembered, at about 50 bytes each; further ones
 * are searched for when they are removed.
 */
const SENT_KEYS_MAX = 250_000;

const IN_BULK: StoreWriteOptions = { inBulk: true };
const ONE_BY_ONE: StoreWriteOptions = { inBulk: false };

/** Calls `committed`, at once or later, but after those of earlier writes; with the error if the write has `failed`. */
export type TellDurable = (committed: () => void, failed: boolean) => void;

/** The storage of one vnode; see the module comment. */
export class WatchedPartition implements VnodeStorage {
  /** Called with the writes before they are applied. */
  watch: ((writes: readonly StoreWrite[]) => void) | undefined;
  /**
   * Called with the writes before they are applied; may return a function that
   * decides when they are reported as durable.
   */
  hold:
    | ((writes: readonly StoreWrite[]) => TellDurable | undefined)
    | undefined;
  readonly #store: PartitionStore;
  #inBulk = false;
  /** Sent keys, in order, as texts. */
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
    // Not async, so that the write is applied before this returns, in bulk if
    // wanted.
    return new Promise((resolve, reject) =>
      this.write(
        writes,
        (error) => error === undefined ? resolve() : reject(error),
      )
    );
  }

  /**
   * Runs `act` and applies its writes in bulk, as they are part of many in key
   * order.
   */
  inBulk<T>(act: () => T): T {
    this.#inBulk = true;
    try {
      return act();
    } finally {
      this.#inBulk = false;
    }
  }

  /** The item under `key` is being sent; it will be removed once all have been. */
  noteSent(key: Uint8Array): void {
    if (this.#sent.length < SENT_KEYS_MAX) this.#sent.push(bytesToText(key));
  }

  /** Forgets which keys were sent: they will not be removed. */
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
