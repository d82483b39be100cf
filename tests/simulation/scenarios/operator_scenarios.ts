/**
 * What operators ask, rightly and wrongly, and versions of an application beside
 * each other: what of riak_test is about that. A command line needs processes and
 * a terminal: riak_test's basic_command_line is played on real ones alone.
 *
 * @module
 */
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import type { WhorlNode } from "../../../src/node/node.ts";
import type { CapabilityOptions } from "../../../src/cluster/capability.ts";
import { nameOf, refusalOf, type Scenario, statusOn } from "./scenario.ts";

const CART = "test.cart";
/** What a version of an application supports, the first one being 1. */
function version(number: number): CapabilityOptions {
  const supported = Array.from(
    { length: number },
    (_, i) => `v${number - i}`,
  );
  return { name: CART, supported };
}

/** What an operator asks a node. */
type Act = (node: WhorlNode) => Promise<unknown>;

/** Kills a node, or takes its power, and starts it as another version. */
async function restartAs(
  story: ScriptContext,
  index: number,
  number: number,
): Promise<void> {
  const machine = story.machine(index);
  machine.kill(story.chance.pick(["process", "process", "power"]));
  machine.configure({ capabilities: [version(number)] });
  await story.sleep(story.chance.below(1_500));
  machine.start();
  await story.until("It is back", () => machine.running);
}

/** Waits until each of `nodes` has that mode. */
async function modeIs(
  story: ScriptContext,
  nodes: readonly number[],
  mode: string,
): Promise<void> {
  const modes = () =>
    nodes.map((node) => story.machine(node).node?.capability(CART));
  await story.until(
    () => `Its mode is ${mode} on all, and not ${modes().join(", ")}`,
    () => modes().every((each) => each === mode),
  );
}

/** The modes that a node tells of from now on, in order, until it ends. */
function modesToldBy(
  story: ScriptContext,
  index: number,
): readonly string[] {
  const modes: string[] = [];
  story.machine(index).node?.subscribe((event) => {
    if (event.type === "capability_changed" && event.capability === CART) {
      modes.push(event.mode);
    }
  });
  return modes;
}

/** All of them. */
export const OPERATOR_SCENARIOS: readonly Scenario[] = [
  {
    name: "verify_capabilities",
    what:
      "nodes of several versions, restarted as others in any order, use what all of them support, joiners included; after riak_test verify_capabilities",
    nodes: 3,
    spares: 1,
    operations: 100,
    loadMs: 20_000,
    async script(story) {
      const versions = [0, 0, 0];
      const lowest = (): string => `v${Math.min(...versions)}`;
      for (const node of [0, 1, 2]) {
        versions[node] = 1 + story.chance.below(3);
        await restartAs(story, node, versions[node]);
      }
      await modeIs(story, [0, 1, 2], lowest());
      for (let times = 0; times < 5; times++) {
        const node = story.chance.below(3);
        versions[node] = 1 + story.chance.below(3);
        await restartAs(story, node, versions[node]);
        await modeIs(story, [0, 1, 2], lowest());
      }
      story.machine(3).configure({ capabilities: [version(1)] });
      await story.carryOut({ type: "join", node: 3, commit: false });
      await modeIs(story, [0, 1, 2, 3], "v1");
      await story.carryOut({ type: "clear" });
      await modeIs(story, [0, 1, 2], lowest());
      await story.settled();
    },
  },
  {
    name: "rolling_capabilities",
    what:
      "a mode rises when the last member is upgraded and not before, and falls with the first that goes back; after riak_test rolling_capabilities",
    nodes: 3,
    operations: 100,
    loadMs: 20_000,
    async script(story) {
      for (const node of [0, 1, 2]) await restartAs(story, node, 1);
      await modeIs(story, [0, 1, 2], "v1");
      const [first, second, last] = story.chance.shuffle([0, 1, 2]) as [
        number,
        number,
        number,
      ];
      const told = modesToldBy(story, last);
      for (const node of [first, second]) {
        await restartAs(story, node, 2);
        await modeIs(story, [0, 1, 2], "v1");
        await story.settled();
      }
      story.expect(told.length === 0, "It must not rise before all can");
      await restartAs(story, last, 3);
      await modeIs(story, [0, 1, 2], "v2");
      await story.settled();
      await restartAs(story, second, 1);
      await modeIs(story, [0, 1, 2], "v1");
      await story.settled();
    },
  },
  {
    name: "gh_riak_core_176",
    what:
      "data goes to nodes that are reached elsewhere than where they listen; after riak_test gh_riak_core_176",
    nodes: 1,
    spares: 2,
    operations: 120,
    keys: 40,
    loadMs: 20_000,
    async script(story) {
      for (const node of [1, 2]) {
        story.machine(node).configure({ advertise: story.hide(node) });
        await story.carryOut({ type: "join", node, commit: true });
        await story.settled();
      }
      const hidden = story.chance.pick([1, 2]);
      story.machine(hidden).kill("process");
      await story.sleep(2_000);
      story.machine(hidden).start();
      await story.settled();
      for (const node of [1, 2]) {
        const held = await story.ask(
          0,
          (asked) => Promise.resolve(asked.ringStatus()),
        );
        const owned = held.owners.filter((owner) =>
          held.nodes[owner] === nameOf(node)
        );
        story.expect(owned.length >= 2, `${nameOf(node)} must have its share`);
      }
    },
  },
  {
    name: "riak_admin_console_tests",
    what:
      "every wrong request of an operator is refused by name at whichever member it is made, and changes nothing; after riak_test riak_admin_console_tests",
    nodes: 3,
    spares: 1,
    operations: 100,
    loadMs: 20_000,
    async script(story) {
      const ring = () => story.machine(0).node?.parts.cluster?.ring;
      const claimant = ring()?.ownership.claimant as string;
      const other = [0, 1, 2].map(nameOf).find((name) => name !== claimant)!;
      const stranger = "x@x";
      /** The answer, once there is one: links break where much is lost. */
      const answer = async (
        act: Act,
        unanswered: readonly string[],
      ): Promise<string | undefined> => {
        let got: string | undefined;
        await story.until("It is answered", async () => {
          got = await refusalOf(story.ask(story.chance.below(3), act));
          return got === undefined || !unanswered.includes(got);
        });
        return got;
      };
      const refused = async (code: string, act: Act): Promise<void> => {
        // What is refused changes nothing, so it can be asked again even if it
        // may have arrived.
        const got = await answer(act, ["not_reachable", "timeout"]);
        story.expect(
          got === code,
          `It must be refused with ${code}, and was with ${got}: ${act}`,
        );
      };
      const done = async (act: Act): Promise<void> => {
        const got = await answer(act, ["not_reachable", "ring_not_ready"]);
        story.expect(got === undefined, `It was refused with ${got}: ${act}`);
      };
      await refused("nothing_planned", (node) => node.commit());
      await refused("nothing_planned", (node) => node.commit("0".repeat(16)));
      await refused("not_member", (node) => node.leave(stranger));
      await refused("not_member", (node) => node.forceRemove(stranger));
      await refused("not_member", (node) => node.replace(stranger, other));
      await refused("not_member", (node) => node.forceReplace(stranger, other));
      await refused("not_member", (node) => node.down(stranger));
      await refused("is_claimant", (node) => node.forceRemove(claimant));
      await refused(
        "invalid_replacement",
        (node) => node.replace(other, stranger),
      );
      await refused(
        "invalid_replacement",
        (node) => node.replace(other, claimant),
      );
      await refused("is_up", (node) => node.down(node.name));
      await refused("self_join", (node) => node.join(node.address));
      await refused("same_size", (node) => node.resizeRing(8));
      await refused("invalid_ring_size", (node) => node.resizeRing(9));
      await refused("not_resizing", (node) => node.abortResize());

      await story.carryOut({ type: "join", node: 3, commit: false });
      await story.until(
        "It is joining",
        () => statusOn(story, 0, 3) === "joining",
      );
      const guest = nameOf(3);
      await refused("not_single_node", (node) => node.join("n4@n4:10000"));
      await refused("pending_changes", (node) => node.resizeRing(16));
      await done((node) => node.replace(other, guest));
      const last = [0, 1, 2].map(nameOf)
        .find((name) => name !== claimant && name !== other)!;
      await refused("already_replacement", (node) => node.replace(last, guest));
      await done((node) => node.leave(last));
      await done((node) => node.plan());
      await refused("plan_changed", (node) => node.commit("0".repeat(16)));
      const before = JSON.stringify(ring()?.ownership.owners);
      await story.carryOut({ type: "clear" });
      await story.settled();
      story.expect(
        JSON.stringify(ring()?.ownership.owners) === before,
        "Nothing may have moved",
      );
    },
  },
];
