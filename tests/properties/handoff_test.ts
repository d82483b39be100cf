/**
 * Whatever happens to the connection, to the vnodes at its ends and to the sender
 * while a partition is handed off and written to: when the transfer completes the
 * target has everything, each command was answered once, nothing acknowledged is
 * lost, and the source has kept its data until then.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import type {
  BulkConnection,
  HandoffWorld,
} from "../../src/handoff/handoff_world.ts";
import type { SenderOutcome } from "../../src/handoff/sender_fsm.ts";
import { SenderProcess } from "../../src/handoff/sender_process.ts";
import type { VnodeContext } from "../../src/vnode/vnode.ts";
import { HandoffAction } from "../../src/vnode/handoff_codec.ts";
import { HandoffBench } from "../../src/vnode/testing/handoff_bench.ts";
import {
  type MapMode,
  mapModule,
  mergeTexts,
} from "../../src/vnode/testing/map_module.ts";
import { RequestFlag } from "../../src/vnode/vnode_wire.ts";

/** How many runs a test makes; `HANDOFF_RUNS` says otherwise. */
const RUNS = Number(Deno.env.get("HANDOFF_RUNS") ?? 500);
const PARTITION = 3;
const KEYS = 6;

/** Turns that cost no time, as thousands of runs are made of them, and a clock that goes on a little whenever somebody looks, so that slices end. */
class QuickRuntime extends ManualRuntime {
  #looks = 0;
  readonly #msEach: number;

  constructor(msEach: number) {
    super();
    this.#msEach = msEach;
  }

  override now(): number {
    return super.now() + this.#msEach * this.#looks++;
  }

  override async settle(): Promise<void> {
    for (let turn = 0; turn < 150; turn++) await null;
  }
}

const cases = fc.record({
  mode: fc.constantFrom<MapMode>("items", "commands"),
  /** Whether the source stood in for the target, and empties itself. */
  hinted: fc.boolean(),
  /** Texts there are at first. */
  size: fc.constantFrom(0, 3, 20, 60),
  /** Time that passes with each look at the clock: with more of it batches are small. */
  msEach: fc.constantFrom(0, 0.5, 1.5),
  slowPuts: fc.boolean(),
  steps: fc.array(fc.tuple(fc.nat(99), fc.nat(1_000)), { maxLength: 80 }),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** A way between two, on which nothing overtakes and everything takes its time. */
class Channel {
  readonly #waiting: (() => void)[] = [];

  send(deliver: () => void): void {
    this.#waiting.push(deliver);
  }

  deliver(): boolean {
    const next = this.#waiting.shift();
    next?.();
    return next !== undefined;
  }

  clear(): void {
    this.#waiting.length = 0;
  }
}

/** A source, a target, a sender between them, and somebody who writes. */
class World implements AsyncDisposable {
  readonly runtime: QuickRuntime;
  readonly source: HandoffBench;
  readonly target: HandoffBench;
  /** The newest vnode of each end. */
  readonly contexts = new Map<string, VnodeContext>();
  /** Puts that have not been let done. */
  readonly slow: (() => void)[] = [];
  readonly acknowledged: { key: string; text: string; version: number }[] = [];
  readonly channels = {
    toSource: new Channel(),
    toTarget: new Channel(),
    fromTarget: new Channel(),
  };
  puts = 0;
  answered = 0;
  refusals = 0;
  /** Whether the target has said that it has everything. */
  arrived = false;
  sender: SenderProcess | undefined;
  outcome: SenderOutcome | undefined;
  number = 1;
  connection: FakeConnection | undefined;
  readonly #case: Case;

  constructor(options: Case) {
    this.#case = options;
    const runtime = this.runtime = new QuickRuntime(options.msEach);
    const bench = (node: string) =>
      new HandoffBench(
        mapModule(options.mode, {
          started: (_partition, context) => {
            this.contexts.set(node, context);
          },
          beforePut: () =>
            options.slowPuts && node === "a@host"
              ? new Promise((resolve) => void this.slow.push(resolve))
              : undefined,
        }),
        { runtime, node },
      );
    this.source = bench("a@host");
    this.target = bench("b@host");
  }

  async start(): Promise<this> {
    await this.source.start();
    await this.target.start();
    const storage = this.source.store.partition(PARTITION);
    const encoder = new TextEncoder();
    for (let i = 0; i < this.#case.size; i++) {
      storage.write([{
        key: encoder.encode(`${i % KEYS}-${i}`),
        value: encoder.encode("0:first"),
      }], () => {});
    }
    return this;
  }

  get #world(): HandoffWorld {
    const unused = (): never => {
      throw new Error("a sender does not ask that");
    };
    return {
      runtime: this.runtime,
      log: silentLog,
      self: "a@host",
      modules: ["map"],
      wallClock: () => 0,
      secretNumber: unused,
      ring: unused,
      upNodes: unused,
      held: unused,
      handedOver: unused,
      askVnode: (_module, partition, write) =>
        this.#askSource(partition, write),
      connect: unused,
      transferComplete: unused,
      drop: unused,
      keep: unused,
      takeBack: unused,
      call: unused,
    };
  }

  #askSource(
    partition: number,
    write: (into: ByteWriter) => void,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) =>
      this.channels.toSource.send(() =>
        this.source.handoff(partition, write).then(resolve, reject)
      )
    );
  }

  /** Begins the transfer, again where it was if it can be resumed. */
  begin(): void {
    if (this.sender?.alive) return;
    const { outcome } = this;
    if (outcome?.type === "completed") return;
    if (outcome?.type === "failed" && !outcome.resumable) this.number++;
    const sender = new SenderProcess(
      this.#world,
      (node) => this.#connect(node),
      {
        kind: this.#case.hinted ? "hinted" : "ownership",
        module: "map",
        sourcePartition: PARTITION,
        target: "b@host",
        targetPartition: PARTITION,
        keySpaces: null,
        decided: null,
        blocked: null,
      },
      this.number,
      {
        state: () => {},
        progress: () => {},
        ended: (ended) => this.outcome = ended,
      },
    );
    this.sender = sender;
    sender.begin();
  }

  #connect(node: string): Promise<BulkConnection> {
    this.breakConnection();
    const connection = new FakeConnection(node, this);
    this.connection = connection;
    return Promise.resolve(connection);
  }

  breakConnection(): void {
    this.connection?.break();
    this.channels.toTarget.clear();
    this.channels.fromTarget.clear();
  }

  put(key: string): void {
    const version = ++this.puts;
    const put = { key, text: `<${version}>`, version };
    const { hinted } = this.#case;
    this.source.put(PARTITION, put, {
      flags: hinted ? RequestFlag.asFallback : 0,
      timeoutMs: 20_000,
    }).then(() => this.acknowledged.push(put), (error) => {
      assert(isWhorlError(error), reasonOf(error));
    }).finally(() => this.answered++);
  }

  async step(kind: number, choice: number): Promise<void> {
    const { channels } = this;
    if (kind < 55) {
      const all = Object.values(channels);
      for (let i = 0; i < all.length; i++) {
        if (all[(choice + i) % all.length]?.deliver()) break;
      }
    } else if (kind < 70) this.put(`${choice % KEYS}-${choice % 7}`);
    else if (kind < 76) this.slow.shift()?.();
    else if (kind < 84) {
      const spans = [1, 5, 60, 200, 1_001, 3_001];
      await this.runtime.advance(spans[choice % spans.length]!);
    } else if (kind < 87) this.breakConnection();
    else if (kind < 89) {
      this.contexts.get("a@host")?.crash(new Error("a falls"));
    } else if (kind < 91) {
      // Now and then as a node whose disk was replaced. Once it has said that it
      // has everything, that would be another matter.
      if (choice % 2 === 0 && !this.arrived) {
        await this.target.store.partition(PARTITION).deleteRange();
      }
      this.contexts.get("b@host")?.crash(new Error("b falls"));
    } else if (kind < 94) {
      this.sender?.giveUp(choice % 2 === 0, "nobody wants it now");
    } else if (kind < 95) this.refusals++;
    else if (kind < 96) this.sender?.kill();
    else this.begin();
    await this.runtime.settle();
    await this.check();
  }

  /** Everything acknowledged is at the source, or at the target if that has everything. */
  async check(): Promise<void> {
    const { outcome } = this;
    const acknowledged = [...this.acknowledged];
    const texts = await this.source.texts(PARTITION);
    if (this.#case.hinted) {
      const there = await this.target.texts(PARTITION);
      for (const [key, value] of Object.entries(there)) {
        texts[key] = this.#case.mode === "items"
          ? mergeTexts(texts[key], value)
          : value.length > (texts[key] ?? "").length
          ? value
          : texts[key]!;
      }
    }
    for (const { key, text, version } of acknowledged) {
      const found = texts[key] ?? "";
      if (this.#case.mode === "items") {
        assert(
          Number(found.split(":")[0]) >= version,
          `${key} is at version ${found}, and ${version} was acknowledged`,
        );
      } else if (!this.#case.hinted) {
        assertEquals(
          found.split(text).length,
          2,
          `${text} in ${key}: ${found}`,
        );
      }
    }
    if (outcome?.type === "completed" && !this.#case.hinted) {
      const there = await this.target.texts(PARTITION);
      if (this.#case.mode === "commands") this.#forgive(there, texts);
      for (
        const key of new Set([...Object.keys(there), ...Object.keys(texts)])
      ) {
        assertEquals(there[key], texts[key], key);
      }
    }
  }

  /**
   * A command whose handler fell with the source may have been run at the target
   * before. Its caller was told that nobody knows.
   */
  #forgive(there: Record<string, string>, here: Record<string, string>): void {
    const acknowledged = new Set(this.acknowledged.map(({ text }) => text));
    for (const [key, value] of Object.entries(there)) {
      const kept = value.replace(
        /<\d+>/g,
        (text) =>
          acknowledged.has(text) || here[key]?.includes(text) ? text : "",
      );
      if (kept === "" && here[key] === undefined) delete there[key];
      else there[key] = kept;
    }
  }

  /** Without any more trouble, until the transfer is complete. */
  async complete(): Promise<void> {
    this.refusals = 0;
    for (let round = 0; this.outcome?.type !== "completed"; round++) {
      assert(
        round < 3_000,
        `it does not come to an end: ${JSON.stringify(this.outcome)}`,
      );
      this.begin();
      for (const resolve of this.slow.splice(0)) resolve();
      for (const channel of Object.values(this.channels)) {
        while (channel.deliver());
      }
      await this.runtime.settle();
      if (round % 10 === 9) await this.runtime.advance(250);
    }
    await this.check();
    // Whoever waits still has been told after a while.
    await this.runtime.advance(25_000);
    assertEquals(this.answered, this.puts);
    await this.check();
    assertEquals([this.source.failures, this.target.failures], [[], []]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sender?.kill();
    await this.source[Symbol.asyncDispose]();
    await this.target[Symbol.asyncDispose]();
  }
}

/** A connection to the target that may break at any time. */
class FakeConnection implements BulkConnection {
  readonly node: string;
  readonly #world: World;
  readonly #lost = new Set<(error: WhorlError) => void>();
  #closed: WhorlError | undefined;

  constructor(node: string, world: World) {
    this.node = node;
    this.#world = world;
  }

  get closed(): WhorlError | undefined {
    return this.#closed;
  }

  #carry<T>(perform: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      this.#lost.add(reject);
      const { toTarget, fromTarget } = this.#world.channels;
      const back = (answer: () => void): void => {
        if (this.#closed === undefined) fromTarget.send(answer);
      };
      toTarget.send(() =>
        perform().then(
          (value) => back(() => resolve(value)),
          (error) => back(() => reject(error)),
        )
      );
    });
  }

  ask(
    _module: string,
    partition: number,
    write: (into: ByteWriter) => void,
  ): Promise<Uint8Array> {
    const request = new ByteWriter();
    write(request);
    return this.#carry(async () => {
      const answer = await this.#world.target.handoff(
        partition,
        (into) => into.raw(request.view()),
      );
      this.#world.arrived ||= request.bytes[0] === HandoffAction.final;
      return answer;
    });
  }

  call(method: string): Promise<unknown> {
    return this.#carry(() => {
      if (method === "handoff_begin" && this.#world.refusals > 0) {
        this.#world.refusals--;
        return Promise.reject(
          new WhorlError("handoff_refused", "There is no room"),
        );
      }
      return Promise.resolve(null);
    });
  }

  close(): void {}

  break(): void {
    this.#closed ??= new WhorlError("connection_closed", "It broke");
    for (const reject of this.#lost) reject(this.#closed);
    this.#lost.clear();
  }
}

Deno.test("a handoff loses nothing and answers everybody once, whatever breaks meanwhile", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (options) => {
      await using world = await new World(options).start();
      world.begin();
      for (const [kind, choice] of options.steps) {
        await world.step(kind, choice);
      }
      await world.complete();
    }),
    { numRuns: RUNS },
  );
});
