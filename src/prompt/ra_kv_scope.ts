/**
 * `raKv` at a prompt: the client of a session, whose calls are cancelled
 * together with the command that made them.
 *
 * @module
 */
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";

/** `raKv` with calls that are cancelled when the signal of the current command fires. */
export function raKvScope(
  raKv: RaKvClient,
  signalOf: () => AbortSignal | undefined,
): RaKvClient {
  const stopping = <Options extends object>(
    options: Options | undefined,
  ): Options & { readonly signal: AbortSignal | undefined } => ({
    signal: signalOf(),
    ...options as Options,
  });
  return {
    put: (cluster, key, value, options) =>
      raKv.put(cluster, key, value, stopping(options)),
    get: (cluster, key, options) => raKv.get(cluster, key, stopping(options)),
    delete: (cluster, key, options) =>
      raKv.delete(cluster, key, stopping(options)),
    compareAndSet: (cluster, key, index, value, options) =>
      raKv.compareAndSet(cluster, key, index, value, stopping(options)),
    batch: (cluster, changes, options) =>
      raKv.batch(cluster, changes, stopping(options)),
    readEntry: (cluster, index, options) =>
      raKv.readEntry(cluster, index, stopping(options)),
    watch: (cluster, options) => raKv.watch(cluster, stopping(options)),
    startCluster: (cluster, members, options) =>
      raKv.startCluster(cluster, members, stopping(options)),
    deleteCluster: (cluster, options) =>
      raKv.deleteCluster(cluster, stopping(options)),
    clusters: (options) => raKv.clusters(stopping(options)),
    addMember: (cluster, node, options) =>
      raKv.addMember(cluster, node, stopping(options)),
    removeMember: (cluster, node, options) =>
      raKv.removeMember(cluster, node, stopping(options)),
    members: (cluster, options) => raKv.members(cluster, stopping(options)),
    memberOverview: (cluster, node, options) =>
      raKv.memberOverview(cluster, node, stopping(options)),
    overview: (cluster, options) => raKv.overview(cluster, stopping(options)),
    liveIndexes: (cluster, options) =>
      raKv.liveIndexes(cluster, stopping(options)),
    takeSnapshot: (cluster, options) =>
      raKv.takeSnapshot(cluster, stopping(options)),
    compact: (cluster, options) => raKv.compact(cluster, stopping(options)),
    transferLeadership: (cluster, to, options) =>
      raKv.transferLeadership(cluster, to, stopping(options)),
    forceShrink: (cluster, node, options) =>
      raKv.forceShrink(cluster, node, stopping(options)),
  };
}
