/**
 * How a client of `ra_kv` builds an operation and submits it.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  type OperationCarrier,
  submitOperation,
} from "../request/operation_carrier.ts";
import { NotFoundError } from "./not_found_error.ts";
import type { RaKvOptions } from "./ra_kv_api.ts";
import { beginOperation } from "./ra_kv_codec.ts";

/** Default timeout of an operation, in milliseconds. */
export const TIMEOUT_MS = 5_000;
/** Memory the scratch buffer may keep. */
const SCRATCH_BYTES_KEPT = 1024 * 1024;
/**
 * Shared by all clients of a thread: an operation is written and handed on
 * without interruption.
 */
let scratch = new ByteWriter(1024);

/** Builds an operation, submits it, and converts its answer to a result. */
export function submit<Result>(
  carrier: () => OperationCarrier,
  cluster: string,
  operation: number,
  options: RaKvOptions | undefined,
  writeBody: (into: ByteWriter) => void,
  resultOf: (object: Uint8Array | undefined) => Result,
): Promise<Result> {
  try {
    scratch.clear();
    beginOperation(scratch, operation, cluster, checkedTimeout(options));
    writeBody(scratch);
    return submitOperation(
      carrier(),
      scratch,
      options?.signal,
      ({ object }) => resultOf(object),
      named,
    );
  } catch (error) {
    return Promise.reject(error);
  } finally {
    if (scratch.bytes.length > SCRATCH_BYTES_KEPT) {
      scratch = new ByteWriter(1024);
    }
  }
}

function checkedTimeout(options: RaKvOptions | undefined): number {
  const timeoutMs = options?.timeoutMs ?? TIMEOUT_MS;
  if (
    Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs < 2 ** 31
  ) return timeoutMs;
  throw new WhorlError(
    "invalid_argument",
    `Cannot take 'timeoutMs' as it must be a whole number from 1 to ${
      2 ** 31 - 1
    }: it is ${timeoutMs}`,
  );
}

function named(error: WhorlError): WhorlError {
  return error.code === "not_found" ? new NotFoundError(error) : error;
}
