import { assert, assertEquals } from "@std/assert";
import { RA_KV_MACHINE } from "../../src/ra_kv/ra_kv_command_codec.ts";
import type { MachineEffect, RaftMachine } from "../../src/raft/machine.ts";
import { CHECKPOINT_ENTRIES_MIN } from "../../src/raft/own_snapshots.ts";
import { GROUP, member, NodeBench } from "./node_bench.ts";

/** Counts commands, and wants what they say. */
class Counter implements RaftMachine<{ count: number }> {
  readonly name = RA_KV_MACHINE;
  readonly version = 0;
  /** How many commands this process has been given. */
  applied = 0;

  init(): { count: number } {
    return { count: 0 };
  }

  apply(
    { index }: { readonly index: number },
    command: Uint8Array<ArrayBuffer>,
    state: { count: number },
  ) {
    this.applied++;
    state.count++;
    const effects: MachineEffect[] = [];
    if (command[0] === CHECKPOINT) effects.push({ type: "checkpoint" });
    if (command[0] === RELEASE) {
      effects.push({ type: "release_cursor", index: index - 1 });
    }
    return { reply: undefined, effects };
  }

  encode({ count }: { count: number }) {
    return [new TextEncoder().encode(`${count}`)];
  }

  decode(pieces: Iterable<Uint8Array<ArrayBuffer>>) {
    return { count: Number(new TextDecoder().decode([...pieces][0])) };
  }
}

const COUNT = 0;
const CHECKPOINT = 1;
const RELEASE = 2;

class CounterBench extends NodeBench {
  readonly counter: Counter;

  constructor(seed: string, counter = new Counter()) {
    super(seed, counter as RaftMachine);
    this.counter = counter;
  }

  get count(): number {
    return (this.system.member(GROUP)!.state as { count: number }).count;
  }

  get checkpoints(): number[] {
    return this.system.member(GROUP)!.log.checkpoints.map(({ index }) => index);
  }

  /** Counts so many times. */
  async countOn(times: number): Promise<void> {
    const there = await this.lead();
    const goal = this.count + times;
    for (let left = times; left > 0;) {
      const part = Math.min(left, 4_096);
      for (let i = 0; i < part; i++) {
        there.propose(Uint8Array.of(COUNT), undefined);
      }
      left -= part;
      await this.bench.time.run(Infinity, () => this.count >= goal - left);
    }
  }

  /** Lets `happens` come about. */
  async until(happens: () => boolean): Promise<void> {
    await this.bench.time.run(Infinity, happens);
    assert(happens());
  }

  /** Stops and starts; how many commands were applied again, if as many as there are are applied. */
  async restart(count: number): Promise<number> {
    const before = this.counter.applied;
    this.bench.crash("power");
    await this.run(this.begin());
    await this.lead();
    await this.until(() => this.count === count);
    return this.counter.applied - before;
  }
}

Deno.test("a member begins from its newest checkpoint, and from what there is if that is damaged", async () => {
  const node = new CounterBench("checkpoints");
  await node.run(node.begin());
  await node.run(node.system.createMember(member(5)));
  await node.countOn(100);
  // Too soon: so few entries are applied in no time.
  await node.propose(Uint8Array.of(CHECKPOINT));
  assertEquals(node.checkpoints, []);
  await node.countOn(CHECKPOINT_ENTRIES_MIN);
  await node.propose(Uint8Array.of(CHECKPOINT));
  await node.until(() => node.checkpoints.length === 1);
  const [first] = node.checkpoints as [number];
  await node.countOn(300);
  const count = CHECKPOINT_ENTRIES_MIN + 402;
  assertEquals(await node.restart(count), 300);
  assertEquals(node.checkpoints, [first]);
  const { log } = node.system.member(GROUP)!;
  assertEquals([log.snapshot, log.overview().firstIndex], [undefined, 1]);

  // Damaged, it is as if there were none.
  node.bench.crash("power");
  const folder = `/raft/groups/5/snapshots`;
  const [name] = await node.run(node.bench.live().disk.names(folder));
  await node.spoil(`${folder}/${name}/state`);
  const before = node.counter.applied;
  await node.run(node.begin());
  await node.lead();
  await node.until(() => node.count === count);
  assertEquals(
    [node.counter.applied - before, node.system.member(GROUP)!.uid],
    [
      count,
      5,
    ],
  );
  // The one that it takes as it applies those again is the same.
  await node.until(() => node.checkpoints.length === 1);
  assertEquals(node.checkpoints, [first]);
});

Deno.test("release_cursor makes a snapshot of the newest checkpoint up to its index", async () => {
  const node = new CounterBench("release");
  await node.run(node.begin());
  await node.run(node.system.createMember(member(5)));
  for (const times of [0, 1]) {
    await node.countOn(CHECKPOINT_ENTRIES_MIN);
    await node.propose(Uint8Array.of(CHECKPOINT));
    await node.until(() => node.checkpoints.length === times + 1);
  }
  const [first, second] = node.checkpoints as [number, number];
  assert(second - first >= CHECKPOINT_ENTRIES_MIN);
  await node.countOn(10);
  await node.propose(Uint8Array.of(RELEASE));
  const { log } = node.system.member(GROUP)!;
  await node.until(() => log.snapshot !== undefined);
  assertEquals([log.snapshot?.index, log.checkpoints], [second, []]);
  assertEquals(log.overview().firstIndex, second + 1);
  const count = 2 * CHECKPOINT_ENTRIES_MIN + 13;
  assertEquals(await node.restart(count), 11);
  // That command was among them, and there is no checkpoint now: of the state it left.
  const again = node.system.member(GROUP)!.log;
  await node.until(() => again.snapshot?.index !== second);
  assertEquals(again.snapshot?.index, count + 1);
});
