/**
 * The callers' side of calls to a process: a promise for each, with its
 * deadline, that is settled once.
 *
 * @module
 */
import type { Child } from "./child.ts";
import { type ExitReason, formatReason, RemoteError } from "./exit_reason.ts";
import {
  CALL_TIMEOUT_MS_DEFAULT,
  type CallOptions,
  type ReplyTo,
} from "./reply_to.ts";
import type { Runtime } from "./runtime.ts";
import { SupervisorError } from "./supervisor_error.ts";

/** Calls of one process that have not been answered. */
export class OpenCalls {
  readonly #name: string;
  readonly #runtime: Runtime;
  readonly #open = new Set<{ exited(reason: ExitReason): void }>();

  /** @param owner Whose exit answers all of them. */
  constructor(owner: Child & { readonly name: string }, runtime: Runtime) {
    this.#name = owner.name;
    this.#runtime = runtime;
    owner.onExit((reason) => {
      for (const call of this.#open) call.exited(reason);
    });
  }

  /**
   * Makes a call. `deliver` hands it to the process and answers whether there
   * was room.
   *
   * @throws {SupervisorError} `timeout`, `overload`, or `exited` if the process
   * ends first; the promise rejects with it.
   */
  call<Reply>(
    deliver: (from: ReplyTo<Reply>) => boolean,
    options: CallOptions,
  ): Promise<Reply> {
    const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS_DEFAULT;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const open = this.#open;
    const settle = (): boolean => {
      if (!call.pending) return false;
      call.pending = false;
      open.delete(call);
      this.#runtime.clearTimer(timer);
      return true;
    };
    const call = {
      pending: true,
      reply(value: Reply): void {
        if (settle()) resolve(value);
      },
      fail(error: Error): void {
        if (settle()) reject(error);
      },
      exited: (reason: ExitReason): void => {
        call.fail(this.#exited(reason));
      },
    };
    const timer = this.#runtime.setTimer(
      timeoutMs,
      () =>
        call.fail(
          new SupervisorError(
            "timeout",
            `Cannot wait longer for an answer of '${this.#name}': the limit is ${timeoutMs} ms`,
            { details: { process: this.#name, timeoutMs } },
          ),
        ),
    );
    open.add(call);
    if (!deliver(call)) {
      call.fail(
        new SupervisorError(
          "overload",
          `Cannot call '${this.#name}' as its mailbox is full`,
          { details: { process: this.#name } },
        ),
      );
    }
    return promise;
  }

  /** The rejection of a call to a process that had ended before. */
  noproc(): SupervisorError {
    return new SupervisorError(
      "noproc",
      `Cannot call '${this.#name}' as it has ended`,
      { details: { process: this.#name } },
    );
  }

  #exited(reason: ExitReason): SupervisorError {
    const cause = typeof reason === "object" && reason.type === "crash"
      ? new RemoteError(reason.error)
      : undefined;
    return new SupervisorError(
      "exited",
      `Cannot get an answer of '${this.#name}' as it ended: ${
        formatReason(reason)
      }`,
      {
        details: { process: this.#name, reason },
        ...(cause === undefined ? {} : { cause }),
      },
    );
  }
}
