/**
 * Keeps a node connected to its peers: exactly one `peer` link to every wanted
 * node, watched for silence and reconnected when it breaks; `bulk` links that
 * are opened on demand; and the links of clients.
 *
 * Links are opened by the `Dialer` and accepted by the `Door`; from then on
 * they are all held here. `admission.ts` decides who may connect, on what the
 * `PeerBook` knows, and `failure_detector.ts` decides who is silent.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type { Log } from "../environment/log.ts";
import type {
  Address,
  ByteStream,
  Listener,
} from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import { Dialer, type HandshakeTerms, nodeStopping } from "./dialer.ts";
import { Door } from "./door.ts";
import type { Consideration, Established } from "./handshake.ts";
import type { Candidate } from "./handshake_fsm.ts";
import { Link, type LinkClosed, type LinkHandler } from "./link.ts";
import type { LinkPeer } from "./link_peer.ts";
import { LinkWatch, type WatchTerms } from "./link_watch.ts";
import { PeerBook } from "./peer_book.ts";
import {
  PEER_LINKS_LIMITS,
  type PeerLinksEvents,
  type PeerLinksOptions,
} from "./peer_links_options.ts";

export type {
  PeerLinksEvents,
  PeerLinksLimits,
  PeerLinksOptions,
} from "./peer_links_options.ts";

/** The goodbye of a node that stops. */
const STOPPING = "stopping";
/** Ticks between pings of clients and bulk links. */
const OTHERS_PINGED_EVERY_TICKS = 4;

/** All links of one node; see the module comment. */
export class PeerLinks implements AsyncDisposable {
  readonly #options: PeerLinksOptions;
  readonly #limits: typeof PEER_LINKS_LIMITS;
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #events: PeerLinksEvents;
  readonly #book: PeerBook;
  /** Every link that is up. */
  readonly #watch: LinkWatch;
  readonly #dialer: Dialer;
  readonly #door: Door;
  readonly #tasks: Set<Promise<unknown>> = new Set();
  #listener: Listener | undefined;
  readonly #peerTerms: WatchTerms;
  readonly #otherTerms: WatchTerms;
  #clients = 0;
  #badRecords = 0;
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
    this.#book = new PeerBook(options);
    const handshake: HandshakeTerms = {
      runtime: options.runtime,
      identity: options.identity,
      cookie: options.cookie,
      secretBytes: options.secretBytes,
      deadlineMs: this.#limits.handshakeDeadlineMs,
      ...(options.versions === undefined ? {} : { versions: options.versions }),
    };
    this.#dialer = new Dialer({
      runtime: options.runtime,
      log: options.log,
      transport: options.transport,
      book: this.#book,
      handshake,
      reconnect: this.#limits.reconnect,
      untilUpMs: this.#limits.handshakeDeadlineMs,
      stopping: () => this.#closing !== undefined,
      enter: (stream, established) => this.#enter(stream, established),
      track: (task) => this.#track(task),
    });
    this.#door = new Door({
      ...options.limits,
      log: options.log,
      handshake: {
        ...handshake,
        consider: (candidate) => this.#considerAccepted(candidate),
      },
      enter: (stream, established) => this.#enter(stream, established),
      lost: (linkId) => this.#forgetArriving(linkId),
    });
  }

  /**
   * Accepts connections at `address` and returns the actual address, with the
   * port that was chosen if 0 was asked for.
   *
   * @throws {WhorlError} `address_in_use`, `not_reachable` or
   * `invalid_argument`.
   */
  async listen(address: Address): Promise<Address> {
    invariant(this.#listener === undefined, "a node listens once");
    const listener = await this.#options.transport.listen(
      address,
      (stream) => this.#door.knock(stream),
    );
    if (this.#closing !== undefined) {
      await listener[Symbol.asyncDispose]();
      throw nodeStopping();
    }
    this.#listener = listener;
    return listener.address;
  }

  /** Sets the peers to stay connected to, by name. Links to peers not among them are closed. */
  setPeers(peers: ReadonlyMap<string, Address>): void {
    if (this.#closing !== undefined) return;
    for (const record of this.#book.records()) {
      if (record.address !== undefined && !peers.has(record.name)) {
        record.address = undefined;
        this.#dialer.stopTrying(record);
        record.link?.close("removed");
      }
    }
    for (const [name, address] of peers) {
      if (name === this.#options.identity.name) continue;
      const record = this.#book.record(name);
      if (record.address === address) continue;
      record.address = address;
      if (record.link !== undefined) continue;
      // Failures at the old address say nothing about the new one.
      this.#dialer.stopTrying(record);
      record.failures = 0;
      this.#dialer.reach(record);
    }
  }

  /** The link to a peer, while it is up. */
  link(name: string): Link | undefined {
    return this.#book.find(name)?.link;
  }

  /** Every link that is up: to peers, for transfers, and of clients. */
  all(): Iterable<Link> {
    return this.#watch.all();
  }

  /** The peers that are up, suspected or not. */
  up(): LinkPeer[] {
    return this.#watch.links()
      .map((link) => link.peer)
      .filter((peer) => peer.kind === "peer");
  }

  /** Whether a peer is connected but does not answer. */
  isSuspect(name: string): boolean {
    const link = this.link(name);
    return link !== undefined && this.#watch.isSuspect(link);
  }

  /** How suspicious a peer's silence is now, or undefined if it is not connected. */
  phi(name: string): number | undefined {
    const link = this.link(name);
    return link && this.#watch.phi(link);
  }

  /**
   * Counts for tools: unauthenticated connections, links, clients among them,
   * and links that ended because of corrupted bytes.
   */
  counts(): {
    unauthenticated: number;
    links: number;
    clients: number;
    badRecords: number;
  } {
    return {
      unauthenticated: this.#door.waiting,
      links: this.#watch.size,
      clients: this.#clients,
      badRecords: this.#badRecords,
    };
  }

  /**
   * Opens a `peer` link to the node at `address`, or returns the one that is up
   * already. This is how a node first contacts a cluster. Such a link is
   * reconnected only once `setPeers` names the peer.
   *
   * @throws {WhorlError} As {@linkcode shakeHands}, and `not_reachable`.
   */
  connectTo(
    address: Address,
    options: { signal?: AbortSignal } = {},
  ): Promise<Link> {
    return this.#dialer.connectTo(address, options.signal);
  }

  /**
   * Opens a `bulk` link to a peer that {@linkcode setPeers} names. `onBulkDown`
   * reports its end; close it when the transfer is over.
   *
   * @throws {WhorlError} As {@linkcode shakeHands}, and `not_reachable`.
   */
  openBulk(
    name: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<Link> {
    return this.#dialer.openBulk(name, options.signal);
  }

  /** Closes everything; resolves when all streams, timers and handshakes have ended. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // #closing is set once this has returned its promise, so yield first.
    await Promise.resolve();
    this.#listener?.close();
    for (const record of this.#book.records()) record.dismissWaiters();
    this.#dialer.stopAll();
    for (const link of this.#watch.links()) link.close(STOPPING);
    await this.#door.close();
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
    await this.#listener?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Accepting.

  /** Decides about an end that has proved that it knows the cookie. */
  #considerAccepted(candidate: Candidate): Consideration {
    if (candidate.kind === "client") {
      return this.#clients < this.#limits.clientsMax
        ? { admit: true }
        : { admit: false, reason: "too_many_connections" };
    }
    const verdict = this.#book.decide(candidate);
    if (verdict.type === "refuse") {
      return { admit: false, reason: verdict.reason };
    }
    if (candidate.kind === "peer") {
      const record = this.#book.record(candidate.name);
      record.arriving = candidate;
      this.#dialer.giveWay(record);
    }
    return { admit: true };
  }

  #forgetArriving(linkId: string): void {
    for (const record of this.#book.records()) {
      if (record.arriving?.linkId !== linkId) continue;
      record.arriving = undefined;
      this.#dialer.retryLater(record);
    }
  }

  // Links.

  /** Makes a link of a successful handshake, from either side. */
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
      link.close(STOPPING);
      link.start();
      throw nodeStopping();
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
      const record = this.#book.record(peer.name);
      this.#events.onUp(link);
      record.tellWaiters(link);
    }
    // Only now, as frames that followed the handshake are handed on at once.
    link.start();
    return link;
  }

  /** Makes `link` its peer's link, unless another one came first. */
  #enterPeer(link: Link): void {
    const { peer } = link;
    const record = this.#book.record(peer.name);
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
    const verdict = this.#book.decideOpened(peer);
    return verdict.type === "refuse" ? verdict.reason : undefined;
  }

  readonly #handler: LinkHandler = {
    onFrame: (link, type, flags, correlation, bytes, start, end) =>
      this.#events.onFrame(link, type, flags, correlation, bytes, start, end),
    onHeard: (link) => this.#watch.answered(link),
    onClosed: (link, closed) => this.#onClosed(link, closed),
  };

  #onClosed(link: Link, closed: LinkClosed): void {
    if (!this.#watch.remove(link)) return;
    if (closed.badRecord) this.#badRecords++;
    const { kind, name } = link.peer;
    if (kind === "client") {
      this.#clients--;
      return this.#events.onClientDown(link, closed);
    }
    if (kind === "bulk") return this.#events.onBulkDown(link, closed);
    const record = this.#book.record(name);
    if (record.link === link) {
      record.link = undefined;
      record.hasStopped = closed.code === "goodbye" &&
        closed.message === STOPPING;
    }
    this.#events.onDown(name, closed, link);
    if (record.arriving === undefined) this.#dialer.retryLater(record);
  }

  #track<T>(task: Promise<T>): Promise<T> {
    const settled = task.then(() => {}, () => {}).finally(() => {
      this.#tasks.delete(settled);
    });
    this.#tasks.add(settled);
    return task;
  }
}
