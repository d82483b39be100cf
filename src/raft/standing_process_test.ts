import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Member } from "./raft_entry.ts";
import type { RaftMember } from "./raft_member.ts";
import {
  COMING_ASK_MS,
  STANDING_ASK_MS,
  StandingProcess,
} from "./standing_process.ts";

const members = ["a", "b", "c"].map((node, at): Member => ({
  node,
  uid: at + 1,
  kind: "voter",
  target: 0,
}));

function asking(
  answers: Readonly<Record<string, boolean | string>>,
  state: { leader?: string; lastIndex?: number; uid?: number } = {},
) {
  const member = {
    group: "g",
    groupId: 7,
    node: "a",
    uid: state.uid ?? 1,
    leader: state.leader,
    membership: { index: 0, members },
    log: { lastIndex: state.lastIndex ?? 0 },
  };
  const runtime = new ManualRuntime();
  const asked: string[] = [];
  let removed = 0;
  const standing = new StandingProcess({
    runtime,
    removed: () => void removed++,
    // deno-lint-ignore require-await
    call: async (to, method, args) => {
      asked.push(`${to} ${method} ${JSON.stringify(args)}`);
      const answer = answers[to];
      if (typeof answer === "boolean") return answer;
      throw new WhorlError("not_leader", `${to} does not lead`, {
        details: { leader: answer ?? null },
      });
    },
  }, member as unknown as RaftMember);
  const pass = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await runtime.advance(STANDING_ASK_MS);
  };
  return { member, runtime, standing, asked, pass, removed: () => removed };
}

Deno.test("a member without a leader asks others, and the leader they name, and removes itself if it was removed", async () => {
  const { pass, asked, removed, runtime } = asking({
    b: "d",
    d: false,
  });
  await pass(1);
  assertEquals(asked, []);
  await pass(1);
  const request = '{"group":"g","groupId":7,"uid":1}';
  assertEquals(asked, [
    `b raft_standing ${request}`,
    `c raft_standing ${request}`,
    `d raft_standing ${request}`,
  ]);
  assertEquals([removed(), runtime.pendingTimers], [1, 0]);
});

Deno.test("a member keeps asking while nobody knows, and stays while it is a member", async () => {
  const { pass, asked, removed, standing, runtime } = asking({ c: true });
  await pass(4);
  assertEquals([asked.length, removed()], [6, 0]);
  standing.close();
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("a member that has a leader, or that is still to be added, asks nobody", async () => {
  const led = asking({ b: false }, { leader: "b" });
  await led.pass(4);
  assertEquals([led.asked, led.removed()], [[], 0]);
  const coming = asking({ b: false }, { uid: 9 });
  await coming.pass(4);
  assertEquals([coming.asked, coming.removed()], [[], 0]);
  const undone = asking({ b: false }, { uid: 9, lastIndex: 3 });
  await undone.pass(2);
  assertEquals(undone.removed(), 1);
});

Deno.test("a member that was never added asks eventually, and removes itself if nobody knows it", async () => {
  const coming = asking({ b: false }, { uid: 9 });
  await coming.runtime.advance(COMING_ASK_MS - 1);
  assertEquals(coming.asked, []);
  await coming.runtime.advance(3 * STANDING_ASK_MS);
  assertEquals([coming.removed(), coming.runtime.pendingTimers], [1, 0]);
  const wanted = asking({ b: true }, { uid: 9 });
  await wanted.runtime.advance(COMING_ASK_MS + 3 * STANDING_ASK_MS);
  assertEquals([wanted.asked.length > 0, wanted.removed()], [true, 0]);
  wanted.standing.close();
});
