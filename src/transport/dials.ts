/**
 * The attempts to open links that are in progress, so that a node knows which
 * peers it is about to be connected to.
 *
 * @module
 */
import type { LinkIdentity, LinkKind } from "./link_peer.ts";

/** An attempt to open a link. */
export interface Dial {
  readonly kind: LinkKind;
  /** Aborts it. */
  readonly stop: AbortController;
  /** Name of the node that answered. */
  name: string | undefined;
  /** The node that answered, once we have sent our proof and wait for its welcome. */
  awaiting: LinkIdentity | undefined;
}

/** All attempts of a node. */
export class Dials {
  readonly #dials: Set<Dial> = new Set();

  /** A new attempt, which `signal` aborts as well. */
  begin(kind: LinkKind, signal?: AbortSignal): Dial {
    const dial: Dial = {
      kind,
      stop: new AbortController(),
      name: undefined,
      awaiting: undefined,
    };
    if (signal?.aborted) dial.stop.abort(signal.reason);
    signal?.addEventListener("abort", () => dial.stop.abort(signal.reason), {
      once: true,
      signal: dial.stop.signal,
    });
    this.#dials.add(dial);
    return dial;
  }

  /** The attempt is over, one way or the other. */
  end(dial: Dial): void {
    this.#dials.delete(dial);
    // Detaches from the caller's signal; the connection no longer listens to
    // ours. With a reason, since the default one is an exception and costs more
    // than all the rest.
    dial.stop.abort("the attempt is over");
  }

  /** The attempt to open a peer link that waits for the welcome of `name`. */
  awaiting(name: string): Dial | undefined {
    for (const dial of this.#dials) {
      if (
        dial.kind === "peer" && dial.awaiting?.name === name &&
        !dial.stop.signal.aborted
      ) return dial;
    }
    return undefined;
  }

  /** Aborts all of them; `why` is called only if there are any. */
  stopAll(why: () => unknown): void {
    if (this.#dials.size === 0) return;
    const reason = why();
    for (const dial of this.#dials) dial.stop.abort(reason);
  }
}
