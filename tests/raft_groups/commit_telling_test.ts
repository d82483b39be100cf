/**
 * When a leader tells what is committed: the others, see `tellCommitSoon()` in
 * `src/raft/leadership.ts`, and whoever proposed it.
 */
import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { RaKvOp, writePutChange } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { GROUP, member, NodeBench } from "./node_bench.ts";

const PUT = putCommand();

function putCommand(): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(64);
  into.u8(RaKvOp.put);
  writePutChange(into, "k", 1);
  return into.copy();
}

/** Node a, with b as the only other member: b votes for it, and acknowledges when it is told to. */
class LeaderBench {
  readonly node = new NodeBench("telling");
  /** What b is sent: entries as `append <first>..<last> commit=<index>`, news of commits as `heartbeat <index>`. */
  readonly said: string[] = [];
  #lastSent = 0;

  async lead(): Promise<void> {
    const { node } = this;
    await node.run(node.begin());
    await node.run(node.system.createMember(member(5, 1, ["a@h", "b@h"])));
    node.heard = (_, message) => {
      const { term } = message;
      if (message.type === "pre_vote" || message.type === "vote") {
        this.#answer({ type: `${message.type}_reply`, term, granted: true });
      } else if (message.type === "append") {
        const first = message.prevIndex + 1;
        this.#lastSent = message.prevIndex + message.entries.length;
        this.said.push(
          `append ${first}..${this.#lastSent} commit=${message.commitIndex}`,
        );
      } else if (message.type === "heartbeat") {
        this.said.push(`heartbeat ${message.commitIndex}`);
      }
    };
    this.#member.standNow();
    await this.until(() => this.#member.leads);
    this.acknowledge();
    await this.until(() => this.said.includes("heartbeat 1"));
    this.said.length = 0;
  }

  get #member() {
    return this.node.system.member(GROUP)!;
  }

  get nowMs(): number {
    return this.node.environment.now();
  }

  get commitIndex(): number {
    return this.#member.commitIndex;
  }

  #answer(message: object): void {
    queueMicrotask(() => this.#member.message("b@h", 5, message as never));
  }

  /** b has all that it was sent on its disk. */
  acknowledge(): void {
    const { term } = this.#member;
    this.#member.message("b@h", 5, {
      type: "append_reply",
      term,
      success: true,
      index: this.#lastSent,
      indexTerm: term,
    });
  }

  /** Puts, and is removed from the group, before b acknowledges either. @returns What becomes of the put. */
  async putAndRemove(): Promise<string[]> {
    const ends: string[] = [];
    this.#member.propose(PUT, {
      done: () => ends.push("done"),
      failed: (reason) => ends.push(reason),
    });
    await this.until(() => this.#lastSent === this.commitIndex + 1);
    this.#member.changeMembership({ type: "remove", node: "a@h" }, {
      done: () => {},
      failed: (reason) => ends.push(`not removed: ${reason}`),
    });
    await this.until(() => this.#lastSent === this.commitIndex + 2);
    this.acknowledge();
    return ends;
  }

  get leads(): boolean {
    return this.#member.leads;
  }

  /** Puts, and lets the leader's own disk have it. */
  async put(): Promise<void> {
    this.#member.propose(PUT, undefined);
    const { log } = this.#member;
    await this.until(() =>
      log.overview().durableIndex === this.#lastSent &&
      this.#lastSent > this.commitIndex
    );
  }

  until(isSo: () => boolean): Promise<unknown> {
    return this.node.bench.time.run(Infinity, isSo);
  }
}

Deno.test("a leader tells of a commit after a moment when it has nothing else to say", async () => {
  const bench = new LeaderBench();
  await bench.lead();
  await bench.put();
  bench.acknowledge();
  assertEquals([bench.commitIndex, bench.said], [2, ["append 2..2 commit=1"]]);
  const from = bench.nowMs;
  await bench.until(() => bench.said.length === 2);
  assertEquals(bench.said[1], "heartbeat 2");
  assert(bench.nowMs - from <= 10, `${bench.nowMs - from} ms`);
});

Deno.test("a leader tells of a commit with the entries that follow it in time", async () => {
  const bench = new LeaderBench();
  await bench.lead();
  for (let i = 0; i < 50; i++) {
    await bench.put();
    bench.acknowledge();
  }
  assertEquals(bench.commitIndex, 51);
  const appends = bench.said.filter((line) => line.startsWith("append"));
  assertEquals(appends.length, 50);
  assertEquals(appends.at(-1), "append 51..51 commit=50");
  await bench.until(() => bench.said.at(-1) === "heartbeat 51");
  const news = bench.said.length - appends.length;
  assert(news < 25, `${news} messages tell of 50 commits and nothing else`);
});

Deno.test("a command that is committed together with the removal of its leader is done, not lost", async () => {
  const bench = new LeaderBench();
  await bench.lead();
  const ends = await bench.putAndRemove();
  await bench.until(() => !bench.leads && ends.length > 0);
  assertEquals(bench.commitIndex, 3);
  assertEquals(ends, ["done"]);
});
