/**
 * Questions to other nodes: each is answered once, by the node it went to, by
 * that node's link breaking, or by the clock.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  type ClusterReply,
  type ClusterRequest,
  encodeRequest,
} from "./cluster_codec.ts";

/** Questions that may be open at once; more are refused with `overload`. */
export const PEER_CALLS_MAX = 1024;

interface Call {
  readonly node: string;
  readonly timer: TimerHandle;
  readonly answer: (reply: ClusterReply) => void;
}

/** The open questions of one node. */
export class PeerCalls {
  readonly #runtime: Runtime;
  readonly #send: (
    node: string,
    frameType: number,
    payload: Uint8Array,
  ) => boolean;
  readonly #open = new Map<number, Call>();
  #nextId = 1;
  #stopped = false;

  /** @param send Sends a frame; `false` if there is no link to the node. */
  constructor(
    runtime: Runtime,
    send: (node: string, frameType: number, payload: Uint8Array) => boolean,
  ) {
    this.#runtime = runtime;
    this.#send = send;
  }

  /** Asks `node`; `answer` is called once, with its answer or with `not_reachable`, `timeout`, `overload` or `closed`. */
  ask(
    node: string,
    request: ClusterRequest,
    timeoutMs: number,
    answer: (reply: ClusterReply) => void,
  ): void {
    if (this.#stopped) return answer(closed());
    if (this.#open.size >= PEER_CALLS_MAX) {
      return answer(refused(
        "overload",
        `Cannot ask ${node} as at most ${PEER_CALLS_MAX} questions may be open`,
        { node },
      ));
    }
    const id = this.#nextId++;
    const timer = this.#runtime.setTimer(timeoutMs, () => {
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
    if (!this.#send(node, FrameType.joinRequest, payload)) {
      this.#settle(id, unreachable(node));
    }
  }

  /** An answer has come. Late ones find nobody, and only who was asked may answer. */
  answered(from: string, id: number, reply: ClusterReply): void {
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
    this.#runtime.clearTimer(call.timer);
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
