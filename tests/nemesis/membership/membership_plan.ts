/**
 * What is done to the members of a cluster: plans of joins, leaves and
 * replacements, some of which are taken back, and nodes that are killed while
 * they are carried out. Drawn from a seed, and nothing else.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";

/** Fewest and most members there are to be. */
export const MEMBERS_MIN = 2;
/** See {@linkcode MEMBERS_MIN}. */
export const MEMBERS_MAX = 5;
/** Longest time from a commit to a kill, in milliseconds: transfers are under way then, or just over. */
const KILL_AFTER_MS_MAX = 400;
/** Shortest and longest time for which a killed node is down, in milliseconds. */
const DOWN_MS_MIN = 50;
const DOWN_MS_MAX = 1_500;

/** A member that is killed with SIGKILL and started again. */
export interface PlannedKill {
  readonly node: string;
  /** Milliseconds after the commit. */
  readonly afterMs: number;
  readonly downMs: number;
}

/** One plan. */
export interface MembershipPlan {
  readonly joins: readonly string[];
  readonly leaves: readonly string[];
  /** Members and the joining nodes that take their place; these join as well. */
  readonly replaces: readonly (readonly [node: string, replacement: string])[];
  /** Whether what was staged is taken back instead of being committed. */
  readonly aborted: boolean;
  readonly kills: readonly PlannedKill[];
  /** Whether the next plan does not wait until this one is carried out. */
  readonly hurried: boolean;
}

/** Who is in the cluster once plans are carried out, and who may join it. */
export interface Population {
  readonly members: readonly string[];
  readonly outsiders: readonly string[];
}

/** The population after `plan`. Who leaves is an outsider only once it has left, see {@linkcode withReturned}. */
export function populationAfter(
  { members, outsiders }: Population,
  plan: MembershipPlan,
): Population {
  if (plan.aborted) return { members, outsiders };
  const coming = [...plan.joins, ...plan.replaces.map(([, by]) => by)];
  const going = leaversOf(plan);
  return {
    members: [...members.filter((name) => !going.includes(name)), ...coming],
    outsiders: outsiders.filter((name) => !coming.includes(name)),
  };
}

/** The population once those of `left` that have gone may come again. */
export function withReturned(
  { members, outsiders }: Population,
  left: readonly string[],
): Population {
  return { members, outsiders: [...outsiders, ...left].sort() };
}

/** Who has left once `plan` is carried out. */
export function leaversOf({ leaves, replaces }: MembershipPlan): string[] {
  return [...leaves, ...replaces.map(([node]) => node)];
}

/** Draws a plan that changes something and keeps the number of members within bounds. */
export function drawPlan(
  chance: Chance,
  { members, outsiders }: Population,
): MembershipPlan {
  const staying = chance.shuffle([...members]);
  const coming = chance.shuffle([...outsiders]);
  const joins: string[] = [];
  const leaves: string[] = [];
  const replaces: [string, string][] = [];
  const changes = 1 + chance.below(3);
  for (let i = 0; i < changes; i++) {
    const size = members.length + joins.length - leaves.length;
    const able = [
      ...size < MEMBERS_MAX && coming.length > 0 ? ["join"] : [],
      // One member of the old ones stays, so that there is somebody to ask.
      ...size > MEMBERS_MIN && staying.length > 1 ? ["leave"] : [],
      ...staying.length > 1 && coming.length > 0 ? ["replace"] : [],
    ];
    if (able.length === 0) break;
    switch (chance.pick(able)) {
      case "join":
        joins.push(coming.pop() as string);
        break;
      case "leave":
        leaves.push(staying.pop() as string);
        break;
      case "replace":
        replaces.push([staying.pop() as string, coming.pop() as string]);
    }
  }
  const aborted = chance.chance(0.2);
  const plan: MembershipPlan = {
    joins,
    leaves,
    replaces,
    aborted,
    kills: [],
    // Where nothing can be changed, those who leave are waited for.
    hurried: chance.chance(0.25) &&
      joins.length + leaves.length + replaces.length > 0,
  };
  if (aborted) return plan;
  const killable = [
    ...populationAfter({ members, outsiders }, plan).members,
    ...leaversOf(plan),
  ].sort();
  return { ...plan, kills: drawKills(chance, killable) };
}

/** Kills of none, one or two of `nodes`. */
export function drawKills(
  chance: Chance,
  nodes: readonly string[],
): PlannedKill[] {
  return chance.shuffle([...nodes]).slice(0, chance.below(3)).map((node) => ({
    node,
    afterMs: chance.below(KILL_AFTER_MS_MAX),
    downMs: DOWN_MS_MIN + chance.below(DOWN_MS_MAX - DOWN_MS_MIN),
  }));
}

/**
 * A cluster of `names` that grows from one to all of them, one by one, and
 * shrinks to {@linkcode MEMBERS_MIN}, the first to have come being the first to
 * go; somebody is killed each time.
 */
export function growAndShrink(
  chance: Chance,
  names: readonly string[],
): MembershipPlan[] {
  const plan = (
    joins: readonly string[],
    leaves: readonly string[],
    present: readonly string[],
  ): MembershipPlan => ({
    joins,
    leaves,
    replaces: [],
    aborted: false,
    kills: drawKills(chance, present).concat({
      node: chance.pick(present),
      afterMs: chance.below(KILL_AFTER_MS_MAX),
      downMs: DOWN_MS_MIN + chance.below(DOWN_MS_MAX - DOWN_MS_MIN),
    }).slice(0, 1),
    hurried: false,
  });
  const growing = names.slice(1).map((name, i) =>
    plan([name], [], names.slice(0, i + 2))
  );
  const shrinking = names.slice(0, names.length - MEMBERS_MIN).map((name, i) =>
    plan([], [name], names.slice(i))
  );
  return [...growing, ...shrinking];
}
