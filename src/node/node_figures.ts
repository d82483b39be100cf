/**
 * Who a node is, and what it has done since it started.
 *
 * @module
 */
import type { Address } from "../environment/transport.ts";
import type { NodeInfo, NodeStats } from "./admin_protocol.ts";
import type { NodeParts } from "./node_parts.ts";
import { WHORL_VERSION } from "./version.ts";

/** Who the node is that listens at `address` and was started at `startedAtMs`. */
export function nodeInfo(
  { config, environment, home, cluster }: NodeParts,
  address: Address,
  startedAtMs: number,
): NodeInfo {
  return {
    node: config.name,
    address,
    cluster: config.clusterName,
    version: WHORL_VERSION,
    pid: environment.processFigures().processId,
    uptimeMs: Math.round(environment.now() - startedAtMs),
    incarnation: home?.incarnation ?? 0,
    ringSize: cluster?.ring.size ?? config.ringSize,
    dataDirectory: config.dataDirectory ?? null,
    storage: config.storage,
    placement: config.masterPlacement,
    masters: config.masters,
  };
}

/** The figures of all parts of a node. */
export async function nodeStats(parts: NodeParts): Promise<NodeStats> {
  const { requests, coverage, vnodes, links, environment, config } = parts;
  const values: Record<string, number> = {};
  const process = environment.processFigures();
  values["memory.rssBytes"] = process.rssBytes;
  values["memory.heapUsedBytes"] = process.heapUsedBytes;
  values["memory.externalBytes"] = process.externalBytes;
  if (requests !== undefined) {
    values["requests.active"] = requests.size;
    for (const [name, count] of Object.entries(requests.counts)) {
      values[`requests.${name}`] = count;
    }
  }
  if (coverage !== undefined) {
    values["coverage.active"] = coverage.size;
    values["coverage.started"] = coverage.counts.started;
    values["coverage.refused"] = coverage.counts.refused;
  }
  if (links !== undefined) {
    for (const [name, count] of Object.entries(links.counts())) {
      values[`connections.${name}`] = count;
    }
  }
  values["workers.zombies"] = parts.zombies;
  for (
    const [master, figures] of Object.entries(await vnodes?.stats() ?? {})
  ) {
    for (const [name, figure] of flat(figures)) {
      values[`${master}.${name}`] = figure;
    }
  }
  return {
    node: config.name,
    takenAtMs: environment.wallClock(),
    values,
  };
}

/** Numbers in `figures`, nested ones under dotted names. */
function* flat(
  figures: Record<string, unknown>,
  prefix = "",
): Generator<[string, number]> {
  for (const [name, figure] of Object.entries(figures)) {
    if (typeof figure === "number") yield [prefix + name, figure];
    else if (typeof figure === "object" && figure !== null) {
      yield* flat(figure as Record<string, unknown>, `${prefix}${name}.`);
    }
  }
}
