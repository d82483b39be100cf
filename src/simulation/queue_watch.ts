/**
 * Looks at the queues of a cluster: the requests that nodes coordinate, the
 * mailboxes of their vnodes, and what waits in their links. It sees whether one
 * is over its bound, and how full the fullest of each kind was: a run in which
 * none was near its bound says nothing about it.
 *
 * @module
 */
import type { NodeParts } from "../node/node_parts.ts";
import { LINK_CARRIED_BYTES_MAX } from "../node/link_budget.ts";
import type { PeerLinks } from "../transport/peer_links.ts";
import type { VnodeMaster } from "../vnode/vnode_master.ts";
import { BoundWatch, isWithinBound } from "./checkers/bounds.ts";
import type { Violation } from "./checkers/violation.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";
import type { EventOwner } from "./virtual_time.ts";

/**
 * What is looked at:
 *
 * - `requests`: those that a node coordinates;
 * - `mailbox`: commands that wait for a vnode or are being handled by it;
 * - `mailbox_bytes`: bytes of those that wait;
 * - `link`: bytes that wait to be sent to a peer or a client.
 */
export type QueueKind = "requests" | "mailbox" | "mailbox_bytes" | "link";

/** How full a queue was, and how full it might have been. */
export interface QueueFill {
  /** Entries or bytes. */
  readonly length: number;
  /** The same of its bound; 0 while nothing was looked at. */
  readonly bound: number;
}

/** The fullest queue of each kind, by its share of its bound. */
export type FullestQueues = Readonly<Record<QueueKind, QueueFill>>;

/**
 * Bytes that a link may have beyond what requests and answers put there: pings,
 * gossip, calls, and the errors in the place of answers. Far more than those of a
 * small cluster.
 */
const LINK_SIGNALS_BYTES_MAX = 1024 * 1024;
/** What a link may hold, in bytes. */
const LINK_BYTES_MAX = LINK_CARRIED_BYTES_MAX + LINK_SIGNALS_BYTES_MAX;

/** Watches the queues of one cluster. It looks after each event, so it makes nothing unless there is something to tell. */
export class QueueWatch {
  readonly #now: () => number;
  readonly #bounds = new BoundWatch();
  readonly #fullest: Record<QueueKind, { length: number; bound: number }> = {
    requests: { length: 0, bound: 0 },
    mailbox: { length: 0, bound: 0 },
    mailbox_bytes: { length: 0, bound: 0 },
    link: { length: 0, bound: 0 },
  };

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How full the fullest queue of each kind was so far. */
  get fullest(): FullestQueues {
    const { requests, mailbox, mailbox_bytes, link } = this.#fullest;
    return {
      requests: { ...requests },
      mailbox: { ...mailbox },
      mailbox_bytes: { ...mailbox_bytes },
      link: { ...link },
    };
  }

  /** What was over its bound. */
  get violations(): readonly Violation[] {
    return this.#bounds.violations;
  }

  /**
   * Looks at every queue of the nodes that are up and run in one of the
   * processes `entered`. Queues change in code of their process, so the others
   * are as they were. If there is no such process every node is looked at.
   */
  look(
    machines: readonly SimulatedMachine[],
    entered: readonly EventOwner[],
  ): void {
    for (const { host, node, process } of machines) {
      if (node === undefined) continue;
      if (entered.length > 0 && !entered.includes(process as EventOwner)) {
        continue;
      }
      this.#lookAt(host, node.parts);
    }
  }

  #lookAt(host: string, { requests, config, vnodes, links }: NodeParts): void {
    if (requests !== undefined) {
      this.#see("requests", requests.size, config.requestsMax, host);
    }
    for (const master of vnodes?.tasks.values() ?? []) {
      this.#lookIntoMailboxes(host, master);
    }
    if (links !== undefined) this.#lookAtLinks(host, links);
  }

  #lookIntoMailboxes(host: string, master: VnodeMaster): void {
    const { moduleName: module, mailboxBounds: bounds } = master;
    for (const vnode of master.vnodes()) {
      const { number, commands } = vnode;
      this.#see("mailbox", commands, bounds.requestsMax, host, module, number);
      if (commands < 2) continue;
      const { waiting, waitingBytes: bytes } = vnode.backlog;
      // One that waits alone may be of any size, or a large one would never be taken.
      if (waiting < 2) continue;
      this.#see("mailbox_bytes", bytes, bounds.bytesMax, host, module, number);
    }
  }

  #lookAtLinks(host: string, links: PeerLinks): void {
    for (const { bufferedBytes, peer } of links.all()) {
      this.#see("link", bufferedBytes, LINK_BYTES_MAX, host, peer.name);
    }
  }

  /** Takes note of one queue; `of` and `number` say which of those of `host` it is. */
  #see(
    kind: QueueKind,
    length: number,
    bound: number,
    host: string,
    of = "",
    number = 0,
  ): void {
    const fullest = this.#fullest[kind];
    if (
      fullest.bound === 0 || length * fullest.bound > fullest.length * bound
    ) {
      fullest.length = length;
      fullest.bound = bound;
    }
    if (isWithinBound(length, bound)) return;
    const queue = nameOf(kind, host, of, number);
    this.#bounds.see({ queue, length, bound, atMs: this.#now() });
  }
}

/** A queue in words. */
function nameOf(
  kind: QueueKind,
  host: string,
  of: string,
  number: number,
): string {
  switch (kind) {
    case "requests":
      return `requests of ${host}`;
    case "mailbox":
      return `mailbox of vnode ${number} of ${of} on ${host}`;
    case "mailbox_bytes":
      return `mailbox of vnode ${number} of ${of} on ${host}, in bytes,`;
    case "link":
      return `link from ${host} to ${of}, in bytes,`;
  }
}
