/**
 * Hosts in trouble: a network card that loses packets, a clock that jumps or
 * goes wrong, a disk that is slow, full, fails, or takes a part of what is given.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import { anyPlan, type Fault, nodeClaim } from "../fault.ts";
import { shortName } from "../short_name.ts";
import type { DiskOrders } from "../fault_library.ts";
import type { Machine } from "../machine.ts";

interface LossPlan {
  readonly node: string;
  readonly percent: number;
}

const loss: Fault<LossPlan> = {
  name: "loss",
  says: "a node's network card loses packets that arrive",
  unable: ({ namespaces }) => namespaces,
  draw(chance, nodes) {
    const node = chance.pick(nodes);
    const percent = 2 + chance.below(29);
    return {
      plan: { node, percent },
      claims: [`card ${node}`],
      words: `${percent} % of what arrives at ${shortName(node)}`,
    };
  },
  async strike(cluster, { node, percent }) {
    await cluster.lose(node, percent);
    return () => cluster.lose(node, 0);
  },
};

interface OrdersPlan {
  readonly nodes: readonly string[];
  readonly orders: Partial<DiskOrders>;
}

function unableDisk({ library }: Machine): string | undefined {
  return "missing" in library ? library.missing : undefined;
}

/** What an order is about, which decides what it may be combined with. */
type Trouble =
  /** Nodes go on, wherever else they are hit; one of them, or all. */
  | "slow"
  /** A node may end by itself. */
  | "failing"
  | "clock";

/** A fault that the libraries of nodes carry out. */
function ordered(
  name: string,
  says: string,
  trouble: Trouble,
  draw: (chance: Chance) => { orders: Partial<DiskOrders>; words: string },
): Fault {
  const what = trouble === "clock" ? "clock" : "disk";
  return anyPlan<OrdersPlan>({
    name,
    says,
    unable: unableDisk,
    draw(chance, names) {
      // Disks that share a bus or a host are slow together.
      const all = trouble === "slow" && chance.chance(0.5);
      const nodes = all ? [...names] : [chance.pick(names)];
      const { orders, words } = draw(chance);
      return {
        plan: { nodes, orders },
        claims: [
          ...nodes.map((node) => `${what} ${node}`),
          ...trouble === "failing" ? nodes.map(nodeClaim) : [],
        ],
        words: `${nodes.map(shortName).join(", ")}: ${words}`,
      };
    },
    strike(cluster, { nodes: names, orders }) {
      const nodes = names.map((name) => cluster.node(name));
      const nothing = Object.fromEntries(
        Object.keys(orders).map((order) => [order, 0]),
      );
      // A node whose disk fails may give up; it is started again afterwards.
      const release = trouble === "failing"
        ? nodes.map((node) => node.mayFall())
        : [];
      for (const node of nodes) node.disk.order(orders);
      return async () => {
        for (const node of nodes) node.disk.order(nothing);
        for (const one of release) one();
        if (trouble !== "failing") return;
        await Promise.all(nodes.map((node) => node.start()));
      };
    },
  });
}

const SECOND_US = 1_000_000;
const JUMPS_S = [0.4, 3, 45, 900, 3_600, 86_400];

/** See the module comment. */
export const HOST_FAULTS: readonly Fault[] = [
  anyPlan(loss),
  ordered(
    "clock_jump",
    "a node's wall clock is ahead or behind, by up to a day",
    "clock",
    (chance) => {
      const seconds = chance.pick(JUMPS_S) * (chance.chance(0.5) ? 1 : -1);
      return {
        orders: { clockOffsetUs: seconds * SECOND_US },
        words: `${seconds > 0 ? "+" : ""}${seconds} s`,
      };
    },
  ),
  ordered(
    "clock_rate",
    "a node's wall clock goes at half the pace to double",
    "clock",
    (chance) => {
      const percent = chance.pick([-50, -20, -5, 5, 20, 100]);
      return {
        orders: { clockRatePpm: percent * 10_000 },
        words: `${percent > 0 ? "+" : ""}${percent} %`,
      };
    },
  ),
  ordered(
    "short_write",
    "a node's disk, or all, take only a part of some writes",
    "slow",
    (chance) => {
      const percent = chance.pick([1, 10, 50]);
      return {
        orders: { shortWritePpm: percent * 10_000 },
        words: `${percent} % of the writes are short`,
      };
    },
  ),
  ordered(
    "slow_fsync",
    "the disk of a node, or of all, takes long to sync",
    "slow",
    (chance) => {
      const ms = 10 + chance.below(390);
      return {
        orders: { syncDelayUs: ms * 1_000 },
        words: `each sync takes ${ms} ms longer`,
      };
    },
  ),
  ordered(
    "disk_error",
    "a node's disk fails syncs or writes with EIO",
    "failing",
    (chance) => {
      const percent = chance.pick([1, 10, 100]);
      const what = chance.pick(["sync", "write"] as const);
      return {
        orders: { [`${what}ErrorPpm`]: percent * 10_000 },
        words: `${percent} % of each ${what} fail with EIO`,
      };
    },
  ),
  ordered(
    "disk_full",
    "no file of a node can grow",
    "failing",
    () => ({ orders: { full: 1 }, words: "the disk is full" }),
  ),
];
