/**
 * Histories of `kv` as checkers read them: what clients put and got, with the
 * causal contexts decoded to version vectors.
 *
 * A version has a dot: an actor and a counter. A context covers a dot if its
 * counter for that actor is at least as high. The client of a write is not told
 * its dot, but gets the context of the object that its coordinator made, in
 * which the new dot is the newest of its actor. That dot is not covered by the
 * context passed to the write, nor by any context returned before the write was
 * invoked, and it belongs to no other write. Usually that leaves one candidate.
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

/** An operation of `kv` as recorded. */
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
      /**
       * The context it was given, from an earlier operation on the same key.
       */
      readonly context?: string | undefined;
    }
    | { readonly type: "delete"; readonly context?: string | undefined }
  );

/** The result of a read; a `KvGetResult` is one. */
export interface KvRead {
  /** None, one, or several if writes were concurrent. */
  readonly values: readonly KvValue[];
  /** The context of what was read; `null` if the key was never written. */
  readonly context: string | null;
}

/** The result of a put or a delete; a `KvPutResult` is one. */
export interface KvWritten {
  /** Covers this write and its siblings. */
  readonly context: string;
  /** Number of values the key had after it. */
  readonly siblings: number;
}

/** The result of an operation of `kv`. */
export type KvOutput = KvRead | KvWritten;

/** An operation of `kv` with its result. */
export type KvRecord = OperationRecord<KvInput, KvOutput>;

/**
 * Known dots, as the highest counter of each actor. Actors are numbered within
 * a key.
 */
export type Known = readonly number[];

/** One version of a key. */
export interface Dot {
  /** Number of the actor within its key. */
  readonly actor: number;
  /** The counter, from 1. */
  readonly counter: number;
}

/** A put or delete that may have happened. */
export interface KvWrite {
  /** Its id in the history. */
  readonly id: number;
  /** The client that made it. */
  readonly client: string;
  /** The operation. */
  readonly record: KvRecord;
  /**
   * What it wrote, as text that is equal for equal values; `undefined` for a
   * delete.
   */
  readonly value: string | undefined;
  /** Whether it certainly happened; otherwise that is unknown. */
  readonly acknowledged: boolean;
  /** When its client began it. */
  readonly invokedAtMs: number;
  /** `Infinity` while it has not returned. */
  readonly returnedAtMs: number;
  /** What its context covered. */
  readonly replaced: Known;
  /**
   * What its client was told the key knows; `undefined` unless acknowledged.
   */
  readonly after: Known | undefined;
  /**
   * Dots that cannot be this write's: what it replaced, and every context
   * returned before it.
   */
  readonly before: Known;
  /** Candidates for its acknowledged dot; none unless acknowledged. */
  candidates: readonly Dot[];
}

/** What somebody saw of a key. */
export interface KvSight {
  /** The operation, or `undefined` for the final read. */
  readonly record: KvRecord | undefined;
  /** `Infinity` for the final read. */
  readonly invokedAtMs: number;
  /** `Infinity` for the final read. */
  readonly returnedAtMs: number;
  /** Values, each with how often it was there. */
  readonly values: ReadonlyMap<string, number>;
  /** What its context covers. */
  readonly known: Known;
}

/** Everything known about one key. */
export interface KvKeyHistory {
  /** As the history names it. */
  readonly key: string;
  /** By invocation. */
  readonly writes: readonly KvWrite[];
  /**
   * Reads, and writes whose answer shows everything the key holds, by return;
   * the final read last.
   */
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

/** Whether `known` covers everything in `other`. */
export function coversAll(known: Known, other: Known): boolean {
  for (let actor = 0; actor < other.length; actor++) {
    if ((known[actor] ?? 0) < (other[actor] as number)) return false;
  }
  return true;
}

/** Adds everything in `other` to `known`, in place. */
export function learn(known: number[], other: Known): void {
  for (let actor = 0; actor < other.length; actor++) {
    known[actor] = Math.max(known[actor] ?? 0, other[actor] as number);
  }
}

/** Whether `sight` certainly knows the dot that the writer was acknowledged. */
export function knowsAcknowledged(write: KvWrite, sight: KvSight): boolean {
  return write.candidates.some((dot) => covers(sight.known, dot));
}

/** A sight in words, for messages. */
export function sightInWords({ record }: KvSight): string {
  if (record === undefined) return "the final read";
  const { id, client, input, returnedAtMs } = record;
  return `operation ${id}, a ${input.type} of ${client} until ${returnedAtMs} ms,`;
}

/** The operation of a sight: one id, or none for the final read. */
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
 * Reads the records of one key. Unreadable contexts, and answers whose contexts
 * cannot be right, are added to `violations`.
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

/** The writes to a key, and what reads outside its history know of them. */
export interface KeyWrites {
  /** By invocation. */
  readonly writes: readonly KvWrite[];
  /** What `read`, made after the whole history, knows. */
  knownTo(read: KvRead): Known;
}

/**
 * Reads the writes to one key. Broken contexts are reported by {@linkcode
 * readKeyHistory}.
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

  /**
   * The newest dots that an acknowledged write was told of, minus those that
   * existed before.
   */
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

  /** A dot that one write must have belongs to no other. */
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

/**
 * What the answer to a write shows of the key if it is complete: the value
 * alone, or nothing.
 */
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
