/**
 * Opens a node's links: to each wanted peer on its own, retrying with backoff,
 * and others on request. It makes sure that the intended node answers; what
 * happens on the link is not its concern.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type {
  Address,
  ByteStream,
  Transport,
} from "../environment/transport.ts";
import { type Backoff, backoffDelayMs } from "../../supervisors/backoff.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { dial as openStream, type DialOptions } from "./dial.ts";
import type { Dial } from "./dials.ts";
import type { Consideration, Established } from "./handshake.ts";
import type { Candidate } from "./handshake_fsm.ts";
import type { Link } from "./link.ts";
import type { LinkKind } from "./link_peer.ts";
import type { PeerBook } from "./peer_book.ts";
import type { PeerRecord } from "./peer_record.ts";

/** What every handshake of a node needs. */
export type HandshakeTerms = Omit<
  DialOptions,
  "transport" | "address" | "kind" | "signal" | "consider"
>;

/** What a dialer is made of. */
export interface DialerOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly transport: Transport;
  readonly book: PeerBook;
  readonly handshake: HandshakeTerms;
  /** Waits between attempts to reach a peer. */
  readonly reconnect: Backoff;
  /** Milliseconds to wait for a link that the peer is opening. */
  readonly untilUpMs: number;
  /** Whether the node is stopping, so that no new attempt may begin. */
  readonly stopping: () => boolean;
  /** Called when a handshake has succeeded: returns the link, or throws. */
  readonly enter: (stream: ByteStream, established: Established) => Link;
  /** Registers each attempt, so that stopping can wait for it. */
  readonly track: <T>(task: Promise<T>) => Promise<T>;
}

/** Opens links; see the module comment. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #book: PeerBook;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#book = options.book;
  }

  /** Starts connecting to a peer whose address is known, and retries as long as it is. */
  reach(record: PeerRecord): void {
    const address = this.#book.addressOf(record.name) as Address;
    const dial = record.dial = this.#begin("peer");
    const attempt = this.#open(dial, address, record.name).then(
      () => undefined,
      (error) => error as unknown,
    ).then((error) => {
      this.#book.dials.end(dial);
      // Another dial has taken over, or the peer is no longer wanted.
      if (record.dial !== dial) return;
      record.dial = undefined;
      if (error !== undefined) this.#failed(record, address, error);
    });
    this.#options.track(attempt);
  }

  /** Schedules another attempt for a peer that is wanted and has neither a link nor an attempt. */
  retryLater(record: PeerRecord): void {
    const { runtime, reconnect, stopping } = this.#options;
    if (
      stopping() || record.address === undefined ||
      record.link !== undefined || record.retry !== undefined ||
      record.dial !== undefined
    ) return;
    const waitMs = backoffDelayMs(
      reconnect,
      record.failures++,
      runtime.random(),
    );
    record.retry = runtime.setTimer(waitMs, () => {
      record.retry = undefined;
      if (record.link === undefined) this.reach(record);
    });
  }

  /** Stops trying to connect to a peer. */
  stopTrying(record: PeerRecord): void {
    record.stopRetrying();
    const dial = record.dial;
    record.dial = undefined;
    dial?.stop.abort(superseded());
  }

  /** Both nodes connected to each other at once, and the peer's connection stays. */
  giveWay(record: PeerRecord): void {
    this.stopTrying(record);
    this.#book.dials.awaiting(record.name)?.stop.abort(superseded());
  }

  /** As `PeerLinks.connectTo`. */
  async connectTo(
    address: Address,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const { track, untilUpMs } = this.#options;
    const dial = this.#begin("peer", signal);
    try {
      return await track(this.#open(dial, address, undefined));
    } catch (error) {
      // The peer has connected to us meanwhile, or is about to.
      const { name } = dial;
      if (name === undefined || !isWhorlError(error, "connection_closed")) {
        throw error;
      }
      return await track(
        this.#book.record(name).untilUp(untilUpMs, error, signal),
      );
    } finally {
      this.#book.dials.end(dial);
    }
  }

  /** As `PeerLinks.openBulk`. */
  async openBulk(
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const address = this.#book.addressOf(name);
    if (address === undefined) {
      throw new WhorlError(
        "not_reachable",
        `Cannot open a bulk link to ${name} as its address is not known here`,
      );
    }
    const dial = this.#begin("bulk", signal);
    try {
      return await this.#options.track(this.#open(dial, address, name));
    } finally {
      this.#book.dials.end(dial);
    }
  }

  /** Stops all attempts, running and scheduled. */
  stopAll(): void {
    for (const record of this.#book.records()) this.stopTrying(record);
    this.#book.dials.stopAll(nodeStopping);
  }

  #failed(record: PeerRecord, address: Address, error: unknown): void {
    const failure = isWhorlError(error) ? error.code : reasonOf(error);
    // Only the first failure of a kind is logged loudly.
    const news = failure !== record.lastFailure &&
      failure !== "connection_closed";
    const loud = record.hasStopped ? "info" : "warn";
    record.lastFailure = failure;
    this.#options.log[news ? loud : "debug"]("Cannot reach a peer", {
      peer: record.name,
      address,
      reason: reasonOf(error),
    });
    this.retryLater(record);
  }

  #begin(kind: LinkKind, signal?: AbortSignal): Dial {
    if (this.#options.stopping()) throw nodeStopping();
    return this.#book.dials.begin(kind, signal);
  }

  async #open(
    dial: Dial,
    address: Address,
    expectedName: string | undefined,
  ): Promise<Link> {
    const { handshake, transport, enter } = this.#options;
    const { stream, established } = await openStream({
      ...handshake,
      transport,
      address,
      kind: dial.kind,
      signal: dial.stop.signal,
      consider: (candidate) => this.#consider(candidate, dial, expectedName),
    });
    return enter(stream, established);
  }

  /** Checks who the other end says it is, before it has proved anything. */
  #consider(
    candidate: Candidate,
    dial: Dial,
    expectedName: string | undefined,
  ): Consideration {
    if (expectedName !== undefined && candidate.name !== expectedName) {
      return { admit: false, reason: "wrong_name" };
    }
    dial.name = candidate.name;
    const { dials } = this.#book;
    // Another attempt of ours is further along.
    if (
      dial.kind === "peer" && dials.awaiting(candidate.name) !== undefined
    ) {
      return { admit: false, reason: "duplicate_link" };
    }
    const verdict = this.#book.decide(candidate);
    if (verdict.type === "refuse") {
      return { admit: false, reason: verdict.reason };
    }
    dial.awaiting = candidate;
    const { lastLinkId } = this.#book.record(candidate.name);
    return lastLinkId === undefined
      ? { admit: true }
      : { admit: true, lastLinkId };
  }
}

/** The failure of attempts while the node is stopping. */
export function nodeStopping(): WhorlError {
  return new WhorlError("closed", "Cannot connect as this node is stopping");
}

function superseded(): WhorlError {
  return new WhorlError(
    "connection_closed",
    "the nodes are connected already",
  );
}
