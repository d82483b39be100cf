/**
 * A server process: it handles one call, cast or notice at a time, and answers
 * now or later (OTP's `gen_server`). Its state lives in its behaviour.
 *
 * @module
 */
import { type ExitReason, formatReason, RemoteError } from "./exit_reason.ts";
import {
  type DownNotice,
  type ExitNotice,
  type Incoming,
  Process,
  type ProcessOptions,
} from "./process.ts";
import { OpenCalls } from "./open_calls.ts";
import type { CallOptions, ReplyTo } from "./reply_to.ts";
import { SupervisorError } from "./supervisor_error.ts";

/** Returned by `handleCall` when it keeps the {@linkcode ReplyTo} to answer later. */
export const replyLater: unique symbol = Symbol("reply later");

/**
 * The callbacks of a server. All may be asynchronous; the next message waits
 * for them. If one throws, the server ends, and pending calls are answered with
 * `exited`.
 */
export interface ServerBehaviour<
  Call = unknown,
  Reply = unknown,
  Cast = unknown,
> {
  /** Initializes; the server has started when this is done. */
  init?(self: GenServer<Call, Reply, Cast>): void | Promise<void>;
  /** Handles a call: the result is the answer, unless it is {@linkcode replyLater}; then `from` answers. */
  handleCall?(
    request: Call,
    from: ReplyTo<Reply>,
    self: GenServer<Call, Reply, Cast>,
  ): Reply | typeof replyLater | Promise<Reply | typeof replyLater>;
  /** Handles a message that expects no answer. */
  handleCast?(
    message: Cast,
    self: GenServer<Call, Reply, Cast>,
  ): void | Promise<void>;
  /** Handles everything else: exits of linked processes, ends of monitored ones, {@linkcode GenServer.info}. */
  handleInfo?(
    info: ExitNotice | DownNotice | unknown,
    self: GenServer<Call, Reply, Cast>,
  ): void | Promise<void>;
  /** Cleans up after `stop`, before it exits. */
  terminate?(reason: ExitReason): void | Promise<void>;
}

/** A message in the mailbox of a server. */
export type ServerMessage<Call, Reply, Cast> =
  | { readonly type: "init" }
  | {
    readonly type: "call";
    readonly request: Call;
    readonly from: ReplyTo<Reply>;
  }
  | { readonly type: "cast"; readonly message: Cast }
  | { readonly type: "info"; readonly info: unknown };

/** A running server. Made by {@linkcode startServer}. */
export class GenServer<Call = unknown, Reply = unknown, Cast = unknown>
  extends Process<ServerMessage<Call, Reply, Cast>> {
  readonly #behaviour: ServerBehaviour<Call, Reply, Cast>;
  readonly #calls: OpenCalls;
  /** Settles when `init` is done. */
  readonly initialised: Promise<void>;
  readonly #initOutcome = Promise.withResolvers<void>();

  /** Prefer {@linkcode startServer}, which waits for `init`. */
  constructor(
    behaviour: ServerBehaviour<Call, Reply, Cast>,
    options: ProcessOptions = {},
  ) {
    super({ name: "gen_server", ...options });
    this.#behaviour = behaviour;
    this.#calls = new OpenCalls(this, this.runtime);
    this.initialised = this.#initOutcome.promise;
    this.initialised.catch(() => undefined);
    this.onExit((reason) => this.#initOutcome.reject(this.#notStarted(reason)));
    this.deliver({ type: "init" });
  }

  /**
   * Calls the server and waits for the answer.
   *
   * @throws {SupervisorError} `timeout`, `noproc` if it has ended, `exited` if
   * it ends before it answers, `overload` if its mailbox is full.
   */
  call(request: Call, options: CallOptions = {}): Promise<Reply> {
    if (!this.alive) return Promise.reject(this.#calls.noproc());
    return this.#calls.call<Reply>(
      (from) => this.send({ type: "call", request, from }),
      options,
    );
  }

  /** Sends a message without waiting. False if the mailbox is full; dropped if the server has ended. */
  cast(message: Cast): boolean {
    return this.send({ type: "cast", message });
  }

  /** Sends to `handleInfo`. False if the mailbox is full. */
  info(info: unknown): boolean {
    return this.send({ type: "info", info });
  }

  /** Handles one message. */
  protected override receive(
    message: Incoming<ServerMessage<Call, Reply, Cast>>,
  ): void | Promise<void> {
    if (!("type" in message)) {
      return this.#behaviour.handleInfo?.(message, this);
    }
    switch (message.type) {
      case "init":
        return this.#init();
      case "call":
        return this.#answer(message.request, message.from);
      case "cast":
        return this.#behaviour.handleCast?.(message.message, this);
      case "info":
        return this.#behaviour.handleInfo?.(message.info, this);
      default:
        return message satisfies never;
    }
  }

  /** Lets the behaviour clean up. */
  protected override terminate(reason: ExitReason): void | Promise<void> {
    return this.#behaviour.terminate?.(reason);
  }

  #notStarted(reason: ExitReason): SupervisorError {
    return new SupervisorError(
      "start_failed",
      `Cannot start '${this.name}' as it ended in init: ${
        formatReason(reason)
      }`,
      {
        details: { reason },
        ...(typeof reason === "object" && reason.type === "crash"
          ? { cause: new RemoteError(reason.error) }
          : {}),
      },
    );
  }

  #init(): void | Promise<void> {
    const pending = this.#behaviour.init?.(this);
    if (pending instanceof Promise) {
      return pending.then(() => this.#initOutcome.resolve());
    }
    this.#initOutcome.resolve();
  }

  #answer(request: Call, from: ReplyTo<Reply>): void | Promise<void> {
    // The caller has given up: handling its call would only delay others.
    if (!from.pending) return;
    const { handleCall } = this.#behaviour;
    if (handleCall === undefined) {
      throw new TypeError(
        `Cannot call '${this.name}' as its behaviour has no handleCall`,
      );
    }
    const answer = handleCall.call(this.#behaviour, request, from, this);
    if (answer instanceof Promise) {
      return answer.then((value) => {
        if (value !== replyLater) from.reply(value);
      });
    }
    if (answer !== replyLater) from.reply(answer);
  }
}

/**
 * Starts a server.
 *
 * @returns The server, once its `init` is done.
 * @throws {Error} What `init` throws, as {@linkcode SupervisorError} `start_failed`.
 */
export async function startServer<
  Call = unknown,
  Reply = unknown,
  Cast = unknown,
>(
  behaviour: ServerBehaviour<Call, Reply, Cast>,
  options: ProcessOptions = {},
): Promise<GenServer<Call, Reply, Cast>> {
  const server = new GenServer(behaviour, options);
  await server.initialised;
  return server;
}
