/**
 * A `bulk` link as handoffs use it: it carries requests to vnodes at the other
 * end, and their answers.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { madeOnce, WhorlError } from "../base/errors.ts";
import type { BulkConnection } from "../handoff/handoff_world.ts";
import type { HandoffProcess } from "../handoff/handoff_process.ts";
import type { Link } from "../transport/link.ts";
import type { LinkCalls } from "../transport/link_calls.ts";
import {
  BATCH_HEADER_BYTES,
  HandoffAction,
  isTargetAction,
} from "../vnode/handoff_codec.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import {
  moduleIdOf,
  readVnodeRequestHeader,
  RequestFlag,
  VNODE_REQUEST_HEADER_BYTES,
  type VnodeRequestHeader,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { RelayRequest } from "./link_streams.ts";

/** Bytes that may wait on a bulk link; further requests wait their turn. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;

interface Asked {
  readonly timer: TimerHandle;
  resolve(answer: Uint8Array): void;
  reject(error: WhorlError): void;
}

/** This node's end of a bulk link. */
export class BulkPeer implements BulkConnection {
  readonly node: string;
  readonly #link: Link;
  readonly #calls: LinkCalls;
  readonly #runtime: Runtime;
  readonly #asked = new Map<number, Asked>();
  #next = 1;
  /** Resolves when all requests have been passed to the link; undefined if none wait here. */
  #turn: Promise<void> | undefined;
  #closed: (() => WhorlError) | undefined;

  constructor(link: Link, calls: LinkCalls, runtime: Runtime) {
    this.node = link.peer.name;
    this.#link = link;
    this.#calls = calls;
    this.#runtime = runtime;
    if (link.closed !== undefined) this.ended(link.closed.message);
  }

  get closed(): WhorlError | undefined {
    return this.#closed?.();
  }

  async ask(
    module: string,
    partition: number,
    write: (into: ByteWriter) => void,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    await this.#takeTurn();
    if (this.#closed !== undefined) throw this.#closed();
    const correlation = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const timer = this.#runtime.setTimer(
      timeoutMs,
      () =>
        this.#take(correlation)?.reject(
          new WhorlError(
            "timeout",
            `Cannot wait longer for a vnode of ${this.node}: no answer in ${timeoutMs} ms`,
            { details: { node: this.node } },
          ),
        ),
    );
    this.#asked.set(correlation, { timer, resolve, reject });
    const into = this.#link.begin(FrameType.vnodeRequest, correlation);
    writeVnodeRequestHeader(
      into,
      moduleIdOf(module),
      partition,
      0,
      RequestFlag.handoff,
      timeoutMs,
    );
    write(into);
    try {
      this.#link.end();
    } catch (tooLarge) {
      // The frame was removed from the link's buffer, so no answer will come.
      this.#take(correlation);
      throw tooLarge;
    }
    return await promise;
  }

  /** Resolves when there is room, in the order of the calls: batches must not overtake each other. */
  async #takeTurn(): Promise<void> {
    if (
      this.#turn === undefined &&
      this.#link.bufferedBytes <= BACKLOG_BYTES_MAX
    ) return;
    const before = this.#turn;
    const turn = (async () => {
      await before;
      await new Promise<void>((resolve) =>
        this.#link.whenBelow(BACKLOG_BYTES_MAX, resolve)
      );
    })();
    this.#turn = turn;
    await turn;
    if (this.#turn === turn) this.#turn = undefined;
  }

  call(method: string, args: unknown): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed());
    return this.#calls.call(this.#link, method, args);
  }

  close(): void {
    this.#link.close("idle");
  }

  #take(correlation: number): Asked | undefined {
    const asked = this.#asked.get(correlation);
    if (asked === undefined) return undefined;
    this.#asked.delete(correlation);
    this.#runtime.clearTimer(asked.timer);
    return asked;
  }

  /** Handles an answer from the other end. */
  answered(type: number, correlation: number, body: Uint8Array): void {
    const asked = this.#take(correlation);
    if (type === FrameType.vnodeError) asked?.reject(readFailure(body));
    else asked?.resolve(body.slice());
  }

  /** Fails all open requests, as the link has ended. */
  ended(reason: string): void {
    const closed = this.#closed = madeOnce(() =>
      new WhorlError(
        "connection_closed",
        `The connection to ${this.node} ended: ${reason}`,
        { details: { node: this.node } },
      )
    );
    for (const correlation of [...this.#asked.keys()]) {
      this.#take(correlation)?.reject(closed());
    }
  }
}

/**
 * Passes a frame of a transfer from `source` to the vnode it names, if the
 * transfer was accepted over `connection`, and tracks the transfer's progress
 * by the answers.
 *
 * @throws {WhorlError} `handoff_refused` if the transfer was not accepted,
 * `protocol_error` if the frame is not one of a transfer.
 */
export function relayHandoff(
  handoff: HandoffProcess,
  connection: object,
  source: string,
  target: AnswerTarget,
  correlation: number,
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  relay: RelayRequest,
): void {
  const header: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  const from = new ByteReader(bytes, start, end);
  readVnodeRequestHeader(from, header);
  const action = from.u8();
  if (!(header.flags & RequestFlag.handoff) || !isTargetAction(action)) {
    throw new WhorlError(
      "protocol_error",
      "Cannot take a request over a bulk connection that is no part of a handoff to this node",
    );
  }
  const transfer = from.u53();
  if (action === HandoffAction.spread) {
    handoff.inbound.requireSpread(source, header.vnode);
    relay(target, correlation, bytes, start, end);
    return;
  }
  handoff.inbound.require(
    connection,
    transfer,
    header.moduleId,
    header.vnode,
  );
  let items = 0;
  const byteCount = end - start - VNODE_REQUEST_HEADER_BYTES -
    BATCH_HEADER_BYTES;
  if (action === HandoffAction.batch) {
    from.u53();
    from.u32();
    items = from.u32();
  } else if (action === HandoffAction.final) items = from.u53();
  relay(
    {
      vnodeAnswer(type, ...answer) {
        if (type === FrameType.vnodeReply) {
          if (action === HandoffAction.batch) {
            handoff.inbound.took(connection, transfer, items, byteCount);
          } else if (action === HandoffAction.final) {
            handoff.inbound.completed(connection, transfer, source, items);
          }
        }
        target.vnodeAnswer(type, ...answer);
      },
    },
    correlation,
    bytes,
    start,
    end,
  );
}
