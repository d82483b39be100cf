/**
 * The figures of a vnode master: of its vnodes in total, of its pools and of
 * its store.
 *
 * @module
 */
import type { Store } from "../environment/storage.ts";
import type { MasterPools } from "./master_pools.ts";
import type { VnodeCounts } from "./vnode_host.ts";
import type { VnodeProcess } from "./vnode_process.ts";

/** The figures of a master, as the node asks for them. */
export function masterFigures(
  vnodes: Iterable<VnodeProcess>,
  longestTurnMs: number,
  pools: MasterPools,
  store: Store,
): Record<string, unknown> {
  const counts: VnodeCounts = {
    handled: 0,
    failed: 0,
    refused: 0,
    declined: 0,
    shed: 0,
    expired: 0,
  };
  const mailbox = {
    requests: 0,
    bytes: 0,
    longest: 0,
    overloaded: 0,
    behind: 0,
  };
  let size = 0, waiting = 0, abandoned = 0;
  for (const process of vnodes) {
    size++;
    for (const name of Object.keys(counts) as (keyof VnodeCounts)[]) {
      counts[name] += process.counts[name];
    }
    waiting += process.load;
    abandoned += process.abandoned;
    const { backlog } = process;
    mailbox.requests += backlog.waiting;
    mailbox.bytes += backlog.waitingBytes;
    mailbox.longest = Math.max(mailbox.longest, backlog.waiting);
    mailbox.overloaded += Number(backlog.overloaded);
    mailbox.behind += Number(backlog.behind);
  }
  return {
    vnodes: size,
    ...counts,
    waiting,
    abandoned,
    longestTurnMs: Math.round(longestTurnMs),
    mailbox,
    ...pools.figures(),
    store: {
      ...store.stats(),
      epoch: store.state.epoch,
      tailLost: Number(store.state.tailLost),
    },
  };
}
