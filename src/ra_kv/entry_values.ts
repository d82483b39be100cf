/**
 * The values in an entry of the log, checked against their hashes.
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

/** The value of a key in its entry. */
interface FoundValue {
  readonly value: Uint8Array;
  /** The hash stored with it. */
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
      // If a batch changes a key twice, the last change counts.
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
 * A view of the stored value of `key` in `entry`.
 *
 * @param hash The hash it must have.
 * @throws {WhorlError} `value_corrupt` if the entry has no such value, or its
 * hash differs.
 */
export function valueInEntry(
  entry: RaftEntry,
  key: Uint8Array,
  hash: number,
): Uint8Array {
  const found = findValue(entry, key);
  if (found === undefined) {
    throw corrupt(entry.index, "the entry has no such value");
  }
  if (valueHash(found.value) !== hash) {
    throw corrupt(entry.index, "its hash differs");
  }
  return found.value;
}

/**
 * The value that `entry` put under `key`; undefined if it did not put the key,
 * or deleted it again.
 *
 * @throws {WhorlError} `value_corrupt` if the value does not match its hash.
 */
export function valuePutBy(
  entry: RaftEntry,
  key: Uint8Array,
): Uint8Array | undefined {
  const found = findValue(entry, key);
  return found === undefined ? undefined : valueInEntry(entry, key, found.hash);
}

/**
 * @throws {WhorlError} `value_corrupt` if a value in `command` does not match
 * its hash, `protocol_error` or `invalid_key` if it is not a change of keys.
 */
export function checkCommand(command: Uint8Array): void {
  if (command[0] as number >= RaKvOp.end) {
    throw new WhorlError(
      "protocol_error",
      `Cannot carry out command ${command[0]} as an operation on keys`,
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
      "Cannot store a value as its hash differs: it was damaged in transit",
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
