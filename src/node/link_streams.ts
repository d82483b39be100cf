/**
 * The streams of coverage queries that a peer has opened at vnodes of this
 * node. A stream continues by itself between two requests, so nothing else
 * would tell its vnode that the peer, and with it the query's coordinator, is
 * lost: when the link ends they are cancelled. They are tracked by observing
 * the requests and answers that pass.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError } from "../base/errors.ts";
import {
  CoverageAction,
  readCoverageAction,
  writeCoverageAction,
} from "../vnode/coverage_codec.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";
import {
  readVnodeRequestHeader,
  RequestFlag,
  type VnodeRequestHeader,
  writeVnodeRequestHeader,
} from "../vnode/vnode_wire.ts";
import { FrameType } from "../wire/frame_type.ts";

/** Time a cancel may wait for a vnode that is being restarted, in milliseconds. */
const CANCEL_MS = 1_000;

/** Takes requests to the vnodes of this node; it reads the bytes during the call only. */
export type RelayRequest = (
  target: AnswerTarget,
  correlation: number,
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
) => void;

/** The vnode that a stream is at. */
interface StreamPlace {
  readonly moduleId: number;
  readonly vnode: number;
  readonly query: number;
}

/** The streams of one link; see the module comment. */
export class LinkStreams {
  readonly #relay: RelayRequest;
  readonly #open = new Map<number, StreamPlace>();

  constructor(relay: RelayRequest) {
    this.#relay = relay;
  }

  /** Streams that have not ended. */
  get size(): number {
    return this.#open.size;
  }

  /** The target for the request in `bytes[start, end)`, which has the flag `coverage`: `target`, or one that looks at the answer first. */
  watch(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: AnswerTarget,
  ): AnswerTarget {
    const header: VnodeRequestHeader = {
      moduleId: 0,
      vnode: 0,
      command: 0,
      flags: 0,
      timeLeftMs: 0,
    };
    let asked: ReturnType<typeof readCoverageAction>;
    try {
      const reader = new ByteReader(bytes, start, end);
      readVnodeRequestHeader(reader, header);
      asked = readCoverageAction(reader);
    } catch (error) {
      // Its receiver refuses it.
      if (isWhorlError(error)) return target;
      throw error;
    }
    const { action, stream } = asked;
    if (action === CoverageAction.cancel) {
      this.#open.delete(stream);
      return target;
    }
    if (action === CoverageAction.open && !this.#open.has(stream)) {
      const { moduleId, vnode, command: query } = header;
      this.#open.set(stream, { moduleId, vnode, query });
    }
    return {
      vnodeAnswer: (type, correlation, bytes, start, end) => {
        const goesOn = type === FrameType.vnodeReply && bytes[start] !== 1;
        if (!goesOn) this.#open.delete(stream);
        target.vnodeAnswer(type, correlation, bytes, start, end);
      },
    };
  }

  /** The link has ended: the vnodes are told that nobody wants more. */
  close(): void {
    if (this.#open.size === 0) return;
    const into = new ByteWriter(64);
    for (const [stream, { moduleId, vnode, query }] of this.#open) {
      into.clear();
      writeVnodeRequestHeader(
        into,
        moduleId,
        vnode,
        query,
        RequestFlag.coverage,
        CANCEL_MS,
      );
      writeCoverageAction(into, CoverageAction.cancel, stream);
      this.#relay(NOBODY, 0, into.bytes, 0, into.length);
    }
    this.#open.clear();
  }
}

const NOBODY: AnswerTarget = { vnodeAnswer: () => {} };
