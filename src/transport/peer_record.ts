/**
 * What a node keeps about one peer's name: where it should be, the link to it,
 * and how trying to reach it goes.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import type { Dial } from "./dials.ts";
import type { Link } from "./link.ts";
import type { LinkPeer } from "./link_peer.ts";

/** Everything about one name. */
export class PeerRecord {
  readonly name: string;
  /** Where it should be, while it is wanted. */
  address: Address | undefined;
  /** The link to it, while it is up. */
  link: Link | undefined;
  /** Admitted, and about to become `link`. */
  arriving: LinkPeer | undefined;
  /** The attempt to reach it that runs by itself. */
  dial: Dial | undefined;
  /** Failed attempts in a row. */
  failures = 0;
  lastFailure: string | undefined;
  /** Whether it said that it stops when its last link ended: it is not missed. */
  hasStopped = false;
  /** Until the next attempt. */
  retry: TimerHandle | undefined;
  /** The last link there was, to show to the peer when connecting anew. */
  lastLinkId: string | undefined;
  readonly #runtime: Runtime;
  readonly #waiters: Set<{ onUp(link: Link): void; giveUp(): void }> =
    new Set();

  constructor(name: string, runtime: Runtime) {
    this.name = name;
    this.#runtime = runtime;
  }

  /** `link` is the one from now on. */
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

  /** Lets those who wait for a link fail. */
  dismissWaiters(): void {
    for (const waiter of [...this.#waiters]) waiter.giveUp();
  }

  /** Drops the timer of the next attempt. */
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
