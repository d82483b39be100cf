/**
 * The commands that reach a vnode as part of a handoff, after the items: the
 * source has handled them already. They are handled in order, between the
 * commands of callers, and their answers are dropped.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import type { BoundHandler, CommandTable } from "./command_table.ts";
import { HandoffEntry } from "./handoff_codec.ts";
import type { HandoffSource } from "./handoff_source.ts";
import { answersLater, type VnodeCall } from "./vnode.ts";

/** Time that a forwarded command has, in milliseconds. */
const FORWARDED_COMMAND_MS = 60_000;

/** What forwarded commands need from their vnode. */
export interface ForwardedCommandsHost {
  readonly partition: number;
  /** Whether a handler is busy, so that the next command has to wait. */
  isBusy(): boolean;
  /** The handoff from this vnode, if there is one, to which commands are forwarded again. */
  follows(): HandoffSource | undefined;
  /** A handler is busy from now on. */
  begin(): void;
  /** It has finished. */
  free(): void;
  crash(error: unknown): void;
}

/** A command that waits for a busy handler; each transfer has one at most. */
interface WaitingCommand {
  perform(): void;
  reject(error: Error): void;
}

/** The forwarded commands of one vnode. */
export class ForwardedCommands {
  readonly #host: ForwardedCommandsHost;
  readonly #moduleName: string;
  readonly #table: CommandTable;
  readonly #handlers: readonly BoundHandler[];
  readonly #reader = new ByteReader(NO_BYTES);
  #waiting: WaitingCommand[] = [];
  #closed = false;

  constructor(
    host: ForwardedCommandsHost,
    moduleName: string,
    table: CommandTable,
    handlers: readonly BoundHandler[],
  ) {
    this.#host = host;
    this.#moduleName = moduleName;
    this.#table = table;
    this.#handlers = handlers;
  }

  /**
   * Runs a command once no handler is busy; rejects if its handler fails, which
   * crashes the vnode.
   *
   * @throws If the vnode has no such command, or it cannot be read.
   */
  run(command: number, body: Uint8Array): Promise<void> {
    const declaration = this.#table.declarations[command];
    const handler = this.#handlers[command];
    if (declaration === undefined || handler === undefined) {
      throw new WhorlError(
        "unknown_command",
        `Cannot run command ${command} of a handoff as '${this.#moduleName}' has ${this.#table.names.length}`,
      );
    }
    this.#reader.reset(body, 0, body.length);
    const request = declaration.request.decode(this.#reader);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const perform = (): void => {
      this.#host.follows()?.forward(
        HandoffEntry.command,
        command,
        body.slice(),
        () => {},
      );
      this.#perform(handler, request, resolve, reject);
    };
    if (this.#closed) {
      reject(
        new WhorlError("vnode_crashed", "The vnode has stopped", {
          details: { partition: this.#host.partition },
        }),
      );
    } else if (this.#host.isBusy()) this.#waiting.push({ perform, reject });
    else perform();
    return promise;
  }

  #perform(
    handler: BoundHandler,
    request: unknown,
    resolve: () => void,
    reject: (error: unknown) => void,
  ): void {
    const failed = (error: unknown): void => {
      reject(error);
      this.#host.crash(error);
    };
    // The answer is dropped: the caller gets that of the source.
    const call: VnodeCall = {
      timeLeftMs: FORWARDED_COMMAND_MS,
      accepted: () => {},
      reply: () => resolve(),
      fail: () => resolve(),
      reject: () => resolve(),
    };
    let result: unknown;
    try {
      result = handler(request, call);
    } catch (error) {
      failed(error);
      return;
    }
    if (result instanceof Promise) {
      this.#host.begin();
      result.then((value) => {
        if (value !== answersLater) resolve();
        if (!this.#closed) this.#host.free();
      }, failed);
    } else if (result !== answersLater) resolve();
  }

  /** Runs commands that wait, while no handler is busy. */
  runWaiting(): void {
    while (!this.#host.isBusy() && this.#waiting.length > 0) {
      this.#waiting.shift()?.perform();
    }
  }

  /** Runs no more commands; those that wait fail with `vnode_crashed`. */
  close(message: string): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) {
      reject(
        new WhorlError("vnode_crashed", message, {
          details: { partition: this.#host.partition },
        }),
      );
    }
  }
}
