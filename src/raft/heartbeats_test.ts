import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { GroupProcess } from "./group_process.ts";
import { readHeartbeats } from "./heartbeat_codec.ts";
import { HEARTBEAT_MS, Heartbeats } from "./heartbeats.ts";
import type { Member } from "./raft_entry.ts";
import { ELECTION_TIMEOUT_MS_MIN } from "./raft_fsm.ts";

const onNodes = (...nodes: string[]) =>
  nodes.map((node, at): Member => ({
    node,
    uid: at + 1,
    kind: "voter",
    target: 0,
  }));

/** The heartbeats of node a. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly heartbeats: Heartbeats;
  /** What was sent: when, where, and which frame with which groups. */
  readonly #sent: string[] = [];
  readonly #members = new Map<number, GroupProcess>();
  /** Events told to members. */
  readonly told: string[] = [];

  constructor() {
    const into = new ByteWriter();
    let to = "";
    this.heartbeats = new Heartbeats({
      node: "a",
      runtime: this.runtime,
      begin(node, frameType) {
        assertEquals(frameType, FrameType.raftHeartbeats);
        into.clear();
        to = node;
        return into;
      },
      end: () => {
        const { sequence, groups } = readHeartbeats(
          new ByteReader(into.copy()),
        );
        const named = groups.map(({ group }) => group).join(",");
        this.#sent.push(`${this.runtime.now()}: ${to} #${sequence} [${named}]`);
      },
      members: () => this.#members.values(),
      memberOf: (groupId) => this.#members.get(groupId),
    });
  }

  /** A member of this node that may lead its group. */
  add(groupId: number, nodes: readonly string[], leads = true): void {
    const member = {
      groupId,
      leads,
      term: 1,
      commitIndex: 0,
      membership: { index: 0, members: onNodes(...nodes) },
      deliver: ({ type }: { type: string }) =>
        this.told.push(`${this.runtime.now()}: ${groupId} ${type}`),
    };
    this.#members.set(groupId, member as unknown as GroupProcess);
    this.heartbeats.memberAdded();
  }

  remove(groupId: number): void {
    this.#members.delete(groupId);
  }

  /** Lets this many intervals pass, and returns what was sent since the last call. */
  async pass(intervals: number): Promise<string[]> {
    for (let i = 0; i < intervals; i++) {
      await this.runtime.advance(HEARTBEAT_MS);
    }
    return this.#sent.splice(0);
  }

  get timers(): number {
    return this.runtime.pendingTimers;
  }
}

Deno.test("Heartbeats.start() sends nothing and sets no timer while there are no members", async () => {
  const bench = new Bench();
  bench.heartbeats.start();
  assertEquals(bench.timers, 0);
  assertEquals(await bench.pass(3), []);
  assertEquals(bench.timers, 0);
});

Deno.test("Heartbeats.start() sends at once to the nodes of the existing members, and then in each interval", async () => {
  const bench = new Bench();
  bench.add(1, ["a", "b", "c"]);
  bench.add(2, ["a", "c"], false);
  assertEquals([bench.timers, await bench.pass(2)], [0, []]);
  bench.heartbeats.start();
  assertEquals(bench.timers, 1);
  assertEquals(await bench.pass(1), [
    "800: b #1 [1]",
    "800: c #1 [1]",
    "1200: b #2 [1]",
    "1200: c #2 [1]",
  ]);
});

Deno.test("Heartbeats stop with the last member, and start again with the next", async () => {
  const bench = new Bench();
  bench.heartbeats.start();
  bench.add(1, ["a", "b"]);
  bench.add(2, ["a", "b"], false);
  // However many are added, one timer runs.
  assertEquals(bench.timers, 1);
  assertEquals(await bench.pass(2), ["400: b #1 [1]", "800: b #2 [1]"]);
  bench.remove(1);
  assertEquals(await bench.pass(1), ["1200: b #3 []"]);
  bench.remove(2);
  assertEquals([await bench.pass(1), bench.timers], [[], 0]);
  assertEquals(await bench.pass(3), []);
  bench.add(3, ["a", "b"]);
  assertEquals(bench.timers, 1);
  assertEquals(await bench.pass(2), ["3200: b #1 [3]", "3600: b #2 [3]"]);
});

Deno.test("Heartbeats continue when the last member is replaced between two of them", async () => {
  const bench = new Bench();
  bench.add(1, ["a", "b"]);
  bench.heartbeats.start();
  bench.remove(1);
  bench.add(2, ["a", "b"]);
  assertEquals(bench.timers, 1);
  assertEquals(await bench.pass(1), ["0: b #1 [1]", "400: b #2 [2]"]);
});

Deno.test("Heartbeats.close() stops them for good, whichever members are added", async () => {
  const bench = new Bench();
  bench.add(1, ["a", "b"]);
  bench.heartbeats.start();
  assertEquals(await bench.pass(1), ["0: b #1 [1]", "400: b #2 [1]"]);
  bench.heartbeats.close();
  assertEquals(bench.timers, 0);
  bench.add(2, ["a", "b"]);
  assertEquals([await bench.pass(3), bench.timers], [[], 0]);

  const idle = new Bench();
  idle.heartbeats.start();
  idle.heartbeats.close();
  idle.add(1, ["a", "b"]);
  assertEquals([await idle.pass(3), idle.timers], [[], 0]);
});

Deno.test("Heartbeats ask leaders about their majority once per minimal election timeout, and others never", async () => {
  const bench = new Bench();
  bench.heartbeats.start();
  bench.add(1, ["a", "b"]);
  bench.add(2, ["a", "b"], false);
  await bench.pass(6);
  const every = Math.ceil(ELECTION_TIMEOUT_MS_MIN / HEARTBEAT_MS);
  assertEquals(
    bench.told,
    [1, 2].map((round) => `${round * every * HEARTBEAT_MS}: 1 quorum_check`),
  );
});
