/**
 * The command handlers of one vnode. A command is decoded and passed to its
 * handler, whose result is the answer, unless the handler answers later
 * (`pending_calls.ts`). The next command waits while a handler is _busy_, that
 * is, while the promise it returned is pending.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import {
  type BoundHandler,
  type CommandTable,
  handlersOf,
} from "./command_table.ts";
import { ForwardedCommands } from "./forwarded_commands.ts";
import { forwardingOf } from "./forwarding.ts";
import { HandoffEntry } from "./handoff_codec.ts";
import type { HandoffSource } from "./handoff_source.ts";
import type { PendingCall } from "./pending_call.ts";
import { PendingCalls } from "./pending_calls.ts";
import { answersLater, type Vnode } from "./vnode.ts";
import type { VnodeAnswers } from "./vnode_answers.ts";
import type { VnodeCounts } from "./vnode_host.ts";
import { RequestFlag } from "./vnode_wire.ts";

/** What the handlers of a vnode need from it. */
export interface VnodeHandlersHost {
  readonly partition: number;
  readonly moduleName: string;
  /** The module's commands by wire number. */
  readonly table: CommandTable;
  readonly answers: VnodeAnswers;
  readonly counts: VnodeCounts;
  /** Monotonic milliseconds. */
  now(): number;
  /** A call has been promised an answer: call `giveUpOverdue` from time to time. */
  requestsInHand(): void;
  /** The transfer from this vnode that its writes follow, if there is one. */
  follows(): HandoffSource | undefined;
  /** No handler is busy any more: the next command can be handled. */
  free(): void;
  /** A handler has failed, so the vnode crashes. */
  crash(error: unknown): void;
}

/** The handlers of one vnode, from its start to its end. */
export class VnodeHandlers {
  readonly #host: VnodeHandlersHost;
  readonly #calls: PendingCalls;
  readonly #reader = new ByteReader(NO_BYTES);
  #vnode: Vnode | undefined;
  #handlers: readonly BoundHandler[] = [];
  #forwarded: ForwardedCommands | undefined;
  #busy = true;
  #closed = false;
  /** Called once no handler is running. */
  readonly #untilQuiet = new Set<() => void>();

  constructor(host: VnodeHandlersHost) {
    this.#host = host;
    this.#calls = new PendingCalls({
      answers: host.answers,
      counts: host.counts,
      now: () => host.now(),
      requestsInHand: () => host.requestsInHand(),
      callsChanged: () => this.#tellQuiet(),
    });
  }

  /** Takes over the handlers of `vnode`. @throws If one is missing. */
  use(vnode: Vnode): void {
    const { moduleName, table } = this.#host;
    this.#vnode = vnode;
    this.#handlers = handlersOf<BoundHandler>(
      moduleName,
      "command",
      table.names,
      vnode.handleCommand,
    );
    this.#forwarded = new ForwardedCommands(
      {
        partition: this.#host.partition,
        isBusy: () => this.#busy,
        follows: () => this.#host.follows(),
        begin: () => {
          this.#busy = true;
        },
        free: () => this.#free(),
        crash: (error) => this.#host.crash(error),
      },
      moduleName,
      table,
      this.#handlers,
    );
  }

  /** Commands can be handled from now on. */
  open(): void {
    this.#busy = false;
  }

  /** Whether the next command has to wait: a handler is busy, or the vnode is not open. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Calls that were promised an answer. */
  get promised(): number {
    return this.#calls.size;
  }

  /** Calls that were given up although their handlers have not finished. */
  get abandoned(): number {
    return this.#calls.abandoned;
  }

  /** Handles one command, whose body is `bytes[start, end)`. */
  handle(
    correlation: number,
    command: number,
    flags: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { moduleName, table, answers, counts } = this.#host;
    const declaration = table.declarations[command];
    const handler = this.#handlers[command];
    if (declaration === undefined || handler === undefined) {
      answers.fail(
        correlation,
        "unknown_command",
        `Cannot run command ${command} as '${moduleName}' has ${table.names.length}`,
      );
      return;
    }
    let request: unknown;
    try {
      this.#reader.reset(bytes, start, end);
      request = declaration.request.decode(this.#reader);
    } catch (error) {
      counts.failed++;
      answers.failWith(correlation, error, "protocol_error");
      return;
    }
    const follows = this.#host.follows();
    const forwards = follows !== undefined && forwardingOf(
      this.#vnode as Vnode,
      this.#host.partition,
      follows,
      table.names[command] as string,
      request,
    );
    if (forwards instanceof WhorlError) {
      counts.refused++;
      answers.failWith(correlation, forwards, forwards.code);
      return;
    }
    const call = this.#calls.begin(
      declaration,
      correlation,
      deadline,
      (flags & RequestFlag.wantsAccepted) !== 0,
      forwards,
    );
    this.#run(handler, request, call);
    if (forwards && !this.#closed) {
      follows?.forward(
        HandoffEntry.command,
        command,
        bytes.slice(start, end),
        () => call.targetHas(),
      );
    }
  }

  /** Runs the handler of `call`, and answers with what it returns or will. */
  #run(handler: BoundHandler, request: unknown, call: PendingCall): void {
    let result: unknown;
    this.#calls.handling = call;
    try {
      result = handler(request, call);
    } catch (error) {
      this.#crash(call, error);
      return;
    } finally {
      this.#calls.handling = undefined;
    }
    // The handler has ended its own vnode, and its caller has been answered.
    if (this.#closed) return;
    if (result === answersLater) {
      if (!call.settled) this.#calls.promise(call);
    } else if (result instanceof Promise) {
      this.#busy = true;
      if (!call.settled) this.#calls.promise(call);
      result.then((value) => {
        if (this.#closed) return;
        if (value !== answersLater) call.reply(value);
        this.#free();
      }, (error) => this.#crash(call, error));
    } else {
      call.reply(result);
      if (!call.settled) this.#calls.promise(call);
    }
  }

  /** Runs a command that came with a handoff; see {@linkcode ForwardedCommands.run}. */
  runForwarded(command: number, body: Uint8Array): Promise<void> {
    invariant(this.#forwarded !== undefined, "handoffs come after the start");
    return this.#forwarded.run(command, body);
  }

  /** Calls `callback` once no handler is running, unless the returned function is called before. */
  whenQuiet(callback: () => void): () => void {
    this.#untilQuiet.add(callback);
    this.#tellQuiet();
    return () => void this.#untilQuiet.delete(callback);
  }

  #tellQuiet(): void {
    if (this.#untilQuiet.size === 0 || !this.#isQuiet()) return;
    const callbacks = [...this.#untilQuiet];
    this.#untilQuiet.clear();
    for (const callback of callbacks) callback();
  }

  /** Whether no handler is running, not even for callers who have been answered. */
  #isQuiet(): boolean {
    return !this.#busy && !this.#closed && this.#calls.quiet;
  }

  /** A busy handler has finished: commands of transfers come before those of callers. */
  #free(): void {
    this.#busy = false;
    this.#forwarded?.runWaiting();
    this.#host.free();
    this.#tellQuiet();
  }

  /** Answers `timeout`, with the message `overdue`, to callers who have stopped waiting. */
  giveUpOverdue(nowMs: number, overdue: string): void {
    this.#calls.giveUpOverdue(nowMs, overdue);
  }

  #crash(call: PendingCall, error: unknown): void {
    if (this.#closed) return;
    this.#calls.failed(
      call,
      `The vnode of partition ${this.#host.partition} failed: ${
        reasonOf(error)
      }`,
    );
    this.#host.crash(error);
  }

  /**
   * Answers all callers with `vnode_crashed` and `message`; no command is
   * handled any more.
   */
  close(message: string): void {
    this.#closed = true;
    this.#busy = true;
    this.#calls.close(message);
    this.#untilQuiet.clear();
    this.#forwarded?.close(message);
  }
}
