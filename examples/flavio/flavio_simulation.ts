/**
 * flavio under faults: clients post to a few streams while machines crash,
 * links break and disks fill up, and in the profile `membership` while nodes
 * join and leave. In the end every acknowledged message must exist, once, on
 * each replica that has kept its data.
 *
 *     deno task simulate --setup examples/flavio/flavio_simulation.ts --seeds 100
 *
 * @module
 */
import {
  FAULT_TYPES,
  type RunCheck,
  type SimulateOptions,
  type Violation,
  type Workload,
} from "../../src/simulation/mod.ts";
import { Flavio, mergedMessages } from "./flavio.ts";
import flavioModule from "./flavio_vnode.ts";
import { type Message, MESSAGES_MAX } from "./message.ts";

const USER = "user";
/** Few, so that several clients post to the same one. */
const STREAMS = ["one", "two", "three"];

const post: Workload = async ({ number, chance, now, record }) => {
  const stream = STREAMS[chance.below(STREAMS.length)]!;
  const msg = `message ${number}`;
  await record(stream, msg, async (cluster) => {
    const flavio = new Flavio(cluster.module(flavioModule), {
      now,
      origin: `post-${number}`,
    });
    const { replies } = await flavio.postMsg(USER, stream, msg);
    return replies[0]!.message;
  });
};

const check: RunCheck = async (
  { history, nodes, eventually, schedule, membership },
) => {
  const flavio = new Flavio(nodes[0]!.module(flavioModule), {
    origin: "check",
  });
  // A lying disk or a lost machine can lose what a fallback had not handed over
  // yet: then two replicas have it, and reading does not repair the third.
  const mayMiss = schedule.disk.liesAboutSync || membership.lost;
  const violations: Violation[] = [];
  for (const stream of STREAMS) {
    const { replies } = await eventually(
      `Reading ${stream}`,
      () => flavio.getMsgs(USER, stream, null, MESSAGES_MAX),
    );
    const replicas = replies.map((reply) =>
      "messages" in reply ? reply.messages : []
    );
    const readings = mayMiss
      ? [mergedMessages(replies, null, MESSAGES_MAX)]
      : replicas;
    for (const { key, outcome, id, output } of history) {
      if (key !== stream || outcome !== "ok") continue;
      const counts = readings.map((messages) =>
        countOf(output as Message, messages)
      );
      if (counts.every((count) => count === 1)) continue;
      violations.push({
        check: "acknowledged_messages",
        message: `${(output as Message).msg} is there ${
          counts.join(", ")
        } times`,
        key: stream,
        operations: [id],
      });
    }
  }
  return violations;
};

function countOf(
  { id, origin, msg }: Message,
  messages: readonly Message[],
): number {
  return messages.filter((its) =>
    its.id === id && its.origin === origin && its.msg === msg
  ).length;
}

/** What to simulate, without the seed. */
const flavioSimulation: Omit<SimulateOptions, "seed"> = {
  vnode: flavioModule as never,
  workload: post,
  check,
  // Damaged data is repaired by an operator here, not by reading.
  faults: FAULT_TYPES.filter((fault) => fault !== "bit_rot"),
};
export default flavioSimulation;
