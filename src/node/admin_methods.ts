/**
 * The methods that a node performs when it is called from outside, declared in
 * `admin_protocol.ts`. Arguments come from anyone who knows the cookie, and are
 * validated here.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { encodeClaim } from "../cluster/capability.ts";
import { compareTexts } from "../base/text_order.ts";
import { partitionIndex } from "../ring/chash.ts";
import { ageOfVnode, partitionOfVnode } from "../ring/ring_generations.ts";
import type { HandoffControl, TransferDirection } from "../handoff/transfer.ts";
import type {
  AdminMethods,
  HeldPartitions,
  MemberMethods,
} from "./admin_protocol.ts";
import { askMembers, type MemberCalls } from "./cluster_gather.ts";
import type { WhorlNode } from "./node.ts";
import { present } from "./node_parts.ts";

type Methods = {
  readonly [M in keyof AdminMethods]: (
    node: WhorlNode,
    args: unknown,
  ) => AdminMethods[M]["result"] | Promise<AdminMethods[M]["result"]>;
};

/** Milliseconds between the answer to `stop` and the stop, so that the answer gets out. */
const STOP_DELAY_MS = 50;

/** Longest text of an argument, in characters: it may be repeated in a message. */
const TEXT_LENGTH_MAX = 1_000;

/** Members that one call may name; a ring has no more. */
const MEMBERS_MAX = 1_024;

const DIRECTIONS: readonly TransferDirection[] = [
  "inbound",
  "outbound",
  "both",
];

/** The methods that can be called on other members; leaving one out does not compile. */
const MEMBER_METHODS: Readonly<Record<keyof MemberMethods, true>> = {
  handoff_status: true,
  handoff_config: true,
  handoff_set_concurrency: true,
  handoff_set_enabled: true,
  repair: true,
  repairs: true,
  held_partitions: true,
};

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
    const { joined } = await node.join(address, { staged, node: target });
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
  cluster_resize_ring: (node, args) =>
    node.resizeRing(countArgument(args, "ringSize")),
  cluster_abort_resize: (node) => node.abortResize(),
  async bucket_consistent(node, args) {
    await node.markConsistent(textArgument(args, "bucket"));
    return node.consistentBuckets();
  },
  bucket_list: (node) => node.consistentBuckets(),
  cluster_plan: (node) => node.plan(),
  cluster_commit: (node, args) => node.commit(optionalText(args, "planId")),
  async cluster_clear(node) {
    await node.clear();
    return {};
  },
  cluster_status: (node) => node.clusterStatus(),
  member_status(node) {
    const { ringSize, nextRingSize, members } = node.clusterStatus();
    return {
      ringSize,
      ...nextRingSize === undefined ? {} : { nextRingSize },
      members,
    };
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
      resize: status.resize,
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
  capabilities: (node) => node.capabilities(),
  tree: (node) => node.tree(),
  stats: (node) => node.stats(),
  handoff_status: (node) => handoffOf(node).status(),
  handoff_config: (node) => handoffOf(node).status().config,
  handoff_set_concurrency: (node, args) =>
    handoffOf(node).setConcurrency(countArgument(args, "concurrency")),
  handoff_set_enabled: (node, args) =>
    handoffOf(node).setEnabled(
      choiceArgument(args, "direction", DIRECTIONS),
      switchArgument(args, "enabled"),
    ),
  repair: (node, args) =>
    handoffOf(node).repair(
      countArgument(args, "partition"),
      optionalText(args, "module") ?? null,
    ),
  repairs: (node) => handoffOf(node).repairs(),
  held_partitions: heldPartitions,
  ask_members: (node, args) => {
    const method = textArgument(args, "method");
    if (!Object.hasOwn(MEMBER_METHODS, method)) {
      throw new WhorlError(
        "unknown_command",
        `Cannot ask members for '${
          method.slice(0, 100)
        }' as they do not answer that for themselves`,
      );
    }
    return askMembers(memberCalls(node), {
      method,
      args: fieldOf(args, "args") ?? {},
      nodes: optionalTexts(args, "nodes"),
      timeoutMs: optionalCount(args, "timeoutMs"),
    });
  },
};

/** Prefix of calls about clusters of `ra_kv`. */
const RA_KV_METHODS = "ra_kv_";

type Ensembles = NonNullable<WhorlNode["parts"]["ensembles"]>;

/** Calls between nodes for consistent buckets. */
const ENSEMBLE_CALLS: Readonly<
  Record<string, (ensembles: Ensembles, args: unknown) => unknown>
> = {
  ensemble_members: ({ process }) => process.membersHere(),
  ensemble_keys: ({ questions }, args) => questions.keysHere(args),
  ensemble_export: ({ exports }, args) => exports.keysHere(args),
  ensemble_values: ({ exports }, args) => exports.valuesHere(args),
  ensemble_seal: async ({ takeovers }, args) => {
    await takeovers.sealHere(args);
    return {};
  },
  ensemble_takeovers: ({ takeovers }, args) => takeovers.here(args),
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
  if (method === "supported_capabilities") {
    return encodeClaim(node.parts.config.capabilities);
  }
  const { raKv } = node.parts;
  if (Object.hasOwn(ENSEMBLE_CALLS, method)) {
    const ensembles = present(node.parts.ensembles, "ensembles");
    return ENSEMBLE_CALLS[method]?.(ensembles, args);
  }
  if (method.startsWith(RA_KV_METHODS)) {
    // A part that has not started yet says nothing about what this version
    // knows.
    const { methods } = present(raKv, "ra_kv");
    if (methods.has(method)) return methods.perform(method, args);
  }
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
    `Cannot join ${target} as its address is not known here: name it as ${
      target.includes("@") ? target : "NAME@HOST"
    }:PORT`,
    { details: { node: target } },
  );
}

function handoffOf(node: WhorlNode): HandoffControl {
  return present(node.parts.handoff, "handoff");
}

async function heldPartitions(node: WhorlNode): Promise<HeldPartitions> {
  const { parts } = node;
  const held = await handoffOf(node).heldPartitions();
  const { ring } = present(parts.cluster, "cluster");
  const { nodes, owners } = node.ringStatus();
  const place = nodes.indexOf(node.name);
  return {
    node: node.name,
    services: parts.vnodes?.services ?? [],
    modules: parts.modules.map(({ name }) => name),
    owned: owners.flatMap((owner, partition) =>
      owner === place ? [partition] : []
    ),
    // What is left of a ring of another size is on its way already.
    held: held.filter(({ partition }) =>
      ageOfVnode(ring, partition) === "present"
    ).map(({ module, partition }) => ({
      module,
      partition: partitionOfVnode(partition),
    })).toSorted((a, b) =>
      a.partition - b.partition || compareTexts(a.module, b.module)
    ),
  };
}

/** How `node` reaches the members of its ring, itself among them. */
function memberCalls(node: WhorlNode): MemberCalls {
  const { parts } = node;
  return {
    runtime: parts.environment,
    self: node.name,
    members: () => node.clusterStatus().members.map((member) => member.node),
    perform: (method, args) => performCall(node, method, args),
    call(member, method, args, timeoutMs) {
      const link = parts.links?.link(member);
      if (link === undefined) {
        throw new WhorlError(
          "not_reachable",
          `Cannot ask ${member} as there is no connection to it`,
          { details: { node: member } },
        );
      }
      return present(parts.calls, "links").call(link, method, args, {
        timeoutMs,
      });
    },
  };
}

function fieldOf(args: unknown, name: string): unknown {
  return (args as Record<string, unknown> | null)?.[name];
}

function optionalText(args: unknown, name: string): string | undefined {
  const value = fieldOf(args, name);
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw wrongType(name, "text", value);
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

function optionalTexts(args: unknown, name: string): string[] | null {
  const value = fieldOf(args, name);
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value) || value.length > MEMBERS_MAX) {
    throw wrongType(name, `a list of up to ${MEMBERS_MAX} names`, value);
  }
  return value.map((_, place) => textArgument(value, String(place)));
}

function optionalCount(args: unknown, name: string): number | undefined {
  const value = fieldOf(args, name);
  return value === undefined || value === null
    ? undefined
    : countArgument(args, name);
}

function countArgument(args: unknown, name: string): number {
  const value = fieldOf(args, name);
  if (Number.isSafeInteger(value) && value as number >= 0) {
    return value as number;
  }
  throw wrongType(name, "a whole number of at least 0", value);
}

function switchArgument(args: unknown, name: string): boolean {
  const value = fieldOf(args, name);
  if (typeof value === "boolean") return value;
  throw wrongType(name, "true or false", value);
}

function choiceArgument<Choice extends string>(
  args: unknown,
  name: string,
  choices: readonly Choice[],
): Choice {
  const value = fieldOf(args, name);
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw wrongType(name, `one of ${choices.join(", ")}`, value);
}

function wrongType(name: string, rule: string, value: unknown): WhorlError {
  const shown = typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : `of type ${typeof value}`;
  return new WhorlError(
    "invalid_argument",
    `Cannot take '${name}' as it must be ${rule}: it is ${shown}`,
  );
}
