/**
 * Draws what an operator does to a cluster: nodes join, leave and are replaced,
 * alone or several in a plan, some changes are cancelled, a machine may be lost
 * for good, and transfers are held up. Also draws faults during these changes,
 * on the nodes they are about.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type {
  ChangeType,
  FaultType,
  PlannedChange,
  PlannedFault,
} from "./schedule.ts";

/** Every type of change. */
export const CHANGE_TYPES: readonly ChangeType[] = [
  "join",
  "leave",
  "replace",
  "force_remove",
  "force_replace",
  "clear",
  "transfer_limit",
  "handoff_off",
];

/**
 * Fewest members of a cluster that loses a machine for good: the others then
 * have three copies among them.
 */
export const LOSS_MEMBERS_MIN = 4;
/** Most changes drawn. */
const CHANGES_MAX = 6;
/**
 * How long after the beginning of a change a fault may be drawn for it, in
 * virtual milliseconds.
 */
const BESIDE_MS = 2_500;
/** Types of fault drawn during a change. */
const BESIDE: readonly FaultType[] = [
  "kill",
  "kill",
  "power_loss",
  "pause",
  "partition",
  "reset",
  "slow_disk",
  "slow_link",
  "disk_errors",
  "declared_down",
];

/** Whether a machine is lost for good. */
export function losesMachine(changes: readonly PlannedChange[]): boolean {
  return changes.some(({ type }) =>
    type === "force_remove" || type === "force_replace"
  );
}

/**
 * Draws changes that make sense one after the other, on a cluster of `nodes`
 * members and `spares` further machines.
 */
export function drawChanges(
  chance: Chance,
  nodes: number,
  spares: number,
  loadMs: number,
  count = 1 + chance.below(CHANGES_MAX),
): PlannedChange[] {
  const members = Array.from({ length: nodes }, (_, index) => index);
  const out = Array.from({ length: spares }, (_, index) => nodes + index);
  const times = Array.from(
    { length: count },
    () => chance.below(Math.max(1, Math.floor(loadMs * 0.8))),
  ).sort((a, b) => a - b);
  const changes: PlannedChange[] = [];
  /** What is staged and not committed yet. */
  let staged: { readonly joined: number[]; readonly left: number[] } = {
    joined: [],
    left: [],
  };
  const takeFrom = (list: number[]): number =>
    list.splice(chance.below(list.length), 1)[0] as number;
  for (const atMs of times) {
    const type = drawType(
      chance,
      members,
      out,
      staged.joined.length + staged.left.length > 0,
      losesMachine(changes),
    );
    const commit = chance.chance(0.75);
    switch (type) {
      case "join": {
        const node = takeFrom(out);
        changes.push({ atMs, type, node, commit });
        staged.joined.push(node);
        break;
      }
      case "leave": {
        const node = takeFrom(members);
        changes.push({ atMs, type, node, commit });
        staged.left.push(node);
        break;
      }
      case "replace": {
        const [node, by] = [takeFrom(members), takeFrom(out)];
        changes.push({ atMs, type, node, by, commit });
        staged.left.push(node);
        staged.joined.push(by);
        break;
      }
      case "force_remove":
        changes.push({ atMs, type, node: takeFrom(members) });
        break;
      case "force_replace": {
        const [node, by] = [takeFrom(members), takeFrom(out)];
        changes.push({ atMs, type, node, by });
        staged.joined.push(by);
        break;
      }
      case "clear":
        changes.push({ atMs, type });
        members.push(...staged.left);
        out.push(...staged.joined);
        staged = { joined: [], left: [] };
        continue;
      case "transfer_limit":
        changes.push({
          atMs,
          type,
          node: chance.below(nodes + spares),
          limit: chance.below(3),
          forMs: 200 + chance.below(3_000),
        });
        continue;
      case "handoff_off":
        changes.push({
          atMs,
          type,
          node: chance.below(nodes + spares),
          direction: chance.pick(["inbound", "outbound", "both"]),
          forMs: 200 + chance.below(3_000),
        });
        continue;
    }
    const last = changes.at(-1);
    if (last !== undefined && "commit" in last && !last.commit) continue;
    members.push(...staged.joined);
    out.push(...staged.left);
    staged = { joined: [], left: [] };
  }
  return changes;
}

function drawType(
  chance: Chance,
  members: readonly number[],
  out: readonly number[],
  isStaged: boolean,
  hasLost: boolean,
): ChangeType {
  const mayLose = !hasLost && !isStaged && members.length >= LOSS_MEMBERS_MIN;
  const weights: readonly (readonly [ChangeType, number])[] = [
    ["join", out.length > 0 ? 6 : 0],
    ["leave", members.length > 1 ? 4 : 0],
    ["replace", out.length > 0 && members.length > 0 ? 3 : 0],
    ["force_remove", mayLose ? 2 : 0],
    ["force_replace", mayLose && out.length > 0 ? 2 : 0],
    ["clear", isStaged ? 5 : 0],
    ["transfer_limit", 1],
    ["handoff_off", 1],
  ];
  const all = weights.reduce((sum, [, weight]) => sum + weight, 0);
  let left = chance.below(all);
  for (const [type, weight] of weights) {
    if (left < weight) return type;
    left -= weight;
  }
  return "transfer_limit";
}

/** Draws faults during `changes`, mostly on the nodes they are about. */
export function drawFaultsBesideChanges(
  chance: Chance,
  changes: readonly PlannedChange[],
  allowed: readonly FaultType[],
  drawFault: (chance: Chance, type: FaultType) => PlannedFault,
): PlannedFault[] {
  const types = BESIDE.filter((type) => allowed.includes(type));
  if (types.length === 0) return [];
  return changes.flatMap((change): PlannedFault[] => {
    if (!chance.chance(0.5)) return [];
    const fault = drawFault(chance, chance.pick(types));
    const atMs = change.atMs + chance.below(BESIDE_MS);
    const about = [
      ...("node" in change ? [change.node] : []),
      ...("by" in change ? [change.by] : []),
    ];
    const isAbout = about.length > 0 && chance.chance(0.7);
    return [
      isAbout && "node" in fault
        ? { ...fault, atMs, node: chance.pick(about) }
        : { ...fault, atMs },
    ];
  });
}
