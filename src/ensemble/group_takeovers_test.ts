import { assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { type Log, type LogData, silentLog } from "../environment/log.ts";
import { RA_KV_MACHINE } from "../ra_kv/ra_kv_command_codec.ts";
import { FIRST_SUCCESSION } from "../ra_kv/succession.ts";
import type { RaftSystem, RaftTarget } from "../raft/raft_member.ts";
import type { Ring } from "../ring/ring.ts";
import { partitionGroup, vnodeGroup } from "./ensemble_names.ts";
import { GroupExport } from "./group_export.ts";
import { GroupTakeovers } from "./group_takeovers.ts";
import { MemberQuestions } from "./member_questions.ts";
import { STUCK_AFTER_MS } from "./stuck_groups.ts";

const GROUP = partitionGroup(1, 1);

Deno.test("takeOver() warns once of a group that makes no progress, with its sources and the reason", async () => {
  const runtime = new ManualRuntime();
  const told: [string, string, LogData | undefined][] = [];
  const log: Log = {
    ...silentLog,
    info: (message, data) => void told.push(["info", message, data]),
    warn: (message, data) => void told.push(["warn", message, data]),
  };
  let isLost = true;
  const member = {
    group: GROUP,
    node: "a",
    role: "leader",
    term: 1,
    leader: "a",
    log: { config: { machine: RA_KV_MACHINE } },
    state: {
      succession: {
        ...FIRST_SUCCESSION,
        isComplete: false,
        sources: new Map([
          [2, { upTo: 9, sealedAt: 9 }],
          [3, { upTo: 0, sealedAt: 0 }],
        ]),
      },
    },
    consistentRead: (target: RaftTarget<void>) =>
      isLost ? target.failed("leader_lost", undefined) : target.done(),
  };
  const system = () =>
    ({
      member: (group: string) => group === GROUP ? member : undefined,
    }) as unknown as RaftSystem;
  const call = () => Promise.reject(new WhorlError("not_reachable", "nobody"));
  const members = new MemberQuestions({
    self: "a",
    runtime,
    system,
    isUp: () => true,
    find: () => Promise.resolve([]),
    call,
  });
  const resize = { generation: 1, owners: Array(8).fill("a") };
  const ring = {
    size: 16,
    ownership: {
      owners: Array(16).fill("a"),
      generations: { current: 0, resize },
    },
  } as unknown as Ring;
  const takeovers = new GroupTakeovers({
    self: "a",
    runtime,
    log,
    system,
    ring: () => ring,
    members,
    exports: new GroupExport(members),
    perform: call,
    call,
  });
  const step = () =>
    takeovers.takeOver({ group: GROUP, partition: 1, mayEnd: false });
  for (let attempt = 0; attempt < 5; attempt++) {
    await assertRejects(step, WhorlError);
    await runtime.advance(STUCK_AFTER_MS / 3);
  }
  assertEquals(told.map(([kind]) => kind), ["warn"]);
  const [, message, data] = told[0]!;
  assertEquals(message.startsWith(`${GROUP} does not get on`), true);
  assertEquals(data?.["sources"], [vnodeGroup(3)]);
  assertEquals(typeof data?.["reason"], "string");
  isLost = false;
  member.state.succession.sources.clear();
  member.state.succession.sources.set(2, { upTo: 9, sealedAt: 9 });
  await step();
  assertEquals(told.map(([kind]) => kind), ["warn", "info"]);
});
