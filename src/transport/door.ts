/**
 * The accepting side: runs the handshake of incoming streams, and bounds how
 * many may be unauthenticated at a time, in total and per host, so that
 * strangers cannot exhaust the node's file descriptors or memory.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, type WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import { writeFrame } from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";
import { parseAddress } from "./address.ts";
import { type Established, shakeHands } from "./handshake.ts";
import type { ShakeHandsOptions } from "./handshake.ts";
import { encodeRefused, PROTOCOL_VERSIONS } from "./handshake_codec.ts";

/** Refusals logged as warnings in each period; further ones are logged at debug level. */
const WARNINGS_MAX = 20;
const WARNINGS_PERIOD_MS = 60_000;

/** Bounds on connections that have not authenticated. */
export interface DoorLimits {
  /** Unauthenticated connections in total. @default {256} */
  readonly unauthenticatedMax?: number;
  /** The same from one host. @default {128} */
  readonly unauthenticatedPerHostMax?: number;
}

/** What the door needs. */
export interface DoorOptions extends DoorLimits {
  readonly handshake: Omit<ShakeHandsOptions, "role" | "signal">;
  readonly log: Log;
  /** Called for each end that was let in, synchronously when its handshake ends. */
  readonly enter: (stream: ByteStream, established: Established) => void;
  /** Called for an end that was admitted and then failed. */
  readonly lost: (linkId: string) => void;
}

/** Runs the handshakes of incoming streams. */
export class Door {
  readonly #options: DoorOptions;
  readonly #waiting: Map<Promise<void>, string> = new Map();
  readonly #perHost: Map<string, number> = new Map();
  readonly #shut: AbortController = new AbortController();
  #closed = false;
  #warnings = 0;
  #warningsSinceMs = -Infinity;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Unauthenticated connections now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Starts a stream's handshake, or turns the stream away. */
  knock(stream: ByteStream): void {
    if (this.#closed) return stream.close();
    const { unauthenticatedMax = 256, unauthenticatedPerHostMax = 128 } =
      this.#options;
    const { host } = parseAddress(stream.remoteAddress);
    const fromHost = this.#perHost.get(host) ?? 0;
    if (
      this.#waiting.size >= unauthenticatedMax ||
      fromHost >= unauthenticatedPerHostMax
    ) {
      this.#options.log.debug("Turning a connection away: too many wait", {
        address: stream.remoteAddress,
      });
      turnAway(stream);
      return;
    }
    this.#perHost.set(host, fromHost + 1);
    const done = this.#admit(stream).finally(() => {
      this.#waiting.delete(done);
      const left = (this.#perHost.get(host) ?? 1) - 1;
      if (left === 0) this.#perHost.delete(host);
      else this.#perHost.set(host, left);
    });
    this.#waiting.set(done, host);
  }

  async #admit(stream: ByteStream): Promise<void> {
    const { handshake, log, enter, lost } = this.#options;
    let admitted: string | undefined;
    try {
      const established = await shakeHands(stream, {
        ...handshake,
        role: "accepter",
        signal: this.#shut.signal,
        consider: (candidate) => {
          const answer = handshake.consider(candidate);
          if (answer.admit) admitted = candidate.linkId;
          return answer;
        },
      });
      enter(stream, established);
    } catch (error) {
      if (admitted !== undefined) lost(admitted);
      if (isWhorlError(error)) return this.#tell(stream, error);
      // Not the other end's fault, so it must not look like that.
      log.error("Accepting a connection failed", {
        address: stream.remoteAddress,
        error,
      });
    }
  }

  #tell(stream: ByteStream, error: WhorlError): void {
    // Connections that end early are common: port scans, races, stops.
    const everyday = error.code === "connection_closed" ||
      error.code === "handshake_failed" || error.code === "closed";
    const loud = !everyday && this.#mayWarn();
    this.#options.log[loud ? "warn" : "debug"]("Refused a connection", {
      address: stream.remoteAddress,
      code: error.code,
      reason: reasonOf(error),
    });
  }

  /** Strangers must not be able to fill the log. */
  #mayWarn(): boolean {
    const now = this.#options.handshake.runtime.now();
    if (now - this.#warningsSinceMs >= WARNINGS_PERIOD_MS) {
      this.#warningsSinceMs = now;
      this.#warnings = 0;
    }
    return ++this.#warnings <= WARNINGS_MAX;
  }

  /** Aborts every handshake; resolves when all have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#waiting.size > 0) this.#shut.abort();
    await Promise.all(this.#waiting.keys());
  }
}

/** Sends the reason in one small write, which a new stream takes at once, and closes. */
function turnAway(stream: ByteStream): void {
  const frame = new ByteWriter(64);
  writeFrame(
    frame,
    FrameType.refused,
    0,
    encodeRefused("too_many_connections", PROTOCOL_VERSIONS),
  );
  const close = () => stream.close();
  stream.write(frame.view()).then(close, close);
}
