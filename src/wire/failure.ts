/**
 * Failures on the wire: MessagePack `[code, message, details]`.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, isWhorlError, WhorlError } from "../base/errors.ts";
import { decodeMsgpack, wellFormed, writeMsgpack } from "./msgpack.ts";

/** Longest message of a failure that is sent, in characters. */
const MESSAGE_LENGTH_MAX = 4_000;
/** Largest details of a failure that are sent, in bytes. */
const DETAILS_BYTES_MAX = 256 * 1024;

/** A failure to send: an error or just its fields, because constructing an `Error` is expensive. */
export type Failure = Pick<WhorlError, "code" | "message" | "details">;

/** Appends a failure; a long message is cut, and details that cannot be encoded are left out. */
export function writeFailure(into: ByteWriter, error: Failure): void {
  // The cut may split a surrogate pair, and a message may quote text that is
  // not well-formed.
  const message = error.message.slice(0, MESSAGE_LENGTH_MAX).toWellFormed();
  const start = into.length;
  try {
    writeMsgpack([error.code, message, wellFormed(error.details)], into);
    if (into.length - start <= DETAILS_BYTES_MAX) {
      // Details can be anything, and the receiver refuses what is not plain
      // data. The cheap check goes first, since an overloaded node sends
      // thousands of failures a second.
      if (!isPlain(error.details, 0)) {
        decodeMsgpack(into.view().subarray(start));
      }
      return;
    }
  } catch (unsendable) {
    if (!isWhorlError(unsendable)) throw unsendable;
  }
  into.length = start;
  writeMsgpack([error.code, message, {}], into);
}

/**
 * How deep the check goes into details: those of a failure may contain the
 * failures of replicas, whose details are flat.
 */
const PLAIN_DEPTH_MAX = 3;

/** Whether `value` contains only what is certain to be accepted. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isSafeInteger(value);
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth === PLAIN_DEPTH_MAX) return false;
  if (Array.isArray(value)) {
    return value.every((one) => isPlain(one, depth + 1));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const [name, one] of Object.entries(value)) {
    if (name === "__proto__" || !isPlain(one, depth + 1)) return false;
  }
  return true;
}

/** Reads a failure that was received; bytes that do not hold one give a `protocol_error`. */
export function readFailure(bytes: Uint8Array): WhorlError {
  let message: unknown;
  try {
    message = decodeMsgpack(bytes.slice());
  } catch (cause) {
    return unreadable(cause);
  }
  if (
    !Array.isArray(message) || typeof message[0] !== "string" ||
    typeof message[1] !== "string"
  ) return unreadable(undefined);
  const details = message[2];
  return new WhorlError(message[0] as ErrorCode, message[1], {
    details: typeof details === "object" && details !== null
      ? details as Record<string, unknown>
      : {},
  });
}

function unreadable(cause: unknown): WhorlError {
  return new WhorlError(
    "protocol_error",
    "Cannot read a failure that another process sent",
    cause === undefined ? {} : { cause },
  );
}
