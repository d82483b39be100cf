import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import {
  beginBatch,
  HandoffAction,
  HandoffOutcome,
  HandoffProgress,
  readHandoffRequest,
  sealBatch,
  writeBatchHead,
} from "../vnode/handoff_codec.ts";
import { OpenAnswer } from "../vnode/vnode_handoff.ts";
import type { BulkConnection, HandoffWorld } from "./handoff_world.ts";
import type { SenderOutcome } from "./sender_fsm.ts";
import { SenderProcess } from "./sender_process.ts";
import type { TransferKind } from "./transfer.ts";

const NAMES = new Map<number, string>(
  Object.entries(HandoffAction).map(([name, action]) => [action, name]),
);

function bytesOf(write: (into: ByteWriter) => void): Uint8Array {
  const into = new ByteWriter();
  write(into);
  return into.copy();
}

/** An answer of a source: batch `number`, with one entry or none. */
function batch(number: number, progress: number, entries: number): Uint8Array {
  const into = new ByteWriter();
  beginBatch(into);
  for (let i = 0; i < entries; i++) into.raw(new Uint8Array(6));
  sealBatch(into, number, entries);
  return bytesOf((answer) => {
    writeBatchHead(answer, {
      progress,
      items: number,
      bytes: number * 100,
      hash: 0,
      total: 5,
    });
    answer.raw(into.view());
  });
}

/** A sender between ends that answer as scripted. */
class Bench {
  readonly runtime = new ManualRuntime();
  /**
   * The requests, in order: `source open`, `target offer`, `connect`, `call
   * handoff_begin`, `close`.
   */
  readonly asked: string[] = [];
  readonly ended: SenderOutcome[] = [];
  readonly states: string[] = [];
  readonly progress: [number, number, number | null][] = [];
  /** Answers by request; a function is called. */
  readonly answers: Record<string, () => Promise<Uint8Array> | Uint8Array> = {
    "source open": () => Uint8Array.of(OpenAnswer.begun, 0, 0),
    "target offer": () => bytesOf((into) => into.u53(0)),
    "target batch": () => bytesOf((into) => into.u53(1)),
    "source switch": () => Uint8Array.of(1),
  };
  connecting: Promise<void> = Promise.resolve();
  finishedWith: number | undefined;
  readonly sender: SenderProcess;
  #said = 0;

  constructor(kind: TransferKind = "ownership") {
    this.answers["source next"] = () =>
      batch(1, HandoffProgress.nearlyAll, this.#said++ === 0 ? 1 : 0);
    const world = {
      runtime: this.runtime,
      log: silentLog,
      askVnode: (
        _module: string,
        partition: number,
        write: (into: ByteWriter) => void,
      ) => {
        assertEquals(partition, 3);
        return this.#answer("source", write);
      },
    } as unknown as HandoffWorld;
    this.sender = new SenderProcess(
      world,
      async (node) => {
        this.asked.push("connect");
        await this.connecting;
        const connection: BulkConnection = {
          node,
          closed: undefined,
          ask: (_module, partition, write) => {
            assertEquals(partition, 4);
            return this.#answer("target", write);
          },
          call: (method) => {
            this.asked.push(`call ${method}`);
            return Promise.resolve(null);
          },
          close: () => void this.asked.push("close"),
        };
        return connection;
      },
      {
        kind,
        module: "kv",
        sourcePartition: 3,
        target: "b@host",
        targetPartition: 4,
        keySpaces: null,
        decided: null,
        blocked: null,
      },
      77,
      {
        state: (state) => this.states.push(state),
        progress: (...progress) => this.progress.push(progress),
        ended: (outcome) => this.ended.push(outcome),
      },
    );
  }

  async #answer(
    end: string,
    write: (into: ByteWriter) => void,
  ): Promise<Uint8Array> {
    const request = readHandoffRequest(new ByteReader(bytesOf(write)));
    assertEquals(request.transfer, 77);
    if (request.action === HandoffAction.finish) {
      this.finishedWith = request.outcome;
    }
    const name = `${end} ${NAMES.get(request.action)}`;
    this.asked.push(name);
    return await this.answers[name]?.() ?? new Uint8Array(0);
  }

  async begin(): Promise<this> {
    this.sender.begin();
    await this.runtime.settle();
    return this;
  }

  /** The process has ended, once, and left nothing behind. */
  assertEnded(type: SenderOutcome["type"], resumable = false): void {
    assertEquals(this.ended.length, 1);
    const [outcome] = this.ended;
    assertEquals(outcome?.type, type);
    if (outcome?.type === "failed") assertEquals(outcome.resumable, resumable);
    assertEquals([this.sender.alive, this.runtime.pendingTimers], [false, 0]);
  }
}

Deno.test("SenderProcess performs one step after the other at both ends, and reports its progress", async () => {
  const bench = await new Bench().begin();
  assertEquals(bench.asked, [
    "source open",
    "connect",
    "call handoff_begin",
    "target offer",
    "source next",
    "target batch",
    "source switch",
    "source next",
    "source acked",
    "target final",
    "source finish",
    "call handoff_end",
    "close",
  ]);
  bench.assertEnded("completed");
  assertEquals(bench.states, ["connecting", "sending", "switching"]);
  assertEquals(bench.progress, [[1, 100, 5]]);
  assertEquals(bench.ended, [{ type: "completed", items: 1, bytes: 100 }]);
});

Deno.test("SenderProcess finishes each kind of transfer in its own way", async () => {
  const outcomes: Partial<Record<TransferKind, number>> = {
    ownership: HandoffOutcome.released,
    hinted: HandoffOutcome.removed,
    repair: HandoffOutcome.copied,
  };
  for (const [kind, outcome] of Object.entries(outcomes)) {
    const bench = await new Bench(kind as TransferKind).begin();
    bench.assertEnded("completed");
    assertEquals(bench.finishedWith, outcome, kind);
  }
});

Deno.test("SenderProcess offers an empty vnode to the next owner, but to no other target than that of a copy", async () => {
  const asked = {
    ownership: "target offer, target final",
    hinted: "",
    repair: "target offer, target final",
  };
  for (const [kind, expected] of Object.entries(asked)) {
    const bench = new Bench(kind as TransferKind);
    bench.answers["source open"] = () => Uint8Array.of(OpenAnswer.begun, 0, 1);
    bench.answers["source next"] = () => batch(0, HandoffProgress.nearlyAll, 0);
    await bench.begin();
    bench.assertEnded("completed");
    const atTarget = bench.asked.filter((each) => each.startsWith("target"));
    assertEquals(atTarget.join(", "), expected, kind);
  }
});

Deno.test("SenderProcess releases a connection it gets after it was stopped, without using it", async () => {
  const gate = Promise.withResolvers<void>();
  const bench = new Bench();
  bench.connecting = gate.promise;
  await bench.begin();
  bench.sender.giveUp(true, "paused");
  bench.assertEnded("failed", true);
  gate.resolve();
  await bench.runtime.settle();
  assertEquals(bench.asked, ["source open", "connect", "close"]);
});

Deno.test("SenderProcess reports its end once, however it ends, and leaves no timer", async () => {
  const ways: Record<string, (bench: Bench) => void> = {
    stop: ({ sender }) => sender.stop("shutdown"),
    kill: ({ sender }) => sender.kill(),
    "give up": ({ sender }) => sender.giveUp(false, "not wanted"),
  };
  for (
    const at of ["source open", "source next", "target final", "source finish"]
  ) {
    for (const [way, end] of Object.entries(ways)) {
      const bench = new Bench();
      const gate = Promise.withResolvers<Uint8Array>();
      bench.answers[at] = () => gate.promise;
      await bench.begin();
      assertEquals(bench.asked.at(-1), at);
      end(bench);
      end(bench);
      if (at === "source finish" && way === "give up") {
        // The target has everything, so it is not stopped any more.
        assertEquals(bench.ended, []);
        gate.resolve(new Uint8Array(0));
        await bench.runtime.settle();
        bench.assertEnded("completed");
        continue;
      }
      bench.assertEnded("failed");
      gate.resolve(batch(0, HandoffProgress.waiting, 0));
      await bench.runtime.settle();
      bench.assertEnded("failed");
    }
  }
});

Deno.test("SenderProcess fails with the error of either end", async () => {
  const bench = new Bench();
  bench.answers["target batch"] = () =>
    Promise.reject(new WhorlError("connection_closed", "it broke"));
  await bench.begin();
  bench.assertEnded("failed", true);
  // A malformed answer is a failure of that end too.
  const other = new Bench();
  other.answers["source next"] = () => Uint8Array.of(1);
  await other.begin();
  other.assertEnded("failed");
});

Deno.test("SenderProcess ends after too long without progress, except while the source removes its data", async () => {
  for (const at of ["source open", "target final"]) {
    const bench = new Bench();
    bench.answers[at] = () => new Promise(() => {});
    await bench.begin();
    await bench.runtime.advance(89_999);
    assertEquals(bench.ended, []);
    await bench.runtime.advance(1);
    bench.assertEnded("failed", true);
  }
  const bench = new Bench("hinted");
  const gate = Promise.withResolvers<Uint8Array>();
  bench.answers["source finish"] = () => gate.promise;
  await bench.begin();
  await bench.runtime.advance(500_000);
  assertEquals(bench.ended, []);
  gate.resolve(new Uint8Array(0));
  await bench.runtime.settle();
  bench.assertEnded("completed");
});

Deno.test("SenderProcess asks a source that is not quiet again after a pause", async () => {
  const bench = new Bench();
  let asked = 0;
  bench.answers["source switch"] = () => Uint8Array.of(asked++ === 0 ? 0 : 1);
  await bench.begin();
  assertEquals(bench.ended, []);
  await bench.runtime.advance(50);
  bench.assertEnded("completed");
  assert(asked === 2);
});
