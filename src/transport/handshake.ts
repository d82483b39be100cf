/**
 * Runs a handshake over a stream: reads and writes its frames, enforces the
 * deadline, and closes the stream unless it succeeds. `handshake_fsm.ts` makes
 * the decisions.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { ByteStream } from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { FRAME_BYTES_MAX_UNAUTHENTICATED, writeFrame } from "../wire/frame.ts";
import type { Cookie } from "./cookie.ts";
import {
  NONCE_BYTES,
  PROTOCOL_VERSIONS,
  type RefusalReason,
  type VersionRange,
} from "./handshake_codec.ts";
import {
  type Candidate,
  createHandshake,
  type HandshakeEffect,
  type HandshakeEvent,
  stepHandshake,
} from "./handshake_fsm.ts";
import type { LinkIdentity, LinkKind, LinkPeer } from "./link_peer.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Milliseconds in which a handshake must complete. */
export const HANDSHAKE_DEADLINE_MS = 3_000;
/** Milliseconds that a refused end has to read the reason. */
const REFUSED_LINGER_MS = 250;

/** Whether the node wants a link. */
export type Consideration =
  | { readonly admit: true; readonly lastLinkId?: string }
  | { readonly admit: false; readonly reason: RefusalReason };

/** What a handshake needs. */
export interface ShakeHandsOptions {
  readonly role: "opener" | "accepter";
  /** The kind of link to open, for the opener. @default {"peer"} */
  readonly kind?: LinkKind;
  readonly identity: LinkIdentity;
  readonly cookie: Cookie;
  readonly runtime: Runtime;
  /** Returns cryptographically secure random bytes. */
  readonly secretBytes: (count: number) => Uint8Array;
  /** Called synchronously: on the opener before it sends its proof, on the accepter after it has verified the other end's. */
  readonly consider: (candidate: Candidate) => Consideration;
  /** @default {3000} */
  readonly deadlineMs?: number;
  /** Protocol versions that this end speaks. @default {2 to 2} */
  readonly versions?: VersionRange;
  /** Aborts the handshake. */
  readonly signal?: AbortSignal;
}

/** A handshake that succeeded. */
export interface Established {
  readonly peer: LinkPeer;
  /** Bytes that followed the handshake and belong to the link. */
  readonly leftover: Uint8Array;
}

/**
 * Runs the handshake over `stream`.
 *
 * @throws {WhorlError} Why it failed: `handshake_failed`, `wrong_cookie`,
 * `wrong_cluster`, `wrong_version`, `self_connection`, `name_taken`,
 * `too_many_connections`, `protocol_error` or `connection_closed`. The stream
 * is then closed.
 */
export async function shakeHands(
  stream: ByteStream,
  options: ShakeHandsOptions,
): Promise<Established> {
  const hands = new Handshake(stream, options);
  try {
    return await hands.run();
  } catch (error) {
    stream.close();
    throw error;
  } finally {
    hands.stopClock();
  }
}

class Handshake {
  readonly #stream: ByteStream;
  readonly #options: ShakeHandsOptions;
  readonly #state;
  readonly #received: ReceiveBuffer = new ReceiveBuffer();
  readonly #outgoing: ByteWriter = new ByteWriter(512);
  #clock: unknown;
  #peer: LinkPeer | undefined;
  #failure: { error: WhorlError; told: boolean } | undefined;
  readonly #onAbort = (): void => {
    const reason: unknown = this.#options.signal?.reason;
    this.#step({ type: "stream_ended", reason: reasonOf(reason) });
    // The reason for the abort is the best explanation.
    if (this.#failure !== undefined && isWhorlError(reason)) {
      this.#failure = { error: reason, told: false };
    }
    this.#stream.close();
  };

  constructor(stream: ByteStream, options: ShakeHandsOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#state = createHandshake({
      role: options.role,
      ...(options.kind === undefined ? {} : { kind: options.kind }),
      identity: options.identity,
      cookie: options.cookie,
      versions: options.versions ?? PROTOCOL_VERSIONS,
      nonce: options.secretBytes(NONCE_BYTES),
      address: stream.remoteAddress,
    });
  }

  async run(): Promise<Established> {
    const { runtime, signal, deadlineMs = HANDSHAKE_DEADLINE_MS } =
      this.#options;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort);
    this.#clock = runtime.setTimer(deadlineMs, () => {
      this.#step({ type: "deadline" });
      // A write may be hanging, so the other end is not told and the stream is
      // just closed.
      this.#stream.close();
    });
    this.#step({ type: "start" });
    try {
      while (this.#peer === undefined && this.#failure === undefined) {
        await this.#flush();
        await this.#receive();
      }
      // The welcome, or the refusal.
      await this.#flush();
    } catch (error) {
      if (
        !isWhorlError(error, "connection_closed") || this.#peer !== undefined
      ) throw error;
      this.#step({ type: "stream_ended", reason: error.message });
    }
    if (this.#failure !== undefined) {
      if (this.#failure.told) await this.#linger();
      throw this.#failure.error;
    }
    if (this.#peer === undefined || signal?.aborted) {
      throw new WhorlError(
        "connection_closed",
        `Cannot connect to ${this.#stream.remoteAddress}: the connection was given up`,
      );
    }
    return { peer: this.#peer, leftover: this.#received.rest() };
  }

  stopClock(): void {
    this.#options.runtime.clearTimer(this.#clock);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  /** Handles one frame if it has arrived, and reads more bytes otherwise. */
  async #receive(): Promise<void> {
    try {
      const taken = this.#received.takeOne(
        FRAME_BYTES_MAX_UNAUTHENTICATED,
        (frameType, _flags, _correlation, bytes, start, end) =>
          this.#step({
            type: "frame",
            frameType,
            payload: bytes.subarray(start, end),
          }),
      );
      if (taken) return;
    } catch (error) {
      if (!(error instanceof WhorlError)) throw error;
      return this.#step({ type: "garbage", error });
    }
    const count = await this.#stream.read(this.#received.space());
    if (count === null) {
      this.#step({ type: "stream_ended", reason: "the other end hung up" });
    } else this.#received.filled(count);
  }

  #step(event: HandshakeEvent): void {
    for (const effect of stepHandshake(this.#state, event)) {
      this.#perform(effect);
    }
  }

  #perform(effect: HandshakeEffect): void {
    switch (effect.type) {
      case "send":
        return writeFrame(
          this.#outgoing,
          effect.frameType,
          0,
          effect.payload,
        );
      case "consider": {
        const answer = this.#options.consider(effect.candidate);
        return this.#step(
          answer.admit
            ? {
              type: "admitted",
              ...(answer.lastLinkId === undefined
                ? {}
                : { lastLinkId: answer.lastLinkId }),
            }
            : { type: "rejected", reason: answer.reason },
        );
      }
      case "succeed":
        this.#peer = effect.peer;
        return;
      case "fail":
        this.#failure = effect;
        return;
      default:
        return effect satisfies never;
    }
  }

  async #flush(): Promise<void> {
    if (this.#outgoing.length === 0) return;
    const bytes = this.#outgoing.copy();
    this.#outgoing.clear();
    try {
      await this.#stream.write(bytes);
    } catch (error) {
      // The other end may have refused and closed before it read this. Its
      // reason can still be read; if there is none, the next read fails.
      if (
        this.#options.role === "accepter" ||
        !isWhorlError(error, "connection_closed")
      ) throw error;
    }
  }

  /** Closing with unread bytes would reset the connection, and the refusal could be lost. */
  async #linger(): Promise<void> {
    const { runtime } = this.#options;
    if (this.#options.role === "opener") return;
    const timer = runtime.setTimer(
      REFUSED_LINGER_MS,
      () => this.#stream.close(),
    );
    const scratch = new Uint8Array(1024);
    try {
      while (await this.#stream.read(scratch) !== null);
    } catch (error) {
      if (!isWhorlError(error, "connection_closed")) throw error;
      // The other end closed, or the time is up: done either way.
    } finally {
      runtime.clearTimer(timer);
    }
  }
}
