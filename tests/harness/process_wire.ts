/**
 * What a test and a node process say to each other, one JSON text a line.
 *
 * @module
 */
import {
  type ErrorCode,
  isWhorlError,
  WhorlError,
} from "../../src/base/errors.ts";
import type { PlainEvent } from "./event_log.ts";
import type { NodeControl } from "./test_node.ts";

/** What the test sends. */
export type ToNodeProcess =
  | {
    readonly type: "call";
    readonly id: number;
    readonly method: keyof NodeControl;
    readonly args: readonly unknown[];
  }
  | { readonly type: "stop" };

/** A failure as it travels. */
export interface PlainFailure {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What the process sends. */
export type FromNodeProcess =
  | { readonly type: "up"; readonly address: string }
  | { readonly type: "not_started"; readonly failure: PlainFailure }
  | { readonly type: "answer"; readonly id: number; readonly value: unknown }
  | {
    readonly type: "failure";
    readonly id: number;
    readonly failure: PlainFailure;
  }
  | { readonly type: "event"; readonly event: PlainEvent };

/** A failure as plain data. */
export function plainFailure(error: unknown): PlainFailure {
  return isWhorlError(error)
    ? { code: error.code, message: error.message, details: error.details }
    : { code: "internal", message: Deno.inspect(error), details: {} };
}

/** The failure it was. */
export function failureOf(failure: PlainFailure): WhorlError {
  return new WhorlError(failure.code as ErrorCode, failure.message, {
    details: { ...failure.details },
  });
}

/** How a process ends whose node could not go on. */
export const NODE_GAVE_UP = 70;
