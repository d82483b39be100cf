import { assertEquals } from "@std/assert";
import type { RaftTarget } from "./raft_member.ts";
import { ReadQueue } from "./read_queue.ts";

class Bench {
  readonly told: string[] = [];
  readonly rounds: number[] = [];
  #deferred: (() => void)[] = [];
  readonly queue = new ReadQueue({
    defer: (callback) => void this.#deferred.push(callback),
    read: (round) => void this.rounds.push(round),
  });

  turn(): void {
    for (const callback of this.#deferred.splice(0)) callback();
  }

  target(name: string): RaftTarget<void> {
    return {
      done: () => void this.told.push(name),
      failed: (reason, leader) =>
        void this.told.push(`${name} ${reason} ${leader ?? "nobody"}`),
    };
  }
}

Deno.test("ReadQueue gives the reads of one turn one round, and answers when the machine has caught up", () => {
  const bench = new Bench();
  const { queue, told, rounds } = bench;
  queue.add(bench.target("a"));
  queue.add(bench.target("b"));
  bench.turn();
  queue.add(bench.target("c"));
  bench.turn();
  assertEquals(rounds, [1, 2]);
  queue.ready(1, 10, 9);
  assertEquals(told, []);
  queue.applied(9);
  assertEquals(told, []);
  queue.applied(10);
  assertEquals(told, ["a", "b"]);
  queue.ready(2, 10, 12);
  assertEquals(told, ["a", "b", "c"]);
  // A round ends once.
  queue.ready(1, 10, 12);
  assertEquals(told.length, 3);
});

Deno.test("ReadQueue refuses a round as a whole, and returns all waiting reads", () => {
  const bench = new Bench();
  const { queue, told } = bench;
  queue.add(bench.target("a"));
  bench.turn();
  queue.refused(1, "not_leader", "n2");
  assertEquals(told.splice(0), ["a not_leader n2"]);
  queue.add(bench.target("b"));
  bench.turn();
  queue.add(bench.target("c"));
  queue.wait(5, bench.target("d"), 4);
  for (const target of queue.clear()) target.failed("closed", undefined);
  assertEquals(told, [
    "c closed nobody",
    "b closed nobody",
    "d closed nobody",
  ]);
  bench.turn();
  queue.applied(9);
  assertEquals(told.length, 3);
});
