/**
 * The values that an entry of the log holds, and whether they are still what was
 * put.
 *
 * @module
 */
import { equalsRange } from "../base/byte_order.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type RaftEntry,
} from "../raft/raft_entry.ts";
import { emptyChange, RaKvOp, visitChanges } from "./ra_kv_command_codec.ts";
import { valueHash } from "./ra_kv_value.ts";

const reader = new ByteReader(new Uint8Array(0));
const change = emptyChange();

/** Where the value of a key is in its entry. */
interface FoundValue {
  readonly value: Uint8Array;
  /** What its hash should be. */
  readonly hash: number;
}

function findValue(
  { index, body }: RaftEntry,
  key: Uint8Array,
): FoundValue | undefined {
  if (body[0] !== EntryKind.command) return undefined;
  let found: FoundValue | undefined;
  reader.reset(body, ENTRY_HEADER_BYTES, body.length);
  try {
    visitChanges(reader, change, (at) => {
      // Of a batch that changes a key twice the last change counts.
      if (!equalsRange(key, body, at.keyStart, at.keyEnd)) return;
      found = at.op === RaKvOp.put
        ? { value: body.subarray(at.valueStart, at.valueEnd), hash: at.hash }
        : undefined;
    });
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    throw corrupt(index, error.message);
  }
  return found;
}

/**
 * The value of `key` in `entry`, as it is kept, as a view.
 *
 * @param hash What its hash must be.
 * @throws {WhorlError} `value_corrupt` if the entry has no such value, or another hash.
 */
export function valueInEntry(
  entry: RaftEntry,
  key: Uint8Array,
  hash: number,
): Uint8Array {
  const found = findValue(entry, key);
  if (found === undefined) throw corrupt(entry.index, "the entry has none");
  if (valueHash(found.value) !== hash) {
    throw corrupt(entry.index, "its hash is another");
  }
  return found.value;
}

/**
 * The value that `entry` has put under `key`; undefined if it has put none, or
 * has deleted it again.
 *
 * @throws {WhorlError} `value_corrupt` if it is not what its hash says.
 */
export function valuePutBy(
  entry: RaftEntry,
  key: Uint8Array,
): Uint8Array | undefined {
  const found = findValue(entry, key);
  return found === undefined ? undefined : valueInEntry(entry, key, found.hash);
}

/** @throws {WhorlError} `value_corrupt` if a value of `command` is not what its hash says, `protocol_error` or `invalid_key` if it is no change. */
export function checkCommand(command: Uint8Array): void {
  if (command[0] as number >= RaKvOp.end) {
    throw new WhorlError(
      "protocol_error",
      `Cannot carry out command ${command[0]} by an operation on keys`,
    );
  }
  reader.reset(command, 0, command.length);
  visitChanges(reader, change, ({ op, hash, valueStart, valueEnd }) => {
    if (
      op !== RaKvOp.put || valueHash(command, valueStart, valueEnd) === hash
    ) {
      return;
    }
    throw new WhorlError(
      "value_corrupt",
      "Cannot store a value as its hash is another: it was damaged on its way",
    );
  });
}

function corrupt(index: number, reason: string): WhorlError {
  return new WhorlError(
    "value_corrupt",
    `Cannot read the value in the entry at ${index}: ${reason}`,
    { details: { index } },
  );
}
