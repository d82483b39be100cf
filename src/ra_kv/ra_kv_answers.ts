/**
 * Turns the bytes with which operations of `ra_kv` are answered into what an
 * application gets.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import { keyText } from "../kv/key_limits.ts";
import { ENTRY_HEADER_BYTES, EntryKind } from "../raft/raft_entry.ts";
import type { RaKvChange, RaKvEntry, RaKvFound } from "./ra_kv_api.ts";
import {
  type GroupNames,
  readGetAnswer,
  readGroupNames,
  readWriteAnswer,
  type WriteAnswer,
} from "./ra_kv_codec.ts";
import { emptyChange, RaKvOp, visitChanges } from "./ra_kv_command_codec.ts";
import { mayHoldBytes, type RaKvValue, readValue } from "./ra_kv_value.ts";

/** The result of a write. */
export function writtenOf(object: Uint8Array | undefined): WriteAnswer {
  return readWriteAnswer(new ByteReader(present(object)));
}

/** The result of a get. */
export function foundOf(object: Uint8Array | undefined): RaKvFound {
  const answer = readGetAnswer(new ByteReader(present(object)));
  const { leader, members } = namesOf(answer.group);
  return {
    value: answer.found ? valueOf(answer.value) : undefined,
    index: answer.index,
    term: answer.term,
    expiresAtMs: answer.expiresAtMs === 0 ? undefined : answer.expiresAtMs,
    members,
    leader,
  };
}

let lastGroup: Uint8Array = new Uint8Array(0);
let lastNames: GroupNames = { leader: undefined, members: [] };

/** Decodes the names once: reads of one cluster carry the same ones again and again. */
function namesOf(group: Uint8Array): GroupNames {
  if (!equalBytes(group, lastGroup)) {
    lastNames = readGroupNames(new ByteReader(group));
    lastGroup = group.slice();
  }
  return lastNames;
}

/**
 * A value that keeps no other memory alive: answers are cut from slabs, and
 * byte values in them are views.
 */
export function valueOf(bytes: Uint8Array): RaKvValue {
  return readValue(mayHoldBytes(bytes) ? bytes.slice() : bytes);
}

/** The entry that was asked for. */
export function entryOf(object: Uint8Array | undefined): RaKvEntry | undefined {
  if (object === undefined) return undefined;
  const from = new ByteReader(object);
  const index = from.u48();
  const term = from.u48();
  const kind = from.u8();
  const timeMs = from.u48();
  const changes: RaKvChange[] = [];
  const entry = { index, term, timeMs, changes };
  if (kind === EntryKind.noop) return { ...entry, kind: "noop" };
  if (kind === EntryKind.membership) return { ...entry, kind: "membership" };
  const op = object[12 + ENTRY_HEADER_BYTES];
  if (op === RaKvOp.sweep) return { ...entry, kind: "sweep" };
  if (op === RaKvOp.end) return { ...entry, kind: "end" };
  if (op === RaKvOp.shut) return { ...entry, kind: "shut" };
  if (op === RaKvOp.seal) return { ...entry, kind: "seal" };
  visitChanges(from, emptyChange(), (change) => {
    const key = keyText(object.subarray(change.keyStart, change.keyEnd));
    const ifIndex = change.ifIndex < 0 ? {} : { ifIndex: change.ifIndex };
    if (change.op === RaKvOp.delete) {
      changes.push({ type: "delete", key, ...ifIndex });
      return;
    }
    changes.push({
      type: "put",
      key,
      value: valueOf(object.subarray(change.valueStart, change.valueEnd)),
      ...ifIndex,
      ...change.ttlMs === 0 ? {} : { ttlMs: change.ttlMs },
    });
  });
  return { ...entry, kind: "change" };
}

/** The content of an answer that must have one. @throws {WhorlError} `protocol_error`. */
export function present(object: Uint8Array | undefined): Uint8Array {
  if (object !== undefined) return object;
  throw new WhorlError(
    "protocol_error",
    "Cannot tell the result of an operation: the answer has no content",
  );
}
