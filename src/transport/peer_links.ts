/**
 * Keeps a node in touch with its peers: one `peer` link to every node it wants
 * to know, reconnected when it breaks, watched for silence, and never two of
 * them; the `bulk` links that are opened on demand; and the links of clients.
 * Both sides are here, those this node opens and those it accepts.
 *
 * Who may connect is decided in `admission.ts`, who is silent in
 * `failure_detector.ts`; this file holds the links and acts.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type { Log } from "../environment/log.ts";
import type {
  Address,
  ByteStream,
  Listener,
} from "../environment/transport.ts";
import { backoffDelayMs } from "../../supervisors/backoff.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { type AdmissionView, decideAdmission } from "./admission.ts";
import { dial as openStream } from "./dial.ts";
import { type Dial, Dials } from "./dials.ts";
import { Door } from "./door.ts";
import type { Consideration, Established } from "./handshake.ts";
import type { Candidate } from "./handshake_fsm.ts";
import { Link, type LinkClosed, type LinkHandler } from "./link.ts";
import type { LinkKind, LinkPeer } from "./link_peer.ts";
import { LinkWatch, type WatchTerms } from "./link_watch.ts";
import {
  PEER_LINKS_LIMITS,
  type PeerLinksEvents,
  type PeerLinksOptions,
} from "./peer_links_options.ts";
import { PeerRecord } from "./peer_record.ts";

export type {
  PeerLinksEvents,
  PeerLinksLimits,
  PeerLinksOptions,
} from "./peer_links_options.ts";

/** Clients and bulk links are pinged on every so many ticks. */
const OTHERS_PINGED_EVERY_TICKS = 4;

/** All links of one node; see the module's text. */
export class PeerLinks implements AsyncDisposable {
  readonly #options: PeerLinksOptions;
  readonly #limits: typeof PEER_LINKS_LIMITS;
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #events: PeerLinksEvents;
  readonly #records: Map<string, PeerRecord> = new Map();
  /** Every link that is up. */
  readonly #watch: LinkWatch;
  readonly #dials: Dials = new Dials();
  readonly #tasks: Set<Promise<unknown>> = new Set();
  readonly #door: Door;
  #listener: Listener | undefined;
  readonly #peerTerms: WatchTerms;
  readonly #otherTerms: WatchTerms;
  #clients = 0;
  #closing: Promise<void> | undefined;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#limits = { ...PEER_LINKS_LIMITS, ...options.limits };
    this.#runtime = options.runtime;
    this.#log = options.log;
    this.#events = options.events;
    this.#watch = new LinkWatch({
      runtime: options.runtime,
      ...(options.failureDetector === undefined
        ? {}
        : { failureDetector: options.failureDetector }),
      onSuspect: ({ peer }) => {
        if (peer.kind === "peer") this.#events.onSuspect(peer.name);
      },
      onAlive: ({ peer }) => {
        if (peer.kind === "peer") this.#events.onAlive(peer.name);
      },
    });
    this.#peerTerms = {
      silenceMsMax: this.#limits.peerSilenceMsMax,
      pingEveryTicks: 1,
    };
    this.#otherTerms = {
      silenceMsMax: this.#limits.otherSilenceMsMax,
      pingEveryTicks: OTHERS_PINGED_EVERY_TICKS,
    };
    this.#door = new Door({
      ...options.limits,
      log: options.log,
      handshake: {
        ...this.#handshakeBase(),
        consider: (candidate) => this.#considerAccepted(candidate),
      },
      enter: (stream, established) => this.#enter(stream, established),
      lost: (linkId) => this.#forgetArriving(linkId),
    });
  }

  /**
   * Lets others in at `address` and returns the real one, with the port that
   * was chosen if 0 was asked for.
   *
   * @throws {WhorlError} `address_in_use`, `not_reachable` or `invalid_argument`.
   */
  async listen(address: Address): Promise<Address> {
    invariant(this.#listener === undefined, "a node listens once");
    const listener = await this.#options.transport.listen(
      address,
      (stream) => this.#door.knock(stream),
    );
    if (this.#closing !== undefined) {
      await listener[Symbol.asyncDispose]();
      throw stopped();
    }
    this.#listener = listener;
    return listener.address;
  }

  /** The peers to be connected to, by name. Links to names that are no longer among them are closed. */
  setPeers(peers: ReadonlyMap<string, Address>): void {
    if (this.#closing !== undefined) return;
    for (const record of this.#records.values()) {
      if (record.address !== undefined && !peers.has(record.name)) {
        record.address = undefined;
        this.#stopTrying(record);
        record.link?.close("removed");
      }
    }
    for (const [name, address] of peers) {
      if (name === this.#options.identity.name) continue;
      const record = this.#record(name);
      if (record.address === address) continue;
      record.address = address;
      if (record.link !== undefined) continue;
      // What failed at the old address says nothing about the new one.
      this.#stopTrying(record);
      record.failures = 0;
      this.#dialPeer(record);
    }
  }

  /** The link to a peer, while it is up. */
  link(name: string): Link | undefined {
    return this.#records.get(name)?.link;
  }

  /** The peers that are up, suspected or not. */
  up(): LinkPeer[] {
    return this.#watch.links()
      .map((link) => link.peer)
      .filter((peer) => peer.kind === "peer");
  }

  /** Whether a peer is up and does not answer. */
  isSuspect(name: string): boolean {
    const link = this.link(name);
    return link !== undefined && this.#watch.isSuspect(link);
  }

  /** How suspicious a peer's silence is now, or undefined if it is not connected. */
  phi(name: string): number | undefined {
    const link = this.link(name);
    return link && this.#watch.phi(link);
  }

  /** Counts for tools: what waits at the door, and links by kind. */
  counts(): { unauthenticated: number; links: number; clients: number } {
    return {
      unauthenticated: this.#door.waiting,
      links: this.#watch.size,
      clients: this.#clients,
    };
  }

  /**
   * Opens a `peer` link to whoever is at `address`, or returns the one that is
   * up already. This is how a node first meets a cluster; it stays until
   * it breaks, and is kept up from when `setPeers` names the peer.
   *
   * @throws {WhorlError} As {@linkcode shakeHands}, and `not_reachable`.
   */
  async connectTo(
    address: Address,
    options: { signal?: AbortSignal } = {},
  ): Promise<Link> {
    const dial = this.#beginDial("peer", options.signal);
    try {
      return await this.#track(this.#open(dial, address, undefined));
    } catch (error) {
      // Connected already, or about to be: the peer connected to us meanwhile.
      const { name } = dial;
      if (name === undefined || !isWhorlError(error, "connection_closed")) {
        throw error;
      }
      return await this.#track(
        this.#record(name).untilUp(
          this.#limits.handshakeDeadlineMs,
          error,
          options.signal,
        ),
      );
    } finally {
      this.#dials.end(dial);
    }
  }

  /**
   * Opens a `bulk` link to a peer that {@linkcode setPeers} names. Its end is
   * told by `onBulkDown`; close it when the transfer is over.
   *
   * @throws {WhorlError} As {@linkcode shakeHands}, and `not_reachable`.
   */
  async openBulk(
    name: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<Link> {
    const address = this.#addressOf(name);
    if (address === undefined) {
      throw new WhorlError(
        "not_reachable",
        `Cannot open a bulk link to ${name} as its address is not known here`,
      );
    }
    const dial = this.#beginDial("bulk", options.signal);
    try {
      return await this.#track(this.#open(dial, address, name));
    } finally {
      this.#dials.end(dial);
    }
  }

  /** Closes everything; resolves when no stream, timer or handshake is left. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // #closing is set once this has returned its promise, so yield first.
    await Promise.resolve();
    this.#listener?.close();
    for (const record of this.#records.values()) {
      this.#stopTrying(record);
      record.dismissWaiters();
    }
    this.#dials.stopAll(stopped());
    for (const link of this.#watch.links()) link.close("stopping");
    await this.#door.close();
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
    await this.#listener?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Opening.

  #dialPeer(record: PeerRecord): void {
    const address = this.#addressOf(record.name) as Address;
    const dial = record.dial = this.#beginDial("peer");
    const attempt = this.#open(dial, address, record.name).then(
      () => undefined,
      (error) => error as unknown,
    ).then((error) => {
      this.#dials.end(dial);
      // Another dial has taken over, or the peer is no longer wanted.
      if (record.dial !== dial) return;
      record.dial = undefined;
      if (error !== undefined) this.#dialFailed(record, address, error);
    });
    this.#track(attempt);
  }

  #dialFailed(record: PeerRecord, address: Address, error: unknown): void {
    const failure = isWhorlError(error) ? error.code : reasonOf(error);
    // The first of a kind is news; the hundredth is not.
    const news = failure !== record.lastFailure &&
      failure !== "connection_closed";
    record.lastFailure = failure;
    this.#log[news ? "warn" : "debug"]("Cannot reach a peer", {
      peer: record.name,
      address,
      reason: reasonOf(error),
    });
    this.#retryLater(record);
  }

  #retryLater(record: PeerRecord): void {
    if (
      this.#closing !== undefined || record.address === undefined ||
      record.link !== undefined || record.retry !== undefined ||
      record.dial !== undefined
    ) return;
    const waitMs = backoffDelayMs(
      this.#limits.reconnect,
      record.failures++,
      this.#runtime.random(),
    );
    record.retry = this.#runtime.setTimer(waitMs, () => {
      record.retry = undefined;
      if (record.link === undefined) this.#dialPeer(record);
    });
  }

  #stopTrying(record: PeerRecord): void {
    record.stopRetrying();
    const dial = record.dial;
    record.dial = undefined;
    dial?.stop.abort(superseded());
  }

  #beginDial(kind: LinkKind, signal?: AbortSignal): Dial {
    if (this.#closing !== undefined) throw stopped();
    return this.#dials.begin(kind, signal);
  }

  async #open(
    dial: Dial,
    address: Address,
    expectedName: string | undefined,
  ): Promise<Link> {
    const { stream, established } = await openStream({
      ...this.#handshakeBase(),
      transport: this.#options.transport,
      address,
      kind: dial.kind,
      signal: dial.stop.signal,
      consider: (candidate) =>
        this.#considerOpened(candidate, dial, expectedName),
    });
    return this.#enter(stream, established);
  }

  #handshakeBase() {
    const { runtime, identity, cookie, secretBytes, versions } = this.#options;
    return {
      runtime,
      identity,
      cookie,
      secretBytes,
      deadlineMs: this.#limits.handshakeDeadlineMs,
      ...(versions === undefined ? {} : { versions }),
    };
  }

  /** The other end says who it is and has proved nothing yet: is it who we want? */
  #considerOpened(
    candidate: Candidate,
    dial: Dial,
    expectedName: string | undefined,
  ): Consideration {
    if (expectedName !== undefined && candidate.name !== expectedName) {
      return { admit: false, reason: "wrong_name" };
    }
    dial.name = candidate.name;
    // Another attempt of ours is further than this one.
    if (
      dial.kind === "peer" && this.#dials.awaiting(candidate.name) !== undefined
    ) {
      return { admit: false, reason: "duplicate_link" };
    }
    const verdict = decideAdmission(candidate, this.#view(candidate.name));
    if (verdict.type === "refuse") {
      return { admit: false, reason: verdict.reason };
    }
    dial.awaiting = candidate;
    const { lastLinkId } = this.#record(candidate.name);
    return lastLinkId === undefined
      ? { admit: true }
      : { admit: true, lastLinkId };
  }

  // Accepting.

  /** The other end has proved that it knows the cookie: do we want it? */
  #considerAccepted(candidate: Candidate): Consideration {
    if (candidate.kind === "client") {
      return this.#clients < this.#limits.clientsMax
        ? { admit: true }
        : { admit: false, reason: "too_many_connections" };
    }
    const verdict = decideAdmission(candidate, this.#view(candidate.name));
    if (verdict.type === "refuse") {
      return { admit: false, reason: verdict.reason };
    }
    if (candidate.kind === "peer") {
      const record = this.#record(candidate.name);
      record.arriving = candidate;
      // Both nodes connected at once and this one stays.
      this.#stopTrying(record);
      this.#dials.awaiting(candidate.name)?.stop.abort(superseded());
    }
    return { admit: true };
  }

  #forgetArriving(linkId: string): void {
    for (const record of this.#records.values()) {
      if (record.arriving?.linkId !== linkId) continue;
      record.arriving = undefined;
      this.#retryLater(record);
    }
  }

  #view(name: string): AdmissionView {
    const record = this.#records.get(name);
    return {
      self: this.#options.identity,
      known: this.#options.knownIdentity(name),
      up: record?.arriving ?? record?.link?.peer,
      dialing: this.#dials.awaiting(name)?.awaiting,
    };
  }

  // Links.

  /** A handshake succeeded, ours or theirs: from here on there is a link. */
  #enter(stream: ByteStream, { peer, leftover }: Established): Link {
    const link = new Link(
      stream,
      peer,
      {
        runtime: this.#runtime,
        log: this.#log,
        ...(this.#options.linkLimits === undefined
          ? {}
          : { limits: this.#options.linkLimits }),
      },
      this.#handler,
      leftover,
    );
    this.#track(link.finished);
    if (this.#closing !== undefined) {
      link.close("stopping");
      link.start();
      throw stopped();
    }
    if (peer.kind === "peer") this.#enterPeer(link);
    this.#watch.add(
      link,
      peer.kind === "peer" ? this.#peerTerms : this.#otherTerms,
    );
    if (peer.kind === "client") {
      this.#clients++;
      this.#events.onClientUp(link);
    } else if (peer.kind === "bulk") {
      this.#events.onBulkUp(link);
    } else {
      const record = this.#record(peer.name);
      this.#events.onUp(link);
      record.tellWaiters(link);
    }
    // Frames that came with the handshake are handed on only now.
    link.start();
    return link;
  }

  /** Makes `link` the one of its peer, unless another has come first. */
  #enterPeer(link: Link): void {
    const { peer } = link;
    const record = this.#record(peer.name);
    const refusal = peer.openedBy === "other_node"
      ? (record.arriving?.linkId === peer.linkId ? undefined : "replaced")
      : this.#refusalOfOpened(peer);
    if (refusal !== undefined) {
      link.close(refusal);
      link.start();
      throw new WhorlError(
        refusal === "replaced" || refusal === "duplicate_link"
          ? "connection_closed"
          : "name_taken",
        `Cannot keep the connection to ${peer.name}: ${refusal}`,
      );
    }
    record.arriving = undefined;
    record.link?.close("replaced");
    record.established(link);
  }

  #refusalOfOpened(peer: LinkPeer): string | undefined {
    const verdict = decideAdmission(
      { ...peer, lastLinkId: "" },
      { ...this.#view(peer.name), dialing: undefined },
    );
    return verdict.type === "refuse" ? verdict.reason : undefined;
  }

  readonly #handler: LinkHandler = {
    onFrame: (link, type, flags, correlation, bytes, start, end) =>
      this.#events.onFrame(link, type, flags, correlation, bytes, start, end),
    onPong: (link) => this.#watch.answered(link),
    onClosed: (link, closed) => this.#onClosed(link, closed),
  };

  #onClosed(link: Link, closed: LinkClosed): void {
    if (!this.#watch.remove(link)) return;
    const { kind, name } = link.peer;
    if (kind === "client") {
      this.#clients--;
      return this.#events.onClientDown(link, closed);
    }
    if (kind === "bulk") return this.#events.onBulkDown(link, closed);
    const record = this.#record(name);
    if (record.link === link) record.link = undefined;
    this.#events.onDown(name, closed, link);
    if (record.arriving === undefined) this.#retryLater(record);
  }

  // Records.

  #record(name: string): PeerRecord {
    let record = this.#records.get(name);
    if (record === undefined) {
      record = new PeerRecord(name, this.#runtime);
      this.#records.set(name, record);
    }
    return record;
  }

  #addressOf(name: string): Address | undefined {
    const address = this.#records.get(name)?.address;
    return address === undefined
      ? undefined
      : this.#options.addressOverrides?.get(name) ?? address;
  }

  #track<T>(task: Promise<T>): Promise<T> {
    const settled = task.then(() => {}, () => {}).finally(() => {
      this.#tasks.delete(settled);
    });
    this.#tasks.add(settled);
    return task;
  }
}

function stopped(): WhorlError {
  return new WhorlError("closed", "Cannot connect as this node is stopping");
}

function superseded(): WhorlError {
  return new WhorlError(
    "connection_closed",
    "the nodes are connected already",
  );
}
