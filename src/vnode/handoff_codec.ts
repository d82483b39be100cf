/**
 * What stands in the body of a vnode request that is part of a handoff
 * (`RequestFlag.handoff`), and in the answers to it. The node that hands off asks
 * its own vnode, the _source_, and passes what that answers on to the vnode that
 * is to have the data, the _target_. Everything about one transfer bears the
 * number its manager drew for it.
 *
 * To the source:
 *
 *     open     u8 1 · u53 transfer · u8 mode · u16 target partition · text target node
 *              · u16 key spaces, or 0xffff for all · u16 each
 *              · if it is a spread: u16 ring size · u16 its first vnode
 *     next     u8 2 · u53 transfer · u53 last batch acknowledged · u8 1 to repeat what follows it
 *     acked    u8 3 · u53 transfer · u53 last batch acknowledged
 *     switch   u8 4 · u53 transfer
 *     finish   u8 5 · u53 transfer · u8 outcome · text new owner
 *              · if it is released: u53 term · u53 version of the ring's decision
 *     vouch    u8 6 · u53 transfer, of a spread
 *
 *     answer to next    u8 state · u53 items · u53 bytes · u32 hash · u53 total · batch
 *
 * To the target:
 *
 *     offer    u8 16 · u53 transfer
 *     batch    u8 17 · u53 transfer · batch
 *     final    u8 18 · u53 transfer · u53 items · u32 hash
 *     spread   u8 19 · u53 transfer · batch
 *
 *     answer to offer   u53 last batch it has
 *
 *     batch    u53 number · u32 CRC-32 of what follows · u32 entries
 *              · entries, each u8 kind (0 an item, 1 a command) · u8 command · u32 length · bytes
 *
 * Partitions are named by the numbers of their vnodes. A spread has many targets:
 * what its source says is in `handoff_spread.ts`, and each of its batches is taken
 * for itself.
 *
 * Batches of a transfer are numbered from 1. `items`, `bytes` and `hash` count
 * all up to and including the batch; the hash is made of the batches' checksums
 * in their order. `total` is 2^53 - 1 while nobody has counted.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { KeySpaces } from "./vnode.ts";

/** What a source and a target can be asked to do. */
export const HandoffAction = {
  open: 1,
  next: 2,
  acked: 3,
  switch: 4,
  finish: 5,
  vouch: 6,
  offer: 16,
  batch: 17,
  final: 18,
  spread: 19,
} as const;

/** Whether an action is one for the target of a transfer, which comes from another node. */
export function isTargetAction(action: number | undefined): boolean {
  return action !== undefined && action >= HandoffAction.offer;
}

/** Whether an action is the first of a transfer to or from a vnode. */
export function beginsHandoff(action: number | undefined): boolean {
  return action === HandoffAction.open || action === HandoffAction.offer ||
    action === HandoffAction.spread;
}

/** What becomes of the source when everything has arrived. */
export const HandoffMode = {
  /** It gives the partition up. */
  move: 0,
  /** It keeps what it has: the target only lacked it. */
  copy: 1,
  /** As `move`, but what it has goes to the vnodes of a ring of another size. */
  spread: 2,
} as const;

/** How a transfer ends at its source. */
export const HandoffOutcome = {
  /** The target has everything and takes over: commands are refused with its name. */
  released: 0,
  /** The target has everything, and what is here is removed. */
  removed: 1,
  /** The target has everything, and what is here stays. */
  copied: 2,
  /** It ends without having been finished. */
  abandoned: 3,
} as const;

/** What a source says of what it may yet have to send. */
export const HandoffProgress = {
  /** There is more. */
  more: 0,
  /** So little is left, or nothing, that the vnode may stand still for it. */
  nearlyAll: 1,
  /** Nothing is ready, and more will come. */
  waiting: 2,
} as const;

/** What an entry of a batch is. */
export const HandoffEntry = { item: 0, command: 1 } as const;

/** Value of `total` while nobody has counted. */
export const TOTAL_UNKNOWN: number = Number.MAX_SAFE_INTEGER;
const ALL_KEY_SPACES = 0xffff;
const KEY_SPACES_MAX = 4096;
/** Bytes of an entry before its content. */
export const ENTRY_HEADER_BYTES = 6;
/** Bytes of a batch before its entries. */
export const BATCH_HEADER_BYTES = 16;

/** The ring that a vnode spreads its data over. */
export interface HandoffSpread {
  /** Its partitions. */
  readonly ringSize: number;
  /** Number of the vnode of its partition 0. */
  readonly firstVnode: number;
}

/** Where a transfer goes, as its source is told. */
export interface HandoffOpening {
  readonly transfer: number;
  readonly mode: number;
  readonly target: { readonly node: string; readonly partition: number };
  /** What part of the data; `null` for all. */
  readonly keySpaces: KeySpaces;
  /** The ring it goes to, if its mode is to spread. */
  readonly spread?: HandoffSpread;
}

/** Begins a transfer at its source. */
export function writeHandoffOpen(
  into: ByteWriter,
  { transfer, mode, target, keySpaces, spread }: HandoffOpening,
): void {
  into.u8(HandoffAction.open);
  into.u53(transfer);
  into.u8(mode);
  into.u16(target.partition);
  into.text(target.node);
  into.u16(keySpaces === null ? ALL_KEY_SPACES : keySpaces.size);
  for (const keySpace of keySpaces ?? []) into.u16(keySpace);
  if (spread === undefined) return;
  into.u16(spread.ringSize);
  into.u16(spread.firstVnode);
}

/** Asks a source for a batch; with `repeat` for those after `acked` once more. */
export function writeHandoffNext(
  into: ByteWriter,
  transfer: number,
  acked: number,
  repeat: boolean,
): void {
  into.u8(HandoffAction.next);
  into.u53(transfer);
  into.u53(acked);
  into.u8(repeat ? 1 : 0);
}

/** Tells a source that the target has all up to batch `acked`. */
export function writeHandoffAcked(
  into: ByteWriter,
  transfer: number,
  acked: number,
): void {
  into.u8(HandoffAction.acked);
  into.u53(transfer);
  into.u53(acked);
}

/** Has a source stand still. */
export function writeHandoffSwitch(into: ByteWriter, transfer: number): void {
  into.u8(HandoffAction.switch);
  into.u53(transfer);
}

/** Asks the source of a spread to answer once its targets have all that was acknowledged, and writes are held. */
export function writeHandoffVouch(into: ByteWriter, transfer: number): void {
  into.u8(HandoffAction.vouch);
  into.u53(transfer);
}

/** The ownership version of the ring in which a transfer was decided. */
export interface HandoffDecision {
  readonly term: number;
  readonly version: number;
}

/** The decision of a transfer that no ring has decided. */
const UNDECIDED: HandoffDecision = { term: 0, version: 0 };

/** Ends a transfer at its source; `decided` counts if the source is released. */
export function writeHandoffFinish(
  into: ByteWriter,
  transfer: number,
  outcome: number,
  owner: string,
  { term, version }: HandoffDecision = UNDECIDED,
): void {
  into.u8(HandoffAction.finish);
  into.u53(transfer);
  into.u8(outcome);
  into.text(owner);
  if (outcome !== HandoffOutcome.released) return;
  into.u53(term);
  into.u53(version);
}

/** Asks a target what it has of a transfer. */
export function writeHandoffOffer(into: ByteWriter, transfer: number): void {
  into.u8(HandoffAction.offer);
  into.u53(transfer);
}

/** Begins to hand a batch to a target; what the source said of it follows, from {@linkcode HandoffBatchHead.at} on. */
export function writeHandoffBatch(into: ByteWriter, transfer: number): void {
  into.u8(HandoffAction.batch);
  into.u53(transfer);
}

/** Begins to hand a batch to one of the targets of a spread; it follows. */
export function writeHandoffSpread(into: ByteWriter, transfer: number): void {
  into.u8(HandoffAction.spread);
  into.u53(transfer);
}

/** Asks a target whether it has everything. */
export function writeHandoffFinal(
  into: ByteWriter,
  transfer: number,
  items: number,
  hash: number,
): void {
  into.u8(HandoffAction.final);
  into.u53(transfer);
  into.u53(items);
  into.u32(hash);
}

/** How a transfer ends at its source, as that is told. */
export interface HandoffFinish {
  readonly action: typeof HandoffAction.finish;
  readonly transfer: number;
  readonly outcome: number;
  readonly owner: string;
  /** Counts if the outcome is `released`. */
  readonly decided: HandoffDecision;
}

/** What a vnode is asked to do for a handoff. */
export type HandoffRequest =
  | { readonly action: typeof HandoffAction.open } & HandoffOpening
  | {
    readonly action: typeof HandoffAction.next;
    readonly transfer: number;
    readonly acked: number;
    readonly repeat: boolean;
  }
  | {
    readonly action: typeof HandoffAction.acked;
    readonly transfer: number;
    readonly acked: number;
  }
  | {
    readonly action:
      | typeof HandoffAction.switch
      | typeof HandoffAction.vouch
      | typeof HandoffAction.offer
      /** The batch stands where the reader stands. */
      | typeof HandoffAction.batch
      /** Likewise. */
      | typeof HandoffAction.spread;
    readonly transfer: number;
  }
  | HandoffFinish
  | {
    readonly action: typeof HandoffAction.final;
    readonly transfer: number;
    readonly items: number;
    readonly hash: number;
  };

/** Reads what a vnode is asked to do. @throws {WhorlError} `protocol_error` */
export function readHandoffRequest(from: ByteReader): HandoffRequest {
  const action = from.u8();
  const transfer = from.u53();
  switch (action) {
    case HandoffAction.open: {
      const mode = from.u8();
      const partition = from.u16();
      const node = from.text();
      const count = from.u16();
      let keySpaces: Set<number> | null = null;
      if (count !== ALL_KEY_SPACES) {
        if (count > KEY_SPACES_MAX) break;
        keySpaces = new Set();
        for (let left = count; left > 0; left--) keySpaces.add(from.u16());
      }
      if (mode > HandoffMode.spread) break;
      return {
        action,
        transfer,
        mode,
        target: { node, partition },
        keySpaces,
        ...mode === HandoffMode.spread
          ? { spread: { ringSize: from.u16(), firstVnode: from.u16() } }
          : {},
      };
    }
    case HandoffAction.next:
      return {
        action,
        transfer,
        acked: from.u53(),
        repeat: from.u8() === 1,
      };
    case HandoffAction.acked:
      return { action, transfer, acked: from.u53() };
    case HandoffAction.finish: {
      const outcome = from.u8();
      if (outcome > HandoffOutcome.abandoned) break;
      const owner = from.text();
      const decided = outcome === HandoffOutcome.released
        ? { term: from.u53(), version: from.u53() }
        : UNDECIDED;
      return { action, transfer, outcome, owner, decided };
    }
    case HandoffAction.final:
      return { action, transfer, items: from.u53(), hash: from.u32() };
    case HandoffAction.switch:
    case HandoffAction.vouch:
    case HandoffAction.offer:
    case HandoffAction.batch:
    case HandoffAction.spread:
      return { action, transfer };
  }
  throw new WhorlError(
    "protocol_error",
    `Cannot read what to do for a handoff: action ${action}`,
  );
}

/** What a source says with a batch. */
export interface HandoffBatchHead {
  readonly progress: number;
  /** Items, and bytes of them, up to and including this batch. */
  readonly items: number;
  readonly bytes: number;
  readonly hash: number;
  /** Items there are, or {@linkcode TOTAL_UNKNOWN}. */
  readonly total: number;
  /** Number of the batch; that of the last one if this one is empty. */
  readonly number: number;
  /** Entries in it. */
  readonly entries: number;
  /** Where the batch begins. */
  readonly at: number;
}

/** Appends what a source says before a batch. */
export function writeBatchHead(
  into: ByteWriter,
  head: Omit<HandoffBatchHead, "number" | "entries" | "at">,
): void {
  into.u8(head.progress);
  into.u53(head.items);
  into.u53(head.bytes);
  into.u32(head.hash);
  into.u53(head.total);
}

/** Reads what a source says with a batch. @throws {WhorlError} `protocol_error` */
export function readBatchHead(from: ByteReader): HandoffBatchHead {
  const progress = from.u8();
  const items = from.u53();
  const bytes = from.u53();
  const hash = from.u32();
  const total = from.u53();
  const at = from.offset;
  const number = from.u53();
  from.u32();
  const entries = from.u32();
  return { progress, items, bytes, hash, total, number, entries, at };
}

/** Begins a batch in `into`, which holds nothing else; seal it with {@linkcode sealBatch}. */
export function beginBatch(into: ByteWriter): void {
  into.clear();
  into.u53(0);
  into.u32(0);
  into.u32(0);
}

/** Appends an entry. */
export function appendEntry(
  into: ByteWriter,
  kind: number,
  command: number,
  content: Uint8Array,
): void {
  into.u8(kind);
  into.u8(command);
  into.blob(content);
}

/** Ends the batch in `into` and returns its checksum. */
export function sealBatch(
  into: ByteWriter,
  number: number,
  entries: number,
): number {
  const length = into.length;
  into.setU32(12, entries);
  const checksum = crc32(into.bytes.subarray(12, length));
  into.length = 0;
  into.u53(number);
  into.u32(checksum);
  into.length = length;
  return checksum;
}

/** A batch as its target reads it. */
export interface HandoffBatch {
  readonly number: number;
  readonly checksum: number;
  readonly entries: readonly {
    readonly kind: number;
    readonly command: number;
    /** A view into the message. */
    readonly content: Uint8Array;
  }[];
}

/** Reads a batch. @throws {WhorlError} `protocol_error` if it was damaged. */
export function readBatch(from: ByteReader): HandoffBatch {
  const number = from.u53();
  const checksum = from.u32();
  if (crc32(from.bytes.subarray(from.offset, from.end)) !== checksum) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take batch ${number} of a handoff as its bytes do not match their checksum`,
    );
  }
  const count = from.u32();
  const entries: HandoffBatch["entries"][number][] = [];
  for (let left = count; left > 0; left--) {
    const kind = from.u8();
    if (kind > HandoffEntry.command) {
      throw new WhorlError(
        "protocol_error",
        `Cannot take batch ${number} of a handoff with an entry of kind ${kind}`,
      );
    }
    entries.push({ kind, command: from.u8(), content: from.blob() });
  }
  if (from.remaining > 0) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take batch ${number} of a handoff as ${from.remaining} bytes follow its entries`,
    );
  }
  return { number, checksum, entries };
}

/** The hash of all batches up to one with `checksum`, from that of those before it. */
export function nextHash(hash: number, checksum: number): number {
  return (Math.imul(hash, 31) + checksum) >>> 0;
}
