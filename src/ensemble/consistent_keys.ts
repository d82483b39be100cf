/**
 * Lists the keys of a consistent bucket, through the same interface as for any
 * other bucket (`coverage_page_codec.ts`): some ensembles at a time, each
 * through a member that has first made sure that it knows everything written.
 * The list is either complete or fails: a partition that nobody can answer for
 * is not left out.
 *
 *     coverage ──► page of up to eight partitions ──► more ──► page … last page
 *
 * If the ring is resized meanwhile, the list continues with the groups that
 * then have the keys, after the last key listed of each partition.
 *
 * @module
 */
import { compareBytes } from "../base/byte_order.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { COVERAGE_CALLER_IDLE_MS } from "../request/coverage_fsm.ts";
import {
  writePageReport,
  writePageStart,
  writePiece,
} from "../request/coverage_page_codec.ts";
import type { CoverageVnodeReport } from "../request/coverage_report.ts";
import {
  emptyOperationHeader,
  OperationKind,
  readOperationHeader,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import type { KeyTable } from "../ra_kv/key_table.ts";
import { bucketPrefix } from "../kv/key_limits.ts";
import { packKey } from "../kv/packed_keys.ts";
import { partitionOf } from "../ring/chash.ts";
import { firstVnodeOf } from "../ring/ring_generations.ts";
import { FirstKeys } from "./first_keys.ts";
import { sourcePartitions } from "./group_sources.ts";

/** Most concurrent listings on one node; another one is answered `overload`. */
export const LISTINGS_MAX = 100;
/** Partitions asked concurrently for one listing. */
export const LISTING_FAN_OUT = 8;
/** Bytes of keys of one partition in one page: 64 KiB. */
export const LISTING_CHUNK_BYTES: number = 64 * 1024;

/** Some keys of a partition. */
export interface KeyChunk {
  /** Name of the node whose member answered. */
  readonly node: string;
  /** Ascending, packed as by vnodes. */
  readonly keys: Uint8Array;
  /** The last key; undefined if there are no more. */
  readonly last: Uint8Array | undefined;
}

/** A ring whose groups have keys. */
export interface KeyRing {
  readonly generation: number;
  /** Number of partitions. */
  readonly size: number;
}

/** Dependencies of listings. */
export interface ConsistentKeysOptions {
  readonly runtime: Runtime;
  /** The ring used to find keys. */
  readonly ring: () => KeyRing;
  /** An unguessable number. */
  readonly newNumber: () => number;
  /**
   * Keys of `bucket` in the group of `vnode` after `after`, from a member that
   * knows everything written before this call.
   *
   * @throws {WhorlError} `moved` if groups of another ring have them; the last
   * failure if there is no answer by `deadlineMs`, on the clock of `runtime`.
   */
  readonly keysOf: (
    vnode: number,
    bucket: Uint8Array,
    after: Uint8Array,
    deadlineMs: number,
  ) => Promise<KeyChunk>;
}

/**
 * A group with keys of a partition of the ring as it was when the listing
 * began.
 */
interface Unlisted {
  /** Number of its part of the list, within which keys ascend. */
  readonly part: number;
  /** The partition of that ring. */
  readonly partition: number;
  /** The group's ring, and its partition in that. */
  readonly ring: KeyRing;
  readonly place: number;
  /**
   * Limits the keys to these partitions, which groups of former rings were
   * responsible for.
   */
  readonly within: readonly RingPlace[];
  readonly after: Uint8Array;
}

/** A partition in a ring of some size. */
interface RingPlace {
  readonly size: number;
  readonly partition: number;
}

interface Listing {
  readonly query: number;
  readonly bucket: Uint8Array;
  readonly ringSize: number;
  readonly deadlineMs: number;
  /** Groups that have not answered completely, with their last keys. */
  left: Unlisted[];
  /** Number of parts of the list so far. */
  parts: number;
  readonly asked: Map<number, string>;
  usedMs: number;
  busy: boolean;
}

const NOTHING = new Uint8Array(0);

/** The listings that this node serves; see the module comment. */
export class ConsistentKeys {
  readonly #options: ConsistentKeysOptions;
  readonly #listings = new Map<number, Listing>();

  constructor(options: ConsistentKeysOptions) {
    this.#options = options;
  }

  /** Whether the listing `query` is in progress here. */
  has(query: number): boolean {
    return this.#listings.has(query);
  }

  /** Handles an operation: starts, continues or abandons a listing. */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    const reader = new ByteReader(bytes, start, end);
    const header = emptyOperationHeader();
    readOperationHeader(reader, header);
    switch (header.kind) {
      case OperationKind.coverage: {
        reader.u32();
        const listing = this.#open(reader.rest().slice(), header.timeLeftMs);
        return void this.#page(listing, target);
      }
      case OperationKind.coverageMore: {
        const listing = this.#listings.get(reader.u53());
        if (listing === undefined || listing.busy) {
          throw new WhorlError(
            "protocol_error",
            "Cannot go on with a listing as there is none, or it is going on",
          );
        }
        return void this.#page(listing, target);
      }
      default:
        this.#listings.delete(reader.u53());
        target.operationDone({ object: undefined, replies: [], replicas: [] });
    }
  }

  #open(bucket: Uint8Array, timeLeftMs: number): Listing {
    const { runtime, newNumber } = this.#options;
    const now = runtime.now();
    for (const [query, { usedMs, busy }] of this.#listings) {
      // Its caller is gone.
      if (!busy && usedMs + COVERAGE_CALLER_IDLE_MS < now) {
        this.#listings.delete(query);
      }
    }
    if (this.#listings.size >= LISTINGS_MAX) {
      throw new WhorlError(
        "overload",
        `Cannot list keys as ${LISTINGS_MAX} listings are under way`,
      );
    }
    const ring = this.#options.ring();
    const listing: Listing = {
      query: newNumber(),
      bucket,
      ringSize: ring.size,
      deadlineMs: now + timeLeftMs,
      left: Array.from({ length: ring.size }, (_, partition) => ({
        part: partition,
        partition,
        ring,
        place: partition,
        within: [],
        after: NOTHING,
      })),
      parts: ring.size,
      asked: new Map(),
      usedMs: now,
      busy: false,
    };
    this.#listings.set(listing.query, listing);
    return listing;
  }

  async #page(listing: Listing, target: OperationTarget): Promise<void> {
    const { query, deadlineMs } = listing;
    const { runtime } = this.#options;
    listing.busy = true;
    let found: { readonly asked: Unlisted; readonly chunk: KeyChunk }[];
    try {
      found = await this.#ask(listing);
    } catch (error) {
      this.#listings.delete(query);
      return target.operationFailed(
        isWhorlError(error) ? error : new WhorlError(
          "internal",
          "Cannot list keys as a part of the node fell",
          { cause: error },
        ),
      );
    }
    listing.busy = false;
    listing.usedMs = runtime.now();
    const into = new ByteWriter(1024);
    writePageStart(
      into,
      query,
      Math.max(1, deadlineMs - runtime.now()),
      found.length,
    );
    const unfinished: Unlisted[] = [];
    for (const { asked, chunk: { node, keys, last } } of found) {
      const { partition } = asked;
      listing.asked.set(partition, node);
      const pieces = new ByteWriter(keys.length + 4);
      pieces.blob(keys);
      writePiece(
        into,
        { part: asked.part, repeats: undefined, partition, node },
        pieces.view(),
      );
      if (last !== undefined) unfinished.push({ ...asked, after: last });
    }
    listing.left = [...unfinished, ...listing.left.slice(found.length)];
    if (listing.left.length === 0) {
      this.#listings.delete(query);
      writePageReport(into, {
        complete: true,
        ringVersion: 0,
        ringSize: listing.ringSize,
        asked: [...listing.asked].map(([partition, node]) =>
          vnodeReport(partition, node)
        ),
        answered: Array.from({ length: listing.ringSize }, (_, at) => at),
        missing: [],
      });
    }
    target.operationDone({ object: into.copy(), replies: [], replicas: [] });
  }

  /** Asks the first remaining groups, which change once the ring is resized. */
  async #ask(
    listing: Listing,
  ): Promise<{ readonly asked: Unlisted; readonly chunk: KeyChunk }[]> {
    const { bucket, deadlineMs } = listing;
    const { keysOf, ring } = this.#options;
    for (;;) {
      // What a former ring's groups would answer may be gone with them.
      const now = ring();
      listing.left = listing.left.flatMap((one) =>
        one.ring.generation < now.generation
          ? followed(listing, one, now)
          : [one]
      );
      const asked = listing.left.slice(0, LISTING_FAN_OUT);
      const answers = await Promise.all(
        asked.map(async (one) => {
          const vnode = firstVnodeOf(one.ring.generation) + one.place;
          try {
            return keysWithin(
              await keysOf(vnode, bucket, one.after, deadlineMs),
              bucket,
              one,
            );
          } catch (error) {
            const moved = movedTo(error);
            if (moved === undefined) throw error;
            return moved;
          }
        }),
      );
      if (answers.every((answer) => "keys" in answer)) {
        return answers.map((chunk, at) => ({
          asked: asked[at] as Unlisted,
          chunk,
        }));
      }
      listing.left = [
        ...answers.flatMap((answer, at) => {
          const one = asked[at] as Unlisted;
          return "keys" in answer ? [one] : followed(listing, one, answer);
        }),
        ...listing.left.slice(asked.length),
      ];
    }
  }
}

/** The groups of `ring` that have the keys of `unlisted`. */
function followed(
  listing: Listing,
  unlisted: Unlisted,
  ring: KeyRing,
): Unlisted[] {
  const { place, ring: { size } } = unlisted;
  const within = [...unlisted.within, { size, partition: place }];
  return sourcePartitions(place, size, ring.size)
    .map((next) => ({
      ...unlisted,
      part: listing.parts++,
      ring,
      place: next,
      within,
    }));
}

/**
 * The ring that has the keys, from a failure that says so; undefined for any
 * other failure.
 */
function movedTo(error: unknown): KeyRing | undefined {
  if (!isWhorlError(error, "moved")) return undefined;
  const { generation, size } = error.details;
  return typeof generation === "number" && typeof size === "number"
    ? { generation, size }
    : undefined;
}

/**
 * The keys of `chunk` that belong to the listing: a group of a smaller ring has
 * others as well.
 */
function keysWithin(
  chunk: KeyChunk,
  bucket: Uint8Array,
  { within, ring }: Unlisted,
): KeyChunk {
  const larger = within.filter(({ size }) => size > ring.size);
  if (larger.length === 0) return chunk;
  const into = new ByteWriter(chunk.keys.length);
  const from = new ByteReader(chunk.keys);
  while (from.remaining > 0) {
    const key = from.raw(from.u16());
    const isMeant = larger.every(({ size, partition }) =>
      partitionOf(bucket, key, size) === partition
    );
    if (isMeant) packKey(into, key, 0, key.length);
  }
  return { ...chunk, keys: into.copy() };
}

function vnodeReport(partition: number, node: string): CoverageVnodeReport {
  return { partition, node, keySpaces: [partition], state: "answered" };
}

/**
 * The first keys of `bucket` in `table` after `after`, ascending: as many as a
 * page has room for.
 *
 * @param isThere Whether a record counts: it may have expired.
 */
export function keysInTable(
  table: KeyTable,
  bucket: Uint8Array,
  after: Uint8Array,
  isThere: (record: number) => boolean = () => true,
): { readonly keys: Uint8Array; readonly last: Uint8Array | undefined } {
  const prefix = bucketPrefix(bucket);
  const first = new FirstKeys(LISTING_CHUNK_BYTES, 2);
  for (let record = 0; record < table.recordEnd; record++) {
    if (!table.has(record) || !isThere(record)) continue;
    const storageKey = table.keyOf(record);
    if (!startsWith(storageKey, prefix)) continue;
    const key = storageKey.subarray(prefix.length);
    if (after.length > 0 && compareBytes(key, after) <= 0) continue;
    first.add(key);
  }
  const { keys, bytes, isCut } = first.page();
  const into = new ByteWriter(bytes + 64);
  // In the form used by vnodes, since clients need not know who answered.
  for (const key of keys) packKey(into, key, 0, key.length);
  return { keys: into.copy(), last: isCut ? keys.at(-1) : undefined };
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length > prefix.length &&
    prefix.every((byte, at) => bytes[at] === byte);
}
