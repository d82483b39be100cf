/**
 * A client's connection to a cluster: one link at a time, to one of the nodes
 * it knows, and another one when that breaks. When a link breaks, unanswered
 * reads are sent again elsewhere, since reading twice does no harm; unanswered
 * writes fail with `connection_closed`, since they may have happened. What
 * nodes report about overload is respected here (`heeded_overloads.ts`).
 *
 * A node that starts, stops or has no coordinators for a moment answers a read
 * `closed`. The read waits for a link to the next node then; all else keeps
 * using the present link until that one is open, and goes on over it from there.
 * If the answer names the node itself, it has left its cluster and will answer
 * nothing else: the client leaves it at once, even if it was a write that failed
 * so. Links that were left stay until what is awaited over them has been
 * answered. A read that all nodes have refused fails.
 *
 * @module
 */
import { type Backoff, backoffDelayMs } from "../../supervisors/backoff.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import type { Environment } from "../environment/environment.ts";
import type { Address } from "../environment/transport.ts";
import { briefCopyOf, NO_BYTES } from "../base/byte_slab.ts";
import { u32At } from "../base/byte_reader.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { HeededOverloads } from "../request/heeded_overloads.ts";
import { OPERATION_TIME_LEFT_OFFSET } from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { DeadlineWheel } from "../environment/deadline_wheel.ts";
import { openClientLink } from "../transport/client_link.ts";
import type { Cookie } from "../transport/cookie.ts";
import type { Link } from "../transport/link.ts";
import { sendUnknownType } from "../transport/link.ts";
import {
  CALL_TIMEOUT_MS_DEFAULT,
  type LinkCallOptions,
  LinkCalls,
} from "../transport/link_calls.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { PendingOperation } from "./pending_operation.ts";

/** Operations that a client may have unanswered; any more fail with `overload`. */
export const CLIENT_OPERATIONS_MAX = 20_000;
/**
 * Bytes that may wait in the link before further operations are held back until
 * it has drained. Small enough that pings behind them and one operation of the
 * largest size are answered before the node counts as silent.
 */
export const CLIENT_WINDOW_BYTES = 4 * 1024 * 1024;
/**
 * Bytes of operations that a client keeps: unsent ones, and reads, which may
 * have to be sent again. Any more fail with `overload`.
 */
export const CLIENT_KEPT_BYTES_MAX = 256 * 1024 * 1024;
/** How long past its deadline an operation waits, so that the node's own answer comes first. */
const ANSWER_GRACE_MS = 250;
const RECONNECT: Backoff = { minMs: 50, maxMs: 2_000, jitter: 0.5 };

/** Options of a connection. */
export interface ClientConnectionOptions {
  readonly environment: Environment;
  /** Where nodes listen, tried in this order and round again. */
  readonly addresses: readonly Address[];
  readonly cookie: Cookie;
  /** The cluster they must belong to. @default {any} */
  readonly clusterName?: string;
  /** Name the node must prove to have. @default {any} */
  readonly expectedNode?: string;
  /** Whether to look for another node when the link breaks. */
  readonly reconnect: boolean;
  /**
   * Shared with other connections: what nodes report about overload, which this
   * one respects.
   *
   * @default {not respected}
   */
  readonly overloads?: HeededOverloads;
}

/** A connection to a cluster, for operations and calls. Made by `connect`. */
export class ClientConnection implements AsyncDisposable {
  #options: ClientConnectionOptions;
  #link: Link | undefined;
  /** Index of its address. */
  #linkAt = 0;
  /** Links left for another one, with how many answers to operations are awaited over each. */
  #left = new Map<Link, number>();
  /** Resolves once the links that were closed after they were left have ended. */
  #ending = Promise.resolve();
  #pending = new Map<number, PendingOperation>();
  /** Those of them that are to be sent, in order, once there is a link with room. */
  #unsent = new Set<PendingOperation>();
  /** Reads that the node at the other end has refused: they wait for the next link. */
  #elsewhere = new Set<PendingOperation>();
  #keptBytes = 0;
  /** The link that will report when it has room. */
  #awaited: Link | undefined;
  #calls: LinkCalls;
  #wheel: DeadlineWheel;
  #next = 1;
  #at = 0;
  #failures = 0;
  #stop = new AbortController();
  #retry: TimerHandle | undefined;
  #connecting: Promise<void> | undefined;
  #waiters = new Set<(error: WhorlError | undefined) => void>();

  constructor(options: ClientConnectionOptions) {
    this.#options = options;
    this.#calls = new LinkCalls(options.environment);
    this.#wheel = new DeadlineWheel(options.environment);
  }

  /** Name of the node at the other end now, or of the last one. */
  node = "";

  /**
   * Connects to the first node that accepts.
   *
   * @throws {WhorlError} Why the last one tried did not.
   */
  async open(signal?: AbortSignal): Promise<void> {
    let last: unknown;
    for (let tried = 0; tried < this.#options.addresses.length; tried++) {
      try {
        await this.#openNext(signal);
        return;
      } catch (error) {
        last = error;
        signal?.throwIfAborted();
      }
    }
    throw last;
  }

  async #openNext(signal?: AbortSignal): Promise<void> {
    const { environment, addresses, cookie, clusterName, expectedNode } =
      this.#options;
    let at = this.#at++ % addresses.length;
    // Another node is wanted than the one that there is a link to.
    if (this.#link !== undefined && at === this.#linkAt) {
      at = this.#at++ % addresses.length;
    }
    const address = addresses[at] as Address;
    const link = await openClientLink({
      runtime: environment,
      log: environment.log,
      transport: environment.transport,
      secretBytes: (count) => environment.secretBytes(count),
      address,
      cookie,
      ...(clusterName === undefined ? {} : { cluster: clusterName }),
      handler: {
        onFrame: (link, type, _flags, correlation, bytes, start, end) =>
          this.#onFrame(link, type, correlation, bytes.subarray(start, end)),
        onClosed: (link, closed) => this.#onClosed(link, closed.message),
      },
      signal: signal === undefined
        ? this.#stop.signal
        : AbortSignal.any([signal, this.#stop.signal]),
    });
    // The link was opened just before, and `close` did not know of it.
    if (this.#stop.signal.aborted) {
      link.close("closed");
      await link.finished;
      throw closed();
    }
    if (expectedNode !== undefined && link.peer.name !== expectedNode) {
      link.close("another node was expected");
      throw new WhorlError(
        "node_not_running",
        `Cannot talk to ${expectedNode} at ${address} as ${link.peer.name} answers there`,
      );
    }
    if (link.closed !== undefined) {
      throw new WhorlError("connection_closed", link.closed.message);
    }
    this.#leave();
    this.#link = link;
    this.#linkAt = at;
    this.#failures = 0;
    this.node = link.peer.name;
    for (const waiter of [...this.#waiters]) waiter(undefined);
    // Reads are sent again before operations that were not sent yet.
    this.#elsewhere.clear();
    this.#unsent = new Set(
      [...this.#pending.values()].filter(({ via }) => via === undefined),
    );
    this.#sendUnsent(link);
  }

  /** Sends the operation in `bytes[start, end)`, which is copied; see `Coordinators.submit`. */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    if (this.#stop.signal.aborted) {
      target.operationFailed(closed());
      return;
    }
    if (this.#link === undefined && !this.#options.reconnect) {
      target.operationFailed(
        new WhorlError("connection_closed", "The connection is closed"),
      );
      return;
    }
    if (this.#pending.size >= CLIENT_OPERATIONS_MAX) {
      target.operationFailed(
        new WhorlError(
          "overload",
          `Cannot send an operation as ${CLIENT_OPERATIONS_MAX} are unanswered`,
        ),
      );
      return;
    }
    if (this.#keptBytes + (end - start) > CLIENT_KEPT_BYTES_MAX) {
      target.operationFailed(
        new WhorlError(
          "overload",
          `Cannot send an operation of ${
            end - start
          } bytes as ${this.#keptBytes} are kept: the limit is ${CLIENT_KEPT_BYTES_MAX}`,
        ),
      );
      return;
    }
    const { environment, overloads } = this.#options;
    const nowMs = environment.now();
    const heededAs = overloads?.numberNext() ?? 0;
    const refusal = overloads?.refusal(heededAs, bytes, start, end, nowMs);
    if (refusal !== undefined) {
      target.operationFailed(refusal);
      return;
    }
    const copy = briefCopyOf(bytes, start, end);
    const timeLeftMs = u32At(copy, OPERATION_TIME_LEFT_OFFSET);
    const operation = new PendingOperation(
      this,
      this.#next++,
      copy,
      heededAs,
      nowMs + timeLeftMs,
      target,
    );
    this.#pending.set(operation.id, operation);
    this.#keptBytes += copy.length;
    this.#wheel.set(operation, timeLeftMs + ANSWER_GRACE_MS);
    const link = this.#link;
    if (
      link !== undefined && this.#unsent.size === 0 &&
      link.bufferedBytes <= CLIENT_WINDOW_BYTES
    ) {
      this.#send(link, operation);
      return;
    }
    this.#unsent.add(operation);
    if (link !== undefined) this.#awaitRoom(link);
  }

  #awaitRoom(link: Link): void {
    if (this.#awaited === link) return;
    this.#awaited = link;
    link.whenBelow(CLIENT_WINDOW_BYTES, () => {
      if (this.#awaited === link) this.#awaited = undefined;
      this.#sendUnsent(link);
    });
  }

  #sendUnsent(link: Link): void {
    for (const operation of this.#unsent) {
      // The link broke, possibly half-way; the next one sends the rest.
      if (this.#link !== link) return;
      if (link.bufferedBytes > CLIENT_WINDOW_BYTES) {
        this.#awaitRoom(link);
        return;
      }
      this.#unsent.delete(operation);
      this.#send(link, operation);
    }
  }

  #send(link: Link, operation: PendingOperation): void {
    operation.sent = true;
    operation.via = link;
    const into = link.begin(FrameType.operation, operation.id);
    const start = into.length;
    into.raw(operation.bytes);
    into.setU32(
      start + OPERATION_TIME_LEFT_OFFSET,
      Math.max(
        1,
        Math.ceil(operation.deadlineAt - this.#options.environment.now()),
      ),
    );
    try {
      link.end();
    } catch (error) {
      // It does not fit into a frame, and was removed again.
      if (!isWhorlError(error, "frame_too_large")) throw error;
      this.give(operation.id, error);
      return;
    }
    if (!operation.isRead) this.#letGo(operation);
  }

  #letGo(operation: PendingOperation): void {
    this.#keptBytes -= operation.bytes.length;
    operation.bytes = NO_BYTES;
  }

  /** Calls a method of the node at the other end; see `LinkCalls.call`. The time to wait counts from now, also while there is no connection. */
  async call(
    method: string,
    args: unknown,
    options: LinkCallOptions = {},
  ): Promise<unknown> {
    const link = this.#link;
    if (link !== undefined) {
      return await this.#callOver(link, method, args, options);
    }
    const { environment } = this.#options;
    const { timeoutMs = CALL_TIMEOUT_MS_DEFAULT, signal } = options;
    const deadlineAt = environment.now() + timeoutMs;
    const connected = await this.#untilConnected(method, deadlineAt, signal);
    const leftMs = Math.max(1, Math.ceil(deadlineAt - environment.now()));
    return await this.#callOver(connected, method, args, {
      ...options,
      timeoutMs: leftMs,
    });
  }

  async #callOver(
    link: Link,
    ...call: [method: string, args: unknown, options: LinkCallOptions]
  ): Promise<unknown> {
    try {
      return await this.#calls.call(link, ...call);
    } finally {
      this.#closeLeft(link);
    }
  }

  async #untilConnected(
    method: string,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const { environment, reconnect } = this.#options;
    if (this.#stop.signal.aborted) throw closed();
    if (signal?.aborted) throw cancelled();
    if (!reconnect) {
      throw new WhorlError("connection_closed", "The connection is closed");
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = (error: WhorlError | undefined): void => {
      this.#waiters.delete(waiter);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onAbort = (): void => waiter(cancelled());
    const timer = environment.setTimer(
      Math.max(0, deadlineAt - environment.now()),
      () =>
        waiter(
          new WhorlError(
            "timeout",
            `Cannot call '${method}' in time: there was no connection`,
          ),
        ),
    );
    this.#waiters.add(waiter);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      environment.clearTimer(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    return this.#link ??
      await this.#untilConnected(method, deadlineAt, signal);
  }

  #onFrame(
    link: Link,
    type: number,
    correlation: number,
    body: Uint8Array,
  ): void {
    switch (type) {
      case FrameType.operationReply:
        this.#take(correlation)?.succeed(body);
        return;
      case FrameType.operationError:
        this.#failed(link, correlation, readFailure(body));
        return;
      case FrameType.callReply:
      case FrameType.callError:
        this.#calls.answered(link, type, correlation, body);
        return;
      case FrameType.unknownType:
        return;
      default:
        sendUnknownType(link, type, correlation);
    }
  }

  #failed(link: Link, id: number, error: WhorlError): void {
    const operation = this.#pending.get(id);
    if (operation === undefined) return;
    const isCurrent = this.#link === link;
    const { reconnect, addresses } = this.#options;
    const leaves = isCurrent && reconnect && addresses.length > 1 &&
      hasLeft(link, error);
    if (leaves) {
      this.#leave();
      this.#reconnectNow();
    }
    if (this.#mayReadElsewhere(operation, error)) {
      this.#awaitNoMore(operation);
      if (isCurrent && !leaves) this.#elsewhere.add(operation);
      else this.#unsent.add(operation);
    } else {
      this.#hear(operation, error);
      this.give(id, error);
    }
    if (this.#elsewhere.size > 0) this.#reconnect();
    if (this.#link !== undefined) this.#sendUnsent(this.#link);
  }

  /** Whether to send a read that failed to another node; each is asked once at most. */
  #mayReadElsewhere(operation: PendingOperation, error: WhorlError): boolean {
    const { reconnect, addresses, environment } = this.#options;
    return reconnect && operation.isRead && servesNobody(error) &&
      ++operation.refusals < addresses.length &&
      environment.now() < operation.deadlineAt;
  }

  /** The read is to be sent again. */
  #requeue(operation: PendingOperation): void {
    this.#awaitNoMore(operation);
    this.#unsent.add(operation);
  }

  /** The operation has its answer, or gets none over the link it was sent over. */
  #awaitNoMore(operation: PendingOperation): void {
    const { via } = operation;
    operation.via = undefined;
    if (via === undefined) return;
    const owed = this.#left.get(via);
    if (owed === undefined) return;
    this.#left.set(via, owed - 1);
    this.#closeLeft(via);
  }

  /** Sends nothing more over the present link. */
  #leave(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    let owed = 0;
    for (const { via } of this.#pending.values()) if (via === link) owed++;
    this.#left.set(link, owed);
    this.#closeLeft(link);
  }

  /** Closes `link` if it was left and nothing is awaited over it. */
  #closeLeft(link: Link): void {
    if (this.#left.get(link) !== 0 || this.#calls.awaits(link)) return;
    this.#left.delete(link);
    this.#end(link);
  }

  #end(left: Link): void {
    left.close();
    this.#ending = this.#ending.then(() => left.finished);
  }

  #onClosed(link: Link, message: string): void {
    this.#calls.linkClosed(link, message);
    const { reconnect } = this.#options;
    const wasCurrent = this.#link === link;
    if (wasCurrent) this.#link = undefined;
    else this.#left.delete(link);
    const error = new WhorlError(
      "connection_closed",
      `The connection to ${link.peer.name} ended; a write may yet have happened: ${message}`,
    );
    for (const operation of [...this.#pending.values()]) {
      if (operation.via === link) {
        if (reconnect && operation.isRead) this.#requeue(operation);
        else this.give(operation.id, error);
      } else if (!reconnect) this.give(operation.id, error);
    }
    if (this.#link !== undefined) this.#sendUnsent(this.#link);
    else if (wasCurrent && reconnect && !this.#stop.signal.aborted) {
      this.#reconnectNow();
    }
  }

  /** Looks for another node without a pause, as there is no link. */
  #reconnectNow(): void {
    if (this.#retry !== undefined) {
      this.#options.environment.clearTimer(this.#retry);
      this.#retry = undefined;
    }
    this.#failures = 0;
    this.#reconnect();
  }

  /** Looks for another node, if that is not under way. */
  #reconnect(): void {
    if (this.#connecting !== undefined || this.#retry !== undefined) return;
    // The reads for which another one was wanted have been given up.
    if (this.#link !== undefined && this.#elsewhere.size === 0) return;
    this.#connecting = this.#openNext().then(() => {
      this.#connecting = undefined;
    }, (error) => {
      this.#connecting = undefined;
      if (this.#stop.signal.aborted) return;
      this.#options.environment.log.debug("Cannot reach a node", {
        error: reasonOf(error),
      });
      this.#failures++;
      // All addresses are tried before the first pause.
      const round = Math.floor(
        this.#failures / this.#options.addresses.length,
      );
      const waitMs = round === 0 ? 0 : backoffDelayMs(
        RECONNECT,
        round - 1,
        this.#options.environment.random(),
      );
      this.#retry = this.#options.environment.setTimer(waitMs, () => {
        this.#retry = undefined;
        this.#reconnect();
      });
    });
  }

  #take(id: number): PendingOperation | undefined {
    const operation = this.#pending.get(id);
    if (operation === undefined) return undefined;
    this.#pending.delete(id);
    this.#unsent.delete(operation);
    this.#elsewhere.delete(operation);
    this.#letGo(operation);
    this.#wheel.clear(operation);
    this.#awaitNoMore(operation);
    return operation;
  }

  /** `operation` was answered with `error`. */
  #hear({ demand, heededAs }: PendingOperation, error: WhorlError): void {
    if (error.code !== "overload") return;
    const { environment, overloads } = this.#options;
    overloads?.hear(heededAs, demand, error, environment.now());
  }

  /** @internal Gives an operation up. */
  give(id: number, error: WhorlError): void {
    this.#take(id)?.fail(error);
  }

  /** Closes the connection; unanswered operations fail with `closed`. */
  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(closed());
    if (this.#retry !== undefined) {
      this.#options.environment.clearTimer(this.#retry);
    }
    for (const waiter of [...this.#waiters]) waiter(closed());
    const link = this.#link;
    const left = [...this.#left.keys()];
    this.#link = undefined;
    this.#left.clear();
    for (const id of [...this.#pending.keys()]) this.give(id, closed());
    this.#calls.close();
    this.#wheel.close();
    link?.close("closed");
    for (const one of left) this.#end(one);
    await link?.finished;
    await this.#ending;
    await this.#connecting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Whether a node says that it is starting or stopping, or has left its cluster; operations of `ra_kv` fail with `not_leader` then. */
function servesNobody({ code }: WhorlError): boolean {
  return code === "closed" || code === "not_leader";
}

/** Whether `error`, which came over `link`, says that the node there has left its cluster. */
function hasLeft({ peer }: Link, { code, details }: WhorlError): boolean {
  return code === "closed" && details.node === peer.name;
}

function cancelled(): WhorlError {
  return new WhorlError("cancelled", "The call was cancelled");
}

function closed(): WhorlError {
  return new WhorlError("closed", "The connection was closed");
}
