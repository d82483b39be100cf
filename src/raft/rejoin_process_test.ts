import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import type { Member } from "./raft_entry.ts";
import type { RaftMember } from "./raft_member.ts";
import { REJOIN_ASK_MS, RejoinProcess } from "./rejoin_process.ts";

const members = ["a", "b", "c"].map((node, at): Member => ({
  node,
  uid: at + 1,
  kind: "voter",
  target: 0,
}));

function rejoining(answer: (to: string) => void) {
  const member = {
    group: "g",
    node: "a",
    uid: 9,
    leader: undefined,
    commitIndex: 0,
    membership: { index: 0, members },
  };
  const runtime = new ManualRuntime();
  const asked: string[] = [];
  let removed = 0;
  const rejoin = new RejoinProcess({
    runtime,
    log: silentLog,
    removed: () => void removed++,
    // deno-lint-ignore require-await
    call: async (to, method) => {
      assertEquals(method, "raft_rejoin");
      asked.push(to);
      answer(to);
    },
  }, member as unknown as RaftMember);
  return { member, runtime, rejoin, asked, removed: () => removed };
}

function refusal(code: "not_leader" | "not_member", leader?: string) {
  return new WhorlError(code, "no", { details: { leader: leader ?? null } });
}

Deno.test("a member that lost its log asks the leader that others know, even if it was added after its log began", async () => {
  const { asked, runtime, rejoin, member } = rejoining((to) => {
    if (to !== "d") throw refusal("not_leader", "d");
  });
  await runtime.advance(0);
  assertEquals(asked, ["b", "c", "d"]);
  await runtime.advance(REJOIN_ASK_MS);
  assertEquals(asked.length, 6);
  // It is in its own log, perhaps by a leader that no longer leads.
  member.membership = {
    index: 4,
    members: members.with(0, {
      node: "a",
      uid: 9,
      kind: "promotable",
      target: 4,
    }),
  };
  await runtime.advance(REJOIN_ASK_MS);
  assertEquals(asked.length, 9);
  member.commitIndex = 4;
  await runtime.advance(REJOIN_ASK_MS);
  assertEquals([asked.length, runtime.pendingTimers], [9, 0]);
  rejoin.close();
});

Deno.test("a member that lost its log and was removed since removes itself", async () => {
  const { runtime, removed } = rejoining((to) => {
    throw to === "c" ? refusal("not_member") : refusal("not_leader");
  });
  await runtime.advance(0);
  assertEquals([removed(), runtime.pendingTimers], [1, 0]);
});
