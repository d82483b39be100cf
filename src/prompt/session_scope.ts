/**
 * The names in scope at the prompt of a node: `kv`, `raKv`, `cluster`, `node`.
 * They return plain data that prints like the tables of the command line.
 *
 * @module
 */
import type { KvClient } from "../kv/kv_client.ts";
import type { AdminSession } from "../node/admin_protocol.ts";
import {
  CLEARED_TEXT,
  COMMITTED_TEXT,
  joinEndedText,
  joinText,
  resizeStagedText,
  ringReadyText,
  stagedJoinText,
  stagedText,
} from "../ring/admin_messages.ts";
import {
  clusterStatusText,
  membershipTable,
  ringStatusReport,
} from "../ring/membership_display.ts";
import { planText } from "../ring/plan_display.ts";
import { ringStatusText } from "../ring/ring_display.ts";
import { renderTree } from "../../supervisors/tree_view.ts";
import {
  clusterStatusRows,
  memberRows,
  planRows,
  ringStatusRows,
} from "../admin/cluster_rows.ts";
import { fetchTransfers } from "../admin/cluster_transfers.ts";
import {
  type NodeTarget,
  nodeTargetOf,
  nodeTargetRule,
} from "../admin/node_target.ts";
import { transfersText } from "../admin/transfers_text.ts";
import { WhorlError } from "../base/errors.ts";
import { raKvScope } from "./ra_kv_scope.ts";
import { withPromptText } from "./prompt_text.ts";

/** Time in which the members of a cluster must report their transfers, in milliseconds. */
const TRANSFERS_TIMEOUT_MS = 10_000;

/** The names, and a way to set the command that they serve. */
export interface SessionScope {
  readonly names: Readonly<Record<string, unknown>>;
  /** From now on, `signal` cancels the calls. */
  onCommand(signal: AbortSignal): void;
}

/** The names for `session`, called `name`. */
export function sessionScope(
  session: AdminSession,
  name: string,
): SessionScope {
  let signal: AbortSignal | undefined;
  const call: AdminSession["call"] = (method, args, options) =>
    session.call(method, args, { signal, ...options });
  const kv: KvClient = {
    get: (bucket, key, options) =>
      session.kv.get(bucket, key, { signal, ...options }),
    put: (bucket, key, value, options) =>
      session.kv.put(bucket, key, value, { signal, ...options }),
    delete: (bucket, key, options) =>
      session.kv.delete(bucket, key, { signal, ...options }),
    keys: (bucket, options) => session.kv.keys(bucket, { signal, ...options }),
  };
  const raKv = raKvScope(session.raKv, () => signal);
  const cluster = {
    join: async (
      node: string,
      { staged = true }: { readonly staged?: boolean } = {},
    ) => {
      const target = /:\d+$/.test(node) ? targetOf(node) : { node };
      const done = await call("cluster_join", { ...target, staged });
      const text = done.staged
        ? stagedJoinText(done.node, done.joined)
        : joinText(done.joined);
      return withPromptText(done, text);
    },
    plan: async () => {
      const plan = await call("cluster_plan", {});
      return withPromptText(plan, planText(planRows(plan)));
    },
    leave: async (node?: string) => {
      const done = await call(
        "cluster_leave",
        node === undefined ? {} : { node },
      );
      const text = done.staged ? stagedText("leave", done.node) : joinEndedText(
        done.node,
      );
      return withPromptText(done, text);
    },
    resizeRing: async (ringSize: number) => {
      const done = await call("cluster_resize_ring", { ringSize });
      return withPromptText(done, resizeStagedText(done.stagedSize));
    },
    abortResize: async () => {
      const done = await call("cluster_abort_resize", {});
      return withPromptText(done, resizeStagedText(done.stagedSize));
    },
    markConsistent: (bucket: string) => call("bucket_consistent", { bucket }),
    consistentBuckets: () => call("bucket_list", {}),
    commit: async (planId?: string) => {
      const args = planId === undefined ? {} : { planId };
      return withPromptText(await call("cluster_commit", args), COMMITTED_TEXT);
    },
    clear: async () =>
      withPromptText(await call("cluster_clear", {}), CLEARED_TEXT),
    status: async () => {
      const status = await call("cluster_status", {});
      const rows = clusterStatusRows(status);
      return withPromptText(status, clusterStatusText(rows, status.ringReady));
    },
    members: async () => {
      const table = await call("member_status", {});
      return withPromptText(table, membershipTable(memberRows(table)));
    },
    ring: async () => {
      const status = await call("ring_status", {});
      const report = ringStatusReport(ringStatusRows(status));
      return withPromptText(status, `${ringStatusText(status)}\n${report}`);
    },
    transfers: async () => {
      const timeoutMs = TRANSFERS_TIMEOUT_MS;
      const transfers = await fetchTransfers(session, { timeoutMs, signal });
      return withPromptText(transfers, transfersText(transfers, Date.now()));
    },
    ready: async () => {
      const result = await call("ringready", {});
      return withPromptText(result, ringReadyText(result));
    },
  };
  const node = {
    name,
    ping: async () => {
      await call("ping", {});
      return "pong";
    },
    info: () => call("node_info", {}),
    services: () => call("services", {}),
    stats: () => call("stats", {}),
    tree: async () => {
      const tree = await call("tree", {});
      return withPromptText(tree, renderTree(tree));
    },
    stop: () => call("stop", {}),
  };
  return {
    names: { kv, raKv, cluster, node },
    onCommand: (given) => void (signal = given),
  };
}

/** What `.help` prints about the names. */
export const SESSION_HELP = `\
  await kv.put("users", "ann", { age: 41 })     write
  const ann = await kv.get("users", "ann")      read: { value, values, context, ... }
  await kv.put("users", "ann", { age: 42 }, { context: ann.context })
                                                replace what was read
  await kv.delete("users", "ann", { context: ann.context })
  for await (const key of kv.keys("users")) console.log(key)
                                                all keys of a bucket

  await raKv.startCluster("orders", ["dev1@127.0.0.1", "dev2@127.0.0.1", "dev3@127.0.0.1"])
                                                a consistent store on these nodes
  const { index } = await raKv.put("orders", "17", { paid: false })
  await raKv.get("orders", "17")                read: { value, index, term, ... }
  await raKv.compareAndSet("orders", "17", index, { paid: true })
  await raKv.delete("orders", "17")
  await raKv.overview("orders")                 how its members are doing
  raKv.batch() raKv.watch() raKv.readEntry() raKv.addMember() raKv.removeMember()
  raKv.members() raKv.takeSnapshot() raKv.transferLeadership() raKv.clusters()

  await cluster.members()                       who owns how much
  await cluster.ring()                          the ring, and what is pending
  await cluster.transfers()                     running and waiting transfers
  await cluster.join("dev1@127.0.0.1:10101")    stage this node to join, or at once:
  await cluster.join("dev1@127.0.0.1:10101", { staged: false })
  await cluster.leave()                         stage this node to leave
  await cluster.resizeRing(128)                 stage another ring size
  await cluster.plan()                          show what the staged changes would do
  await cluster.commit()                        carry them out
  await cluster.markConsistent("accounts")      have a bucket served by consensus, for good
  cluster.clear() cluster.status() cluster.ready() cluster.consistentBuckets()

  await node.tree()                             the supervision tree of this node
  node.name node.ping() node.info() node.services() node.stats() node.stop()

A write without a context becomes a sibling of what is there.`;

function targetOf(text: string): NodeTarget {
  const target = nodeTargetOf(text);
  if (target !== undefined) return target;
  throw new WhorlError("invalid_argument", nodeTargetRule(text));
}
