/**
 * The protocol between a parent and its child program, besides messages of the
 * application. The same for all placements; only the transport differs.
 *
 * @module
 */
import type { ExitReason, SerializedError } from "./exit_reason.ts";

/** From the parent. Each `beat` is answered with a `pong`. */
export type ToProgram =
  | {
    readonly type: "start";
    readonly module: string;
    readonly name: string;
    readonly args: unknown;
  }
  | { readonly type: "ping"; readonly beat: number }
  | {
    readonly type: "stop";
    readonly beat: number;
    readonly reason: ExitReason;
  };

/** From the program. */
export type FromProgram =
  | { readonly type: "ready" }
  | { readonly type: "start_failed"; readonly error: SerializedError }
  | { readonly type: "pong"; readonly beat: number }
  /** The last thing it says. */
  | { readonly type: "exit"; readonly reason: ExitReason };
