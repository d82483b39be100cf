import { assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { RaftCore } from "./raft_core.ts";
import type { RaftEffect, RaftEvent, RaftStart } from "./raft_events.ts";
import { command, votersOn } from "./testing/one_member.ts";

/** The only voter of a group: it starts an election as it is created. */
function alone(): RaftStart {
  return {
    node: "a",
    uid: 1,
    term: 0,
    votedFor: undefined,
    snapshot: undefined,
    initial: votersOn("a"),
    lastIndex: 0,
    terms: [],
    memberships: [],
    machineVersion: 1,
    chance: seededChance("raft core"),
  };
}

/** A core that saves its votes at once, and the steps and effects in order. */
function started(
  onEffect: (effect: RaftEffect, core: RaftCore) => void = () => {},
): { core: RaftCore; log: string[] } {
  const log: string[] = [];
  const core: RaftCore = new RaftCore(alone(), {
    beforeStep: (event) => log.push(`step ${event.type}`),
    perform: (effect) => {
      log.push(effect.type);
      if (effect.type === "persist_vote") {
        const { term, votedFor } = effect;
        core.deliver({ type: "vote_persisted", term, votedFor });
      }
      onEffect(effect, core);
    },
    failed: (error) => log.push(`failed ${(error as Error).message}`),
  });
  return { core, log };
}

const proposal: RaftEvent = { type: "propose", proposals: [command()] };

Deno.test("RaftCore performs all effects of an event before the next one, in order", () => {
  const { core, log } = started();
  core.deliver(proposal);
  assertEquals(log, [], "nothing happens before it is started");
  core.start();
  // The proposal came before the vote was durable, so there is no leader yet.
  assertEquals(log, [
    "persist_vote",
    "role_changed",
    "set_election_timer",
    "step propose",
    "proposals_refused",
    "step vote_persisted",
    "role_changed",
    "clear_election_timer",
    "append",
  ]);
  assertEquals(core.state.role, "leader");
});

Deno.test("RaftCore drops queued events when a step fails, and reports why", () => {
  let fails = false;
  const { core, log } = started((effect, core) => {
    if (!fails || effect.type !== "append") return;
    core.deliver({ type: "quorum_check" });
    throw new Error("no disk");
  });
  core.start();
  fails = true;
  log.length = 0;
  core.deliver(proposal);
  assertEquals(log, ["step propose", "append", "failed no disk"]);
  fails = false;
  core.deliver({ type: "quorum_check" });
  assertEquals(log.slice(3), ["step quorum_check"]);
});
