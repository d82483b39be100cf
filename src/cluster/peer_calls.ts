/**
 * Requests to other nodes, and to this one as if it were another: each is
 * answered once, by the node asked, by the end of its link, or by the timeout.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import { FrameType } from "../wire/frame_type.ts";
import { expectBoolean } from "../wire/plain_data.ts";
import {
  type ClusterReply,
  type ClusterRequest,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
} from "./cluster_codec.ts";

/** Requests that may be open at a time; further ones are refused with `overload`. */
export const PEER_CALLS_MAX = 1024;
/** Time for the round trip on top of what the receiver may wait, in milliseconds. */
export const ROUND_TRIP_MS = 2_000;
/** Timeout of requests that the receiver answers at once, in milliseconds. */
export const ANSWER_MS = 5_000;

interface Call {
  readonly node: string;
  readonly timer: TimerHandle;
  readonly answer: (reply: ClusterReply) => void;
}

/** What requests need from the node. */
export interface PeerCallsWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Sends a frame; `false` if there is no link to the node. */
  send(node: string, frameType: number, payload: Uint8Array): boolean;
  /** Serves a request to this node; `answer` is called once. */
  serve(
    from: string,
    request: ClusterRequest,
    answer: (reply: ClusterReply) => void,
  ): void;
}

/** The open requests of one node. */
export class PeerCalls {
  readonly #self: string;
  readonly #world: PeerCallsWorld;
  readonly #open = new Map<number, Call>();
  #nextId = 1;
  #stopped = false;

  constructor(self: string, world: PeerCallsWorld) {
    this.#self = self;
    this.#world = world;
  }

  /** Asks `node` and resolves with its result. @throws {WhorlError} Its refusal, or as {@linkcode PeerCalls.ask}. */
  call(
    node: string,
    request: ClusterRequest,
    timeoutMs: number,
  ): Promise<unknown> {
    return new Promise((resolve, reject) =>
      this.ask(
        node,
        request,
        timeoutMs,
        (reply) => reply.ok ? resolve(reply.result) : reject(reply.error),
      )
    );
  }

  /**
   * Asks `node` whether it is in the cluster of `seed`; without an answer
   * `told` is not called, and the caller asks again later.
   */
  askBelongs(
    node: string,
    seed: string,
    told: (belongs: boolean) => void,
  ): void {
    this.ask(node, { method: "belongs", seed }, ANSWER_MS, (reply) => {
      if (reply.ok) return told(expectBoolean(reply.result, "an answer"));
      this.#world.log.debug("Could not ask a node for its cluster", {
        node,
        reason: reply.error.message,
      });
    });
  }

  /** Asks `node`; `answer` is called once, with its answer or with `not_reachable`, `timeout`, `overload` or `closed`. */
  ask(
    node: string,
    request: ClusterRequest,
    timeoutMs: number,
    answer: (reply: ClusterReply) => void,
  ): void {
    if (this.#stopped) return answer(closed());
    if (node === this.#self) return this.#world.serve(node, request, answer);
    if (this.#open.size >= PEER_CALLS_MAX) {
      return answer(refused(
        "overload",
        `Cannot ask ${node} as at most ${PEER_CALLS_MAX} requests may be open`,
        { node },
      ));
    }
    const id = this.#nextId++;
    const timer = this.#world.runtime.setTimer(timeoutMs, () => {
      this.#settle(
        id,
        refused(
          "timeout",
          `Cannot ${request.method} as ${node} did not answer within ${timeoutMs} ms`,
          { node, timeoutMs },
        ),
      );
    });
    this.#open.set(id, { node, timer, answer });
    const payload = encodeRequest(id, request);
    if (!this.#world.send(node, FrameType.joinRequest, payload)) {
      this.#settle(id, unreachable(node));
    }
  }

  /** A request has arrived. @throws {WhorlError} `protocol_error`. */
  requestReceived(from: string, payload: Uint8Array): void {
    const { id, request } = decodeRequest(payload);
    this.#world.serve(from, request, (reply) => {
      this.#world.send(from, FrameType.joinReply, encodeReply(id, reply));
    });
  }

  /**
   * An answer has arrived. Late ones, and those from another node than was
   * asked, are ignored. @throws {WhorlError} `protocol_error`.
   */
  replyReceived(from: string, payload: Uint8Array): void {
    // A copy, as the answer is kept longer than the payload is valid.
    const { id, reply } = decodeReply(payload.slice());
    if (this.#open.get(id)?.node === from) this.#settle(id, reply);
  }

  /** The link to `node` has ended, so its answers will not come. */
  peerDown(node: string): void {
    for (const [id, call] of [...this.#open]) {
      if (call.node === node) this.#settle(id, unreachable(node));
    }
  }

  /** Answers all with `closed`. */
  stop(): void {
    this.#stopped = true;
    for (const id of [...this.#open.keys()]) this.#settle(id, closed());
  }

  #settle(id: number, reply: ClusterReply): void {
    const call = this.#open.get(id);
    if (call === undefined) return;
    this.#open.delete(id);
    this.#world.runtime.clearTimer(call.timer);
    call.answer(reply);
  }
}

function refused(
  code: "overload" | "timeout" | "not_reachable" | "closed",
  message: string,
  details: Record<string, unknown> = {},
): ClusterReply {
  return { ok: false, error: new WhorlError(code, message, { details }) };
}

function unreachable(node: string): ClusterReply {
  return refused(
    "not_reachable",
    `Cannot ask ${node} as there is no link to it`,
    { node },
  );
}

function closed(): ClusterReply {
  return refused("closed", "Cannot ask as this node stops");
}
