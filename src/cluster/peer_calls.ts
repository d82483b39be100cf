/**
 * Questions to other nodes, and to this one as if it were another: each is
 * answered once, by the node it went to, by that node's link breaking, or by
 * the clock.
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

/** Questions that may be open at once; more are refused with `overload`. */
export const PEER_CALLS_MAX = 1024;
/** Time for the way there and back on top of what the other side may wait, in milliseconds. */
export const ROUND_TRIP_MS = 2_000;
/** Longest a node may take to say something it need not wait for, in milliseconds. */
export const ANSWER_MS = 5_000;

interface Call {
  readonly node: string;
  readonly timer: TimerHandle;
  readonly answer: (reply: ClusterReply) => void;
}

/** What questions need from the node. */
export interface PeerCallsWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Sends a frame; `false` if there is no link to the node. */
  send(node: string, frameType: number, payload: Uint8Array): boolean;
  /** Answers what this node is asked; `answer` is called once. */
  serve(
    from: string,
    request: ClusterRequest,
    answer: (reply: ClusterReply) => void,
  ): void;
}

/** The open questions of one node. */
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

  /** Asks `node` and resolves with its result. @throws {WhorlError} What it refuses with, or as {@linkcode PeerCalls.ask}. */
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

  /** Asks `node` whether it is in the cluster of `seed`; without an answer nothing is told, and somebody asks again. */
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
        `Cannot ask ${node} as at most ${PEER_CALLS_MAX} questions may be open`,
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

  /** A question has come. @throws {WhorlError} `protocol_error`. */
  requestReceived(from: string, payload: Uint8Array): void {
    const { id, request } = decodeRequest(payload);
    this.#world.serve(from, request, (reply) => {
      this.#world.send(from, FrameType.joinReply, encodeReply(id, reply));
    });
  }

  /** An answer has come. Late ones find nobody, and only who was asked may answer. @throws {WhorlError} `protocol_error`. */
  replyReceived(from: string, payload: Uint8Array): void {
    // Who asked reads it later, when the payload is not ours any more.
    const { id, reply } = decodeReply(payload.slice());
    if (this.#open.get(id)?.node === from) this.#settle(id, reply);
  }

  /** The link to `node` is gone, and its answers with it. */
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
