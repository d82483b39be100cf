/**
 * Histories of `kv` as checkers read them: what clients put and got, and the
 * causal contexts that came with it, decoded to what they are, version vectors.
 *
 * A version has a dot, the n-th of an actor. A context covers a dot if it counts
 * at least so far for that actor. The dot of a write is not told to its client,
 * but the context that it gets is that of the object its coordinator made, in
 * which the new dot is the newest of its actor. It is not covered by the context
 * that the write was given, nor by any that was handed out before the write was
 * invoked, and it is no other write's. As a rule that leaves one candidate.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../base/errors.ts";
import {
  CONTEXT_ENTRY_BYTES,
  CONTEXT_HEADER_BYTES,
  contextFromText,
} from "../../kv/causal_context.ts";
import type { KvValue } from "../../kv/kv_client.ts";
import { ACTOR_BYTES, readU48 } from "../../kv/kv_object_codec.ts";
import type { OperationRecord } from "../history.ts";
import type { Violation } from "./violation.ts";

/** An operation of `kv` as it is recorded. */
export type KvInput =
  & {
    /** Whether fallbacks count. @default {"sloppy"} */
    readonly quorum?: "sloppy" | "strict" | undefined;
  }
  & (
    | { readonly type: "get" }
    | {
      readonly type: "put";
      readonly value: KvValue;
      /** The context that it was given, from an earlier operation on the same key. */
      readonly context?: string | undefined;
    }
    | { readonly type: "delete"; readonly context?: string | undefined }
  );

/** What a read found; a `KvGetResult` is one. */
export interface KvRead {
  /** None, one, or several if writes were concurrent. */
  readonly values: readonly KvValue[];
  /** What was seen; `null` if the key was never written. */
  readonly context: string | null;
}

/** What a write or a delete came to; a `KvPutResult` is one. */
export interface KvWritten {
  /** Covers this write and what it stands beside. */
  readonly context: string;
  /** Values the key then had. */
  readonly siblings: number;
}

/** What an operation of `kv` gave. */
export type KvOutput = KvRead | KvWritten;

/** An operation of `kv` and what came of it. */
export type KvRecord = OperationRecord<KvInput, KvOutput>;

/** Dots known, by actor: all from the first to so many. Actors are numbered within a key. */
export type Known = readonly number[];

/** One version of a key. */
export interface Dot {
  /** Number of the actor within its key. */
  readonly actor: number;
  /** Which of its versions, from 1. */
  readonly counter: number;
}

/** A put or delete that may have happened. */
export interface KvWrite {
  /** Its id in the history. */
  readonly id: number;
  /** Who made it. */
  readonly client: string;
  /** The operation. */
  readonly record: KvRecord;
  /** What it wrote, as text that is equal for equal values; `undefined` for a delete. */
  readonly value: string | undefined;
  /** Whether it certainly was done; else that is not known. */
  readonly acknowledged: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` while it has not returned. */
  readonly returnedAtMs: number;
  /** What its context covered. */
  readonly replaced: Known;
  /** What its client was told that the key holds; `undefined` unless acknowledged. */
  readonly after: Known | undefined;
  /** Covers nothing that this write made: what it replaced, and every context handed out before it. */
  readonly before: Known;
  /** What its acknowledged dot can be; none unless acknowledged. */
  candidates: readonly Dot[];
}

/** What a key held as somebody saw it. */
export interface KvSight {
  /** The operation, or `undefined` for the final read. */
  readonly record: KvRecord | undefined;
  /** `Infinity` for the final read. */
  readonly invokedAtMs: number;
  /** `Infinity` for the final read. */
  readonly returnedAtMs: number;
  /** Values, with how often each was there. */
  readonly values: ReadonlyMap<string, number>;
  /** What its context covers. */
  readonly known: Known;
}

/** All that is known of one key. */
export interface KvKeyHistory {
  /** As the history names it. */
  readonly key: string;
  /** By invocation. */
  readonly writes: readonly KvWrite[];
  /** Reads, and writes whose answer tells all that the key holds, by return; the final read last. */
  readonly sights: readonly KvSight[];
  /** The final read, if there is one. */
  readonly finalSight: KvSight | undefined;
  /** Puts that certainly did not happen, by value. */
  readonly failed: ReadonlyMap<string, KvRecord>;
}

/** Whether `known` covers `dot`. */
export function covers(known: Known, dot: Dot): boolean {
  return (known[dot.actor] ?? 0) >= dot.counter;
}

/** Whether `known` covers all that `other` does. */
export function coversAll(known: Known, other: Known): boolean {
  for (let actor = 0; actor < other.length; actor++) {
    if ((known[actor] ?? 0) < (other[actor] as number)) return false;
  }
  return true;
}

/** Adds what `other` covers to `known`, in place. */
export function learn(known: number[], other: Known): void {
  for (let actor = 0; actor < other.length; actor++) {
    known[actor] = Math.max(known[actor] ?? 0, other[actor] as number);
  }
}

/** Whether `sight` knows the dot that was acknowledged to the writer, as far as can be told. */
export function knowsAcknowledged(write: KvWrite, sight: KvSight): boolean {
  return write.candidates.some((dot) => covers(sight.known, dot));
}

/** A sight in words, for messages. */
export function sightInWords({ record }: KvSight): string {
  if (record === undefined) return "the final read";
  const { id, client, input, returnedAtMs } = record;
  return `operation ${id}, a ${input.type} of ${client} until ${returnedAtMs} ms,`;
}

/** The operations that a sight is of: one, or none for the final read. */
export function operationsOf({ record }: KvSight): number[] {
  return record === undefined ? [] : [record.id];
}

/** A value as text; equal for equal values. */
export function kvValueText(value: KvValue): string {
  return value instanceof Uint8Array
    ? `bytes ${value.toBase64()}`
    : JSON.stringify(value);
}

/**
 * Reads the records of one key. Contexts that cannot be read, and answers whose
 * contexts cannot be right, are added to `violations`.
 *
 * @throws {TypeError} If an operation is `ok` and has no output.
 */
export function readKeyHistory(
  key: string,
  records: readonly KvRecord[],
  finalRead: KvRead | undefined,
  violations: Violation[],
): KvKeyHistory {
  const reader = new KeyReader(key, violations);
  for (const record of records) reader.add(record);
  return reader.finish(finalRead);
}

/** The writes to a key, and what reads that are not in its history know of them. */
export interface KeyWrites {
  /** By invocation. */
  readonly writes: readonly KvWrite[];
  /** What `read` knows, which was made when all was over. */
  knownTo(read: KvRead): Known;
}

/**
 * Reads the writes to one key. What is wrong with contexts is told by
 * {@linkcode readKeyHistory}.
 *
 * @throws {TypeError} If an operation is `ok` and has no output.
 */
export function readKeyWrites(
  key: string,
  records: readonly KvRecord[],
): KeyWrites {
  const reader = new KeyReader(key, []);
  for (const record of records) reader.add(record);
  const { writes } = reader.finish(undefined);
  return { writes, knownTo: (read) => reader.knownTo(read) };
}

class KeyReader {
  readonly #key: string;
  readonly #violations: Violation[];
  readonly #actors = new Map<string, number>();
  readonly #decoded = new Map<string, Known>();
  readonly #records: KvRecord[] = [];
  readonly #failed = new Map<string, KvRecord>();

  constructor(key: string, violations: Violation[]) {
    this.#key = key;
    this.#violations = violations;
  }

  add(record: KvRecord): void {
    const { id, input, outcome, output } = record;
    if (outcome === "ok" && output === undefined) {
      throw new TypeError(
        `Cannot check operation ${id} as one that is ok must have an output: current value is undefined`,
      );
    }
    if (outcome !== "failed") this.#records.push(record);
    else if (input.type === "put") {
      this.#failed.set(kvValueText(input.value), record);
    }
  }

  finish(finalRead: KvRead | undefined): KvKeyHistory {
    const writes: KvWrite[] = [];
    const sights: KvSight[] = [];
    const returned = this.#records
      .filter(({ outcome }) => outcome === "ok")
      .sort((a, b) => (a.returnedAtMs as number) - (b.returnedAtMs as number));
    let heard = 0;
    let handedOut: Known = [];
    this.#records.sort((a, b) => a.invokedAtMs - b.invokedAtMs || a.id - b.id);
    for (const record of this.#records) {
      const { input, output, outcome, invokedAtMs } = record;
      while (
        heard < returned.length &&
        (returned[heard]!.returnedAtMs as number) < invokedAtMs
      ) {
        const { id, output } = returned[heard++] as KvRecord;
        handedOut = joined(handedOut, this.#read(output!.context, id));
      }
      if (input.type === "get") {
        if (outcome === "ok") sights.push(this.#sight(record));
        continue;
      }
      const replaced = this.#read(input.context, record.id);
      const after = outcome === "ok"
        ? this.#read(output!.context, record.id)
        : undefined;
      const write: KvWrite = {
        id: record.id,
        client: record.client,
        record,
        value: input.type === "put" ? kvValueText(input.value) : undefined,
        acknowledged: outcome === "ok",
        invokedAtMs,
        returnedAtMs: record.returnedAtMs ?? Infinity,
        replaced,
        after,
        before: joined(handedOut, replaced),
        candidates: [],
      };
      write.candidates = this.#candidates(write);
      writes.push(write);
      const sight = sightOfWrite(write);
      if (sight !== undefined) sights.push(sight);
    }
    this.#attribute(writes);
    sights.sort((a, b) => a.returnedAtMs - b.returnedAtMs);
    const finalSight = finalRead === undefined ? undefined : {
      record: undefined,
      invokedAtMs: Infinity,
      returnedAtMs: Infinity,
      values: countValues(finalRead.values),
      known: this.#read(finalRead.context, undefined),
    };
    if (finalSight !== undefined) sights.push(finalSight);
    return {
      key: this.#key,
      writes,
      sights,
      finalSight,
      failed: this.#failed,
    };
  }

  knownTo({ context }: KvRead): Known {
    return this.#read(context, undefined);
  }

  #sight(record: KvRecord): KvSight {
    const { values, context } = record.output as KvRead;
    return {
      record,
      invokedAtMs: record.invokedAtMs,
      returnedAtMs: record.returnedAtMs as number,
      values: countValues(values),
      known: this.#read(context, record.id),
    };
  }

  /** What a context covers. */
  #read(
    context: string | null | undefined,
    operation: number | undefined,
  ): Known {
    if (context === null || context === undefined) return [];
    const before = this.#decoded.get(context);
    if (before !== undefined) return before;
    const known: number[] = [];
    try {
      const bytes = contextFromText(context);
      for (
        let at = CONTEXT_HEADER_BYTES;
        at < bytes.length;
        at += CONTEXT_ENTRY_BYTES
      ) {
        const name = bytes.subarray(at, at + ACTOR_BYTES).toHex();
        let actor = this.#actors.get(name);
        if (actor === undefined) {
          actor = this.#actors.size;
          this.#actors.set(name, actor);
        }
        known[actor] = readU48(bytes, at + ACTOR_BYTES);
      }
      for (let i = 0; i < known.length; i++) known[i] ??= 0;
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      this.#report(
        `Key ${JSON.stringify(this.#key)} has a context that cannot be read: ${
          reasonOf(error)
        }`,
        operation === undefined ? [] : [operation],
      );
    }
    this.#decoded.set(context, known);
    return known;
  }

  /** The newest dots that an acknowledged write was told of, without those that were there before. */
  #candidates({ id, after, replaced, before }: KvWrite): Dot[] {
    if (after === undefined) return [];
    if (!coversAll(after, replaced)) {
      this.#report(
        `Operation ${id} on key ${
          JSON.stringify(this.#key)
        } got a context that does not cover the one it was given`,
        [id],
      );
    }
    const candidates: Dot[] = [];
    for (let actor = 0; actor < after.length; actor++) {
      const dot = { actor, counter: after[actor] as number };
      if (dot.counter > 0 && !covers(before, dot)) candidates.push(dot);
    }
    if (candidates.length === 0) {
      this.#report(
        `Operation ${id} on key ${
          JSON.stringify(this.#key)
        } was acknowledged with a context in which nothing is new: its version has no dot of its own`,
        [id],
      );
    }
    return candidates;
  }

  /** A dot that can only be one write's is no other's. */
  #attribute(writes: readonly KvWrite[]): void {
    const owners = new Map<string, KvWrite>();
    const pending = writes.filter(({ candidates }) => candidates.length === 1);
    for (let write = pending.pop(); write; write = pending.pop()) {
      const [dot] = write.candidates as [Dot];
      const owner = owners.get(nameOf(dot));
      if (owner !== undefined) {
        this.#report(
          `Operations ${owner.id} and ${write.id} on key ${
            JSON.stringify(this.#key)
          } were acknowledged with the same dot, number ${dot.counter} of one actor`,
          [owner.id, write.id],
        );
        continue;
      }
      owners.set(nameOf(dot), write);
      for (const other of writes) {
        if (other === write || other.candidates.length < 2) continue;
        const left = other.candidates.filter((candidate) =>
          nameOf(candidate) !== nameOf(dot)
        );
        if (left.length === other.candidates.length) continue;
        other.candidates = left;
        if (left.length === 1) pending.push(other);
      }
    }
  }

  #report(message: string, operations: readonly number[]): void {
    this.#violations.push({
      check: "kv_context",
      message,
      key: this.#key,
      operations,
    });
  }
}

function nameOf({ actor, counter }: Dot): string {
  return `${actor} ${counter}`;
}

function joined(a: Known, b: Known): Known {
  if (coversAll(a, b)) return a;
  const join = [...a];
  learn(join, b);
  return join;
}

function countValues(values: readonly KvValue[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) {
    const text = kvValueText(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

/** What the answer to a write tells of the key, if that is all it holds: the value alone, or nothing. */
function sightOfWrite(write: KvWrite): KvSight | undefined {
  const { record, value, after } = write;
  if (after === undefined) return undefined;
  const { siblings } = record.output as KvWritten;
  const own = value === undefined ? 0 : 1;
  if (siblings !== own) return undefined;
  return {
    record,
    invokedAtMs: record.invokedAtMs,
    returnedAtMs: record.returnedAtMs as number,
    values: new Map(value === undefined ? [] : [[value, 1]]),
    known: after,
  };
}
