/**
 * One node of a measured Raft group. Lines of JSON on standard input say what to
 * do; each is answered with one on standard output. The end of the input ends
 * the node.
 *
 * @module
 */
import { Session } from "node:inspector/promises";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import type { Member } from "../../src/raft/raft_entry.ts";
import { startMeasuredNode } from "../measured_node.ts";
import { type LoadedStore, type RaftLoad, runRaftLoad } from "./load.ts";
import { writePutChange } from "../../src/ra_kv/ra_kv_command_codec.ts";

type Order =
  | { readonly do: "join"; readonly address: string }
  | { readonly do: "commit" }
  | { readonly do: "settled" }
  | {
    readonly do: "create";
    readonly uid: number;
    readonly initial: readonly Member[];
  }
  | { readonly do: "stand" }
  | { readonly do: "leads" }
  | { readonly do: "load"; readonly load: RaftLoad; readonly profile?: string };

const GROUP = "bench";
const { node, serve } = await startMeasuredNode();

/** The member itself, without a client: what the store on top adds shows in comparison. */
function memberStore(): LoadedStore {
  const member = node.parts.raft!.member(GROUP)!;
  const scratch = new ByteWriter(2048);
  return {
    put: (key, value) =>
      new Promise<void>((resolve, reject) => {
        scratch.clear();
        scratch.u8(1);
        writePutChange(scratch, key, value);
        member.propose(scratch.view(), {
          done: () => resolve(),
          failed: (reason) => reject(new Error(reason)),
        });
      }),
    get: () =>
      new Promise<void>((resolve, reject) =>
        member.consistentRead({
          done: () => resolve(),
          failed: (reason) => reject(new Error(reason)),
        })
      ),
  };
}

async function profiled<T>(
  path: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (path === undefined) return await work();
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  const result = await work();
  const { profile } = await session.post("Profiler.stop");
  await Deno.writeTextFile(path, JSON.stringify(profile));
  session.disconnect();
  return result;
}

await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "join":
      return await node.join(order.address);
    case "commit":
      return await node.commit((await node.plan()).planId);
    case "settled":
      return await node.settled(10_000);
    case "create":
      await node.parts.raft!.createMember({
        group: GROUP,
        groupId: 1,
        uid: order.uid,
        machine: "ra_kv",
        initial: order.initial,
      });
      return null;
    case "stand":
      node.parts.raft!.member(GROUP)!.standNow();
      return null;
    case "leads":
      return node.parts.raft!.member(GROUP)!.leads;
    case "load":
      return await profiled(
        order.profile,
        () => runRaftLoad(memberStore(), order.load),
      );
    default:
      return order satisfies never;
  }
});
