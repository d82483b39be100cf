/**
 * What a node does when it is called from outside: the table behind
 * `admin_protocol.ts`. Arguments come from anybody who knows the cookie, and
 * are checked here.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { partitionIndex } from "../ring/chash.ts";
import type { AdminMethods } from "./admin_protocol.ts";
import type { WhorlNode } from "./node.ts";

type Methods = {
  readonly [M in keyof AdminMethods]: (
    node: WhorlNode,
    args: unknown,
  ) => AdminMethods[M]["result"] | Promise<AdminMethods[M]["result"]>;
};

/** Milliseconds between the answer to `stop` and the stop, so that the answer gets out. */
const STOP_DELAY_MS = 50;

/** Longest text an argument may be, in characters: it may come back in a message. */
const TEXT_LENGTH_MAX = 1_000;

const METHODS: Methods = {
  ping: (node) => ({ node: node.name }),
  node_info: (node) => node.info(),
  stop(node) {
    node.parts.environment.setTimer(STOP_DELAY_MS, () => void node.stop());
    return {};
  },
  async cluster_join(node, args) {
    const target = textArgument(args, "node");
    const address = optionalText(args, "address") ?? addressOf(node, target);
    if (target === node.name) {
      throw new WhorlError(
        "self_join",
        `Cannot join ${target} as that is this node itself`,
      );
    }
    const staged = optionalFlag(args, "staged") ?? true;
    const { joined } = await node.join(address, { staged });
    return { node: node.name, joined, staged };
  },
  cluster_leave: (node, args) => node.leave(optionalText(args, "node")),
  cluster_force_remove: (node, args) =>
    node.forceRemove(textArgument(args, "node")),
  cluster_replace: (node, args) =>
    node.replace(
      textArgument(args, "node"),
      textArgument(args, "replacement"),
    ),
  cluster_force_replace: (node, args) =>
    node.forceReplace(
      textArgument(args, "node"),
      textArgument(args, "replacement"),
    ),
  async down(node, args) {
    const name = textArgument(args, "node");
    await node.down(name);
    return { node: name };
  },
  cluster_plan: (node) => node.plan(),
  cluster_commit: (node, args) => node.commit(optionalText(args, "planId")),
  async cluster_clear(node) {
    await node.clear();
    return {};
  },
  cluster_status: (node) => node.clusterStatus(),
  member_status(node) {
    const { ringSize, members } = node.clusterStatus();
    return { ringSize, members };
  },
  ring_status(node) {
    const status = node.ringStatus();
    const services = node.parts.modules.map(({ name }) => name);
    return {
      claimant: status.claimant,
      claimantUp: status.claimantUp,
      ringReady: status.ringReady,
      ringSize: status.ringSize,
      nodes: status.nodes,
      owners: status.owners,
      unreachable: status.unreachable,
      markedDown: node.clusterStatus().members
        .filter((member) => member.status === "down")
        .map((member) => member.node),
      transfers: status.transfers.map((transfer) => ({
        index: String(partitionIndex(transfer.partition, status.ringSize)),
        owner: transfer.owner,
        nextOwner: transfer.nextOwner,
        waitingOn: transfer.status === "complete" ? [] : services.filter(
          (name) => !transfer.completedModules.includes(name),
        ),
        complete: transfer.completedModules,
      })),
    };
  },
  ringready(node) {
    const result = node.ringReady();
    if (result.ready) return { type: "ready", nodes: result.nodes };
    return result.reason === "nodes_down"
      ? { type: "nodes_down", nodes: result.nodes }
      : {
        type: "different_owners",
        nodes: [result.nodes[0] as string, result.nodes[1] as string],
      };
  },
  services: (node) => node.services(),
  tree: (node) => node.tree(),
  stats: (node) => node.stats(),
};

/**
 * Performs a call that arrived on a link.
 *
 * @throws {WhorlError} What the method fails with, or `unknown_command`.
 */
export function performCall(
  node: WhorlNode,
  method: string,
  args: unknown,
): unknown {
  if (method === "join_offer") return node.joinOffer();
  if (!Object.hasOwn(METHODS, method)) {
    throw new WhorlError(
      "unknown_command",
      `Cannot call '${method.slice(0, 100)}' as a node has no such method`,
    );
  }
  return METHODS[method as keyof AdminMethods](node, args);
}

function addressOf(node: WhorlNode, target: string): string {
  const address = node.parts.config.peers.get(target);
  if (address !== undefined) return address;
  throw new WhorlError(
    "not_reachable",
    `Cannot join ${target} as its address is not known here: name it as ${target}:PORT`,
    { details: { node: target } },
  );
}

function optionalText(args: unknown, name: string): string | undefined {
  const value = (args as Record<string, unknown> | null)?.[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") {
    throw new WhorlError(
      "invalid_argument",
      `Cannot take '${name}' as it must be text: it is of type ${typeof value}`,
    );
  }
  if (value.length > TEXT_LENGTH_MAX) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot take '${name}' as it may have ${TEXT_LENGTH_MAX} characters: it has ${value.length}`,
    );
  }
  return value;
}

function optionalFlag(args: unknown, name: string): boolean | undefined {
  const value = (args as Record<string, unknown> | null)?.[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw new WhorlError(
    "invalid_argument",
    `Cannot take '${name}' as it must be true or false: it is of type ${typeof value}`,
  );
}

function textArgument(args: unknown, name: string): string {
  const value = optionalText(args, name);
  if (value !== undefined) return value;
  throw new WhorlError("invalid_argument", `Cannot do without '${name}'`);
}
