/**
 * What a node knows about one peer: its address, the link to it, and the
 * attempts to reach it.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Dial } from "./dials.ts";
import type { Link } from "./link.ts";
import type { LinkPeer } from "./link_peer.ts";

/** All about one name. */
export class PeerRecord {
  readonly name: string;
  /** Its address, while it is wanted. */
  address: Address | undefined;
  /** The link to it, while it is up. */
  link: Link | undefined;
  /** Admitted, and about to become `link`. */
  arriving: LinkPeer | undefined;
  /** The automatic attempt to reach it that is in progress. */
  dial: Dial | undefined;
  /** Failed attempts in a row. */
  failures = 0;
  lastFailure: string | undefined;
  /** Whether its last link ended with its saying that it stops: failures to reach it are expected. */
  hasStopped = false;
  /** The timer of the next attempt. */
  retry: TimerHandle | undefined;
  /** The id of the last link, to tell the peer when reconnecting. */
  lastLinkId: string | undefined;
  readonly #runtime: Runtime;
  readonly #waiters: Set<{ onUp(link: Link): void; giveUp(): void }> =
    new Set();

  constructor(name: string, runtime: Runtime) {
    this.name = name;
    this.#runtime = runtime;
  }

  /** Takes `link` as the peer's link. */
  established(link: Link): void {
    this.arriving = undefined;
    this.stopRetrying();
    this.link = link;
    this.lastLinkId = link.peer.linkId;
    this.failures = 0;
    this.lastFailure = undefined;
    this.hasStopped = false;
  }

  /** Tells those who wait for a link. */
  tellWaiters(link: Link): void {
    for (const waiter of [...this.#waiters]) waiter.onUp(link);
  }

  /** Fails those who wait for a link. */
  dismissWaiters(): void {
    for (const waiter of [...this.#waiters]) waiter.giveUp();
  }

  /** Cancels the next attempt. */
  stopRetrying(): void {
    if (this.retry !== undefined) this.#runtime.clearTimer(this.retry);
    this.retry = undefined;
  }

  /** The link, now or when it comes; fails with `error` if that takes longer than `waitMs`. */
  untilUp(
    waitMs: number,
    error: WhorlError,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    if (this.link !== undefined) return Promise.resolve(this.link);
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#runtime.clearTimer(timer);
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", waiter.giveUp);
      };
      const waiter = {
        onUp: (link: Link) => {
          settle();
          resolve(link);
        },
        giveUp: () => {
          settle();
          reject(error);
        },
      };
      const timer = this.#runtime.setTimer(waitMs, waiter.giveUp);
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", waiter.giveUp);
    });
  }
}
