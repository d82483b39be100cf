/**
 * Clusters of `ra_kv` that begin and end, and members that come and go, while
 * nodes fall and are cut off: nothing outlives its end, and nothing is left that
 * nobody knows of.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import type { WhorlNode } from "../../../src/node/node.ts";
import type { RaKvClient } from "../../../src/ra_kv/ra_kv_client.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { killOne, nameOf, type Scenario } from "./scenario.ts";

const CLUSTER = "sim";
const MACHINES = [0, 1, 2, 3, 4];
/** Time after which a call that its caller has given up is over at its node as well, in virtual milliseconds. */
const ABANDONED_MS = 60_000;
/** Virtual time for what must come about once all is well, in milliseconds. */
const SETTLE_MS_MAX = 180_000;

/** All of them. */
export const RA_KV_SCENARIOS: readonly Scenario[] = [
  {
    name: "ra_kv_clusters_end",
    what:
      "clusters of ra_kv of one name are started, used and deleted one after the other while nodes are killed and cut off, and none outlives its end",
    nodes: 5,
    operations: 30,
    loadMs: 20_000,
    async script(story) {
      const { chance } = story;
      const ended = new Set<number>();
      let members: number[] = [];
      for (let life = 1; life <= 4; life++) {
        if (life > 1) {
          for (const groupId of groupsOn(story)) ended.add(groupId);
          await again(story, "delete", (raKv) => raKv.deleteCluster(CLUSTER), [
            "unknown_cluster",
          ]);
          await story.sleep(ABANDONED_MS);
          await outlived(story, ended, false);
        }
        members = chance.shuffle([...MACHINES]).slice(0, 3);
        const names = members.map(nameOf);
        if (chance.chance(0.5)) trouble(story);
        await again(
          story,
          "start",
          (raKv) => raKv.startCluster(CLUSTER, names),
          ["already_exists"],
        );
        await again(story, "put", (raKv) => raKv.put(CLUSTER, "life", life));
        if (chance.chance(0.7)) trouble(story);
        const { value } = await again(
          story,
          "get",
          (raKv) => raKv.get(CLUSTER, "life"),
        ) ?? {};
        story.expect(
          value === life,
          `What is read is ${value}, of another life than ${life}`,
        );
        if (chance.chance(0.7)) trouble(story);
      }
      await outlived(story, ended, true);
      // One that could not be started with the others is a member nevertheless.
      await addAll(story, members);
      await whole(story);
    },
  },
  {
    name: "ra_kv_members_late",
    what:
      "members of ra_kv are added and removed while nodes are killed and cut off, and none is left that is no member",
    nodes: 5,
    operations: 30,
    loadMs: 20_000,
    async script(story) {
      const { chance } = story;
      await again(
        story,
        "start",
        (raKv) => raKv.startCluster(CLUSTER, [0, 1, 2].map(nameOf)),
        ["already_exists"],
      );
      for (let times = 0; times < 8; times++) {
        const at = chance.pick([2, 3, 4]);
        const node = nameOf(at);
        const adds = chance.chance(0.6);
        // Whatever comes of it. What happens meanwhile mostly hits the node in question.
        const hit = chance.chance(0.7) ? [at] : MACHINES;
        await Promise.all([
          story.sleep(chance.below(chance.pick([10, 50, 500])))
            .then(() => trouble(story, hit)),
          attempt(story, async (raKv) => {
            if (adds) await raKv.addMember(CLUSTER, node);
            else await raKv.removeMember(CLUSTER, node);
          }),
        ]);
      }
      await story.sleep(ABANDONED_MS);
      // One that is a member by an attempt that another one has overtaken is made anew.
      await addAll(story, [0, 1, 2]);
      for (const node of [3, 4].map(nameOf)) {
        await again(
          story,
          "remove",
          (raKv) => raKv.removeMember(CLUSTER, node),
          ["not_member"],
        );
      }
      await again(story, "put", (raKv) => raKv.put(CLUSTER, "k", "v"));
      await whole(story);
    },
  },
];

/** Makes each of them a member that runs. */
async function addAll(
  story: ScriptContext,
  machines: readonly number[],
): Promise<void> {
  for (const at of machines) {
    await again(
      story,
      "add",
      (raKv) => raKv.addMember(CLUSTER, nameOf(at)),
      ["already_member"],
    );
  }
}

/** Something happens to a node, and ends by itself. */
function trouble(
  story: ScriptContext,
  machines: readonly number[] = MACHINES,
): void {
  const { chance } = story;
  if (chance.chance(0.5)) return killOne(story, machines);
  const node = chance.pick(machines);
  story.strike({
    type: "partition",
    from: [node],
    to: MACHINES.filter((other) => other !== node),
    oneWay: chance.chance(0.3),
    break: chance.chance(0.5),
    forMs: chance.pick([300, 2_000, 8_000]),
  });
}

/** What `act` comes to at a node that runs, and why not. */
async function attempt<T>(
  story: ScriptContext,
  act: (raKv: RaKvClient) => Promise<T>,
): Promise<{ readonly result?: T; readonly error?: unknown }> {
  const running = MACHINES.filter((at) => story.machine(at).running);
  if (running.length === 0) return { error: "nobody runs" };
  try {
    const at = story.chance.pick(running);
    const result = await story.ask(at, ({ raKv }: WhorlNode) => act(raKv));
    return { result };
  } catch (error) {
    if (!isWhorlError(error)) throw error;
    return { error };
  }
}

/** Asks until it is done, or refused for one of the reasons in `enough`. */
async function again<T>(
  story: ScriptContext,
  what: string,
  act: (raKv: RaKvClient) => Promise<T>,
  enough: readonly string[] = [],
): Promise<T | undefined> {
  let last: unknown;
  let result: T | undefined;
  await story.until(
    () => `To ${what}: ${reasonOf(last)}`,
    async () => {
      const { error, ...done } = await attempt(story, act);
      result = done.result;
      last = error;
      return error === undefined ||
        isWhorlError(error) && enough.includes(error.code);
    },
    SETTLE_MS_MAX,
  );
  return result;
}

/** The numbers of the groups of that name, on whichever nodes run. */
function groupsOn(story: ScriptContext): number[] {
  return MACHINES.flatMap((at) => {
    const system = story.machine(at).node?.parts.raft;
    const found = system?.member(CLUSTER) ?? system?.memberAtRest(CLUSTER);
    return found === undefined ? [] : [found.groupId];
  });
}

/** Looks that nothing is left of groups that ended, once every node has had time to hear of it. */
async function outlived(
  story: ScriptContext,
  ended: ReadonlySet<number>,
  everywhere: boolean,
): Promise<void> {
  await story.until(
    () => `An end of what was deleted: ${membersOn(story).join()}`,
    () =>
      (!everywhere || MACHINES.every((at) => story.machine(at).running)) &&
      groupsOn(story).every((groupId) => !ended.has(groupId)),
    SETTLE_MS_MAX,
  );
}

/** What each node that runs says of its member. */
function membersOn(story: ScriptContext): string[] {
  return MACHINES.flatMap((at) => {
    const system = story.machine(at).node?.parts.raft;
    const member = system?.member(CLUSTER);
    if (member === undefined) {
      const resting = system?.memberAtRest(CLUSTER);
      return resting === undefined
        ? []
        : [`${nameOf(at)} ${resting.groupId} rests`];
    }
    const { groupId, role, leader, membership } = member;
    const others = membership.members.map(({ node }) => node).join("+");
    return [`${nameOf(at)} ${groupId} ${role} of ${leader} in ${others}`];
  });
}

/** Waits until each member is on its node under its number, and no other node has one. */
async function whole(story: ScriptContext): Promise<void> {
  let seen = "nothing";
  await story.until(
    () => `A cluster with all its members and no others: ${seen}`,
    async () => {
      const { result } = await attempt(story, (raKv) => raKv.members(CLUSTER));
      if (result === undefined || !result.committed) return false;
      const members = result.members.map(({ node, uid, kind }) =>
        `${node} ${uid} ${kind}`
      );
      const there = MACHINES.flatMap((at) => {
        const system = story.machine(at).node?.parts.raft;
        const member = system?.member(CLUSTER) ??
          system?.memberAtRest(CLUSTER);
        return member === undefined
          ? []
          : [`${nameOf(at)} ${member.uid} voter`];
      });
      seen = `members ${members}, there ${there}`;
      return members.length === 3 && `${members}` === `${there}`;
    },
    SETTLE_MS_MAX,
  );
}
