import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { dataOfEntry, timeOfEntry } from "./entry_body.ts";
import {
  LOW_PRIORITY_BATCH,
  PENDING_MAX,
  ProposalQueue,
} from "./proposal_queue.ts";
import type { RaftEntry } from "./raft_entry.ts";
import type { Proposal } from "./raft_events.ts";
import type { AppliedCommand, RaftTarget } from "./raft_member.ts";

/** A queue whose core accepts as many proposals as it is told to. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly told: string[] = [];
  readonly batches: string[][] = [];
  readonly queue = new ProposalQueue({
    runtime: this.runtime,
    wallClock: () => 1_700_000_000_123.9,
    propose: (proposals) => {
      this.batches.push(proposals.map(({ body }) => textOf(body)));
      this.queue.offer();
      this.answer(proposals);
    },
  });
  answer = (proposals: readonly Proposal[]): void => this.take(proposals, 3);
  #index = 0;

  take(proposals: readonly Proposal[], term: number): void {
    const entries = proposals.map(({ body }): RaftEntry => ({
      index: ++this.#index,
      term,
      body,
    }));
    this.queue.appended(entries, 7);
  }

  target(name: string): RaftTarget<AppliedCommand> {
    return {
      done: ({ meta, reply }) =>
        this.told.push(`${name} ${meta.index} ${reply?.length ?? "-"}`),
      failed: (reason, leader) =>
        this.told.push(`${name} ${reason} ${leader ?? "nobody"}`),
    };
  }

  add(name: string, ...options: Parameters<ProposalQueue["add"]>[2][]): void {
    const [given] = options;
    this.queue.add(new TextEncoder().encode(name), this.target(name), given);
  }

  applied(index: number, term = 3): void {
    const meta = { index, term, timeMs: 0, machineVersion: 7 };
    this.queue.applied(meta, new Uint8Array(index), "n1");
  }
}

function textOf(body: Uint8Array<ArrayBuffer>): string {
  return new TextDecoder().decode(dataOfEntry(body));
}

Deno.test("ProposalQueue proposes the commands of one turn together, with the time they arrived", async () => {
  const bench = new Bench();
  let timeMs = 0;
  bench.answer = (proposals) => {
    timeMs = timeOfEntry(proposals[0]!.body);
    bench.take(proposals, 3);
  };
  bench.add("a");
  bench.add("b");
  assertEquals(bench.batches, []);
  await bench.runtime.advance(0);
  assertEquals(bench.batches, [["a", "b"]]);
  assertEquals(timeMs, 1_700_000_000_123);
  bench.applied(2);
  bench.applied(1);
  bench.applied(1);
  assertEquals(bench.told, ["b 2 2", "a 1 1"]);
});

Deno.test("ProposalQueue notifies callers that wait for the log when it is durable, and nobody else", async () => {
  const bench = new Bench();
  bench.add("logged", { reply: "appended" });
  bench.queue.add(new Uint8Array(1), undefined);
  bench.add("applied");
  await bench.runtime.advance(0);
  assertEquals(bench.told, ["logged 1 -"]);
  for (const index of [1, 2, 3]) bench.applied(index);
  assertEquals(bench.told, ["logged 1 -", "applied 3 3"]);
});

Deno.test("ProposalQueue sends commands of low priority in batches, and lets others overtake them", async () => {
  const bench = new Bench();
  for (let i = 0; i < LOW_PRIORITY_BATCH + 2; i++) {
    bench.add(`low${i}`, { priority: "low" });
  }
  bench.add("normal");
  await Promise.resolve();
  bench.add("late");
  await bench.runtime.advance(10);
  const all = bench.batches.flat();
  assertEquals(all.length, LOW_PRIORITY_BATCH + 4);
  assertEquals(all[0], "normal");
  assertEquals(
    all.indexOf("late") < all.indexOf(`low${LOW_PRIORITY_BATCH}`),
    true,
  );
});

Deno.test("ProposalQueue fails all of a refused batch, and those whose entries another leader replaced", async () => {
  const bench = new Bench();
  bench.answer = () => bench.queue.refused("overload", "n1");
  bench.add("a");
  bench.add("b");
  await bench.runtime.advance(0);
  assertEquals(bench.told.splice(0), ["a overload n1", "b overload n1"]);
  bench.answer = (proposals) => bench.take(proposals, 3);
  bench.add("c");
  bench.add("d");
  await bench.runtime.advance(0);
  bench.applied(1, 4);
  bench.queue.lost("n2");
  bench.applied(2);
  assertEquals(bench.told, ["c leader_lost n1", "d leader_lost n2"]);
});

Deno.test("ProposalQueue is full with as many commands as may wait, and empty once cleared", async () => {
  const bench = new Bench();
  for (let i = 0; i < PENDING_MAX - 1; i++) bench.queue.add(BYTE, NOBODY);
  await bench.runtime.advance(0);
  assertEquals(bench.queue.full, false);
  bench.queue.add(BYTE, NOBODY, { priority: "low" });
  assertEquals(bench.queue.full, true);
  assertEquals(bench.queue.clear().length, PENDING_MAX);
  assertEquals([bench.queue.full, bench.queue.clear().length], [false, 0]);
  await bench.runtime.advance(10);
  assertEquals(bench.batches.length, 1);
});

const BYTE = new Uint8Array(1);
const NOBODY: RaftTarget<AppliedCommand> = { done: () => {}, failed: () => {} };
