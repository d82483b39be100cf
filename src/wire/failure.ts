/**
 * Failures as they travel: MessagePack `[code, message, details]`.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, isWhorlError, WhorlError } from "../base/errors.ts";
import { decodeMsgpack, writeMsgpack } from "./msgpack.ts";

/** Appends a failure; details that cannot travel are left behind. */
export function writeFailure(into: ByteWriter, error: WhorlError): void {
  try {
    writeMsgpack([error.code, error.message, error.details], into);
  } catch (unsendable) {
    if (!isWhorlError(unsendable, "invalid_argument")) throw unsendable;
    writeMsgpack([error.code, error.message, {}], into);
  }
}

/** Reads a failure that travelled here; bytes that are none read as a `protocol_error`. */
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
