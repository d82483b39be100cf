import { assertEquals, assertRejects } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import {
  type HandoffBatchHead,
  HandoffMode,
  HandoffOutcome,
  readBatchHead,
  writeHandoffNext,
  writeHandoffVouch,
} from "./handoff_codec.ts";
import { FOLLOW_MS } from "./handoff_source.ts";
import { RING_SIZE } from "./testing/attached_master.ts";
import { HandoffBench } from "./testing/handoff_bench.ts";
import { mapModule } from "./testing/map_module.ts";
import type { VnodeContext } from "./vnode.ts";

const P = 3;
const { abandoned, removed } = HandoffOutcome;

/** A vnode that spreads what it has over a ring of 16. */
class Bench extends HandoffBench {
  readonly contexts: VnodeContext[];
  /** Texts whose puts were answered, in order. */
  readonly answered: string[] = [];

  constructor() {
    const contexts: VnodeContext[] = [];
    super(mapModule("items", {
      started: (_, context) => void contexts.push(context),
    }));
    this.contexts = contexts;
  }

  /** The node says that the ring gets another size. */
  resize(bound: readonly number[], former: readonly number[] = []): void {
    this.link.cast("ring_sizes", [
      [[0, RING_SIZE], [1_024, 16]],
      former,
      bound,
    ]);
  }

  /** Puts a text under a key of partition {@linkcode P}. */
  async send(text: string): Promise<void> {
    this.put(P, { key: `3${text}`, text, version: 1 }).then(
      () => void this.answered.push(text),
      (error) => void this.answered.push(`${text}: ${error.code}`),
    );
    await this.runtime.settle();
  }

  spread(transfer: number): Promise<number[]> {
    return this.open(P, transfer, {
      mode: HandoffMode.spread,
      spread: { ringSize: 16, firstVnode: 1_024 },
    });
  }

  async said(
    transfer: number,
    acked: number,
  ): Promise<HandoffBatchHead & { at: number }> {
    const answer = this.handoff(
      P,
      (into) => writeHandoffNext(into, transfer, acked, false),
    );
    await this.runtime.advance(FOLLOW_MS);
    return readBatchHead(new ByteReader(await answer));
  }

  vouch(transfer: number): Promise<unknown> {
    return this.handoff(P, (into) => writeHandoffVouch(into, transfer));
  }
}

async function assertCode(
  asked: Promise<unknown>,
  code: string,
): Promise<void> {
  const error = await assertRejects(() => asked, WhorlError);
  assertEquals(error.code, code, error.message);
}

Deno.test("VnodeHandoff.bind() has writes answered when the targets of the spread have them", async () => {
  await using bench = await new Bench().start();
  bench.resize([P]);
  await bench.send("a");
  await bench.spread(1);
  assertEquals((await bench.said(1, 0)).number, 1);
  assertEquals(bench.answered, []);
  const next = bench.said(1, 1);
  await bench.runtime.settle();
  assertEquals(bench.answered, ["a"]);
  await bench.send("b");
  await bench.runtime.advance(FOLLOW_MS);
  await next;
  assertEquals(bench.answered, ["a"]);
  // The transfer is given up, and the next one has all that is not known to be there.
  await bench.finish(P, 1, abandoned);
  await bench.spread(2);
  assertEquals((await bench.said(2, 0)).number, 1);
  assertEquals(bench.answered, ["a"]);
  const rest = bench.said(2, 1);
  await bench.runtime.settle();
  assertEquals(bench.answered, ["a", "b"]);
  await bench.finish(P, 2, abandoned);
  await rest;
});

Deno.test("VnodeHandoff.bind() lets go of all writes when they need not follow any more", async () => {
  await using bench = await new Bench().start();
  bench.resize([P]);
  await bench.send("a");
  await bench.send("b");
  assertEquals(bench.answered, []);
  bench.resize([]);
  await bench.runtime.settle();
  assertEquals(bench.answered, ["a", "b"]);
  await bench.send("c");
  assertEquals(bench.answered, ["a", "b", "c"]);
});

Deno.test("VnodeHandoff vouches for what was answered before writes were held, and not while they are not", async () => {
  await using bench = await new Bench().start();
  bench.resize([]);
  await bench.send("a");
  await bench.spread(1);
  await bench.said(1, 0);
  await bench.send("b");
  await assertCode(bench.vouch(1), "handoff_refused");
  bench.resize([P]);
  let vouched = false;
  const asked = bench.vouch(1).then(() => vouched = true);
  const second = await bench.said(1, 1);
  assertEquals([second.number, vouched], [2, false]);
  const rest = bench.said(1, 2);
  await asked;
  // It ends with the holding.
  await bench.send("c");
  await rest;
  const late = bench.vouch(1);
  bench.resize([]);
  await assertCode(late, "handoff_mismatch");
  assertEquals(bench.answered, ["a", "b", "c"]);
});

Deno.test("VnodeHandoff holds writes again when its vnode has started anew", async () => {
  await using bench = await new Bench().start();
  bench.resize([P]);
  await bench.send("a");
  bench.contexts.at(-1)?.crash(new Error("It falls"));
  await bench.runtime.settle();
  assertEquals(bench.answered, ["a: vnode_crashed"]);
  await bench.send("b");
  await bench.runtime.advance(1_000);
  assertEquals([bench.answered.length, bench.contexts.length], [1, 2]);
});

Deno.test("VnodeHandoff holds writes of a former ring until the ring has them, and removes what it has without", async () => {
  await using bench = await new Bench().start();
  await bench.send("before");
  bench.resize([], [0]);
  await bench.send("a");
  assertEquals(bench.answered, ["before"]);
  await bench.spread(1);
  const { number } = await bench.said(1, 0);
  const rest = bench.said(1, number);
  await bench.runtime.settle();
  assertEquals(bench.answered, ["before", "a"]);
  await bench.finish(P, 1, abandoned);
  await rest;
  await bench.spread(2);
  await bench.said(2, 0);
  await bench.switch(P, 2);
  await bench.said(2, 1);
  await bench.finish(P, 2, removed);
  assertEquals(await bench.texts(P), {});
});
