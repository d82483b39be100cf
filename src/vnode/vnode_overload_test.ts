/**
 * The vnodes of one thread, whose handlers compute, under more than they can do:
 * the policy of `mailbox_bounds.ts` as it works together with the turns of
 * `vnode_turns.ts`. Time is that of the commands, and refusing costs none of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { BatchingSink } from "../wire/batching_sink.ts";
import { FRAME_BYTES_MAX, readFrames } from "../wire/frame.ts";
import { readFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { BackgroundPace } from "./background_pace.ts";
import { command, defineVnode } from "./define_vnode.ts";
import type { VnodeContext, VnodeModule } from "./vnode.ts";
import { commandTableOf } from "./command_table.ts";
import { VnodeProcess } from "./vnode_process.ts";
import { VnodeTurns } from "./vnode_turns.ts";

const VNODES = 16;
const SWEEP_MS = 1_000;

/** A clock that moves on while commands are handled, and timers that all fire with the next pause. */
class BusyRuntime implements Runtime {
  spentMs = 0;
  #timers = new Set<() => void>();

  now(): number {
    return this.spentMs;
  }

  setTimer(_afterMs: number, callback: () => void): TimerHandle {
    this.#timers.add(callback);
    return callback;
  }

  clearTimer(timer: TimerHandle): void {
    this.#timers.delete(timer as () => void);
  }

  random(): number {
    return 0;
  }

  defer(callback: () => void): void {
    callback();
  }

  pause(): void {
    this.spentMs++;
    const due = [...this.#timers];
    this.#timers.clear();
    for (const callback of due) callback();
  }
}

interface Sent {
  readonly vnode: number;
  readonly sentMs: number;
  answeredMs?: number;
  served?: boolean;
}

/** What came of some time. */
interface Outcome {
  /** Of what could have been served in that time. */
  readonly servedShare: number;
  /** How long what was served and what was refused in that time had waited, ascending. */
  readonly servedMs: readonly number[];
  readonly refusedMs: readonly number[];
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

/** A thread of which each command takes so long. */
class Thread {
  readonly runtime = new BusyRuntime();
  readonly turns = new VnodeTurns(this.runtime);
  readonly sent: Sent[] = [];
  readonly vnodes: VnodeProcess[];
  /** Refused by those who send, as the vnode had told them for how long it would. */
  spared = 0;
  #dueMs = 0;
  #sweptMs = 0;
  /** When each vnode is to be asked again. */
  #againMs: number[] = [];

  /** @param heeded Whether those who send heed for how long they are not to. */
  constructor(
    readonly commandMs: number,
    readonly timeLeftMs: number,
    readonly heeded = false,
  ) {
    const module = defineVnode({
      name: "loaded",
      commands: { run: command<null, null>() },
      init: () => ({
        handleCommand: {
          run: () => {
            this.runtime.spentMs += this.commandMs;
            return null;
          },
        },
        fold: () => [],
        encodeHandoffItem: () => null,
        handleHandoffData: () => {},
        isEmpty: () => true,
        delete: () => {},
      }),
    }) as unknown as VnodeModule;
    const answers = new BatchingSink((flush) => flush(), (batch) => {
      readFrames(
        batch,
        0,
        batch.length,
        FRAME_BYTES_MAX,
        (type, _, number, bytes, start, end) => {
          const sent = this.sent[number] as Sent;
          assertEquals(sent.answeredMs, undefined, "answered once");
          sent.answeredMs = this.runtime.now();
          sent.served = type === FrameType.vnodeReply;
          if (sent.served) return;
          const { details } = readFailure(bytes.subarray(start, end));
          const afterMs = Number(details.againAfterMs ?? 0);
          this.#againMs[sent.vnode] = sent.answeredMs + afterMs;
        },
      );
    });
    const host = {
      answers,
      now: () => this.runtime.now(),
      receivedMs: () => this.runtime.now(),
      later: () => {},
      pace: new BackgroundPace(2, 20),
      coveragePace: new BackgroundPace(5, 250),
      turns: this.turns,
      requestsInHand: () => {},
      overloaded: () => {},
      released: () => {},
      removed: () => {},
    };
    const table = commandTableOf(module);
    this.vnodes = Array.from(
      { length: VNODES },
      (_, i) => new VnodeProcess(host, module, table, i),
    );
  }

  async start(): Promise<void> {
    for (const vnode of this.vnodes) await vnode.start({} as VnodeContext);
  }

  #send(vnode: number, sentMs: number): void {
    if (this.heeded && this.runtime.now() < (this.#againMs[vnode] ?? 0)) {
      this.spared++;
      return;
    }
    const body = new ByteWriter();
    body.u8(0xc0);
    this.sent.push({ vnode, sentMs });
    (this.vnodes[vnode] as VnodeProcess).request(
      this.sent.length - 1,
      0,
      0,
      sentMs + this.timeLeftMs,
      body.copy(),
      0,
      body.length,
    );
  }

  /** Commands come for so long, each when it is due, for a vnode that `vnodeOf` names. */
  offer(
    times: number,
    forMs: number,
    vnodeOf: (number: number) => number = (number) => number * 7 % VNODES,
  ): Outcome {
    const beganMs = this.runtime.now();
    this.#dueMs = beganMs;
    const everyMs = this.commandMs / times;
    const untilMs = beganMs + forMs;
    while (this.#dueMs < untilMs || this.runtime.now() < untilMs) {
      const nowMs = this.runtime.now();
      // What has come while the thread was at work is in one message.
      this.turns.begin(nowMs);
      const dueUntilMs = Math.min(nowMs, untilMs);
      for (; this.#dueMs <= dueUntilMs; this.#dueMs += everyMs) {
        this.#send(vnodeOf(this.sent.length + this.spared), this.#dueMs);
      }
      this.turns.end(this.runtime.now());
      this.#pause();
    }
    const endedMs = this.runtime.now();
    const served: number[] = [];
    const refused: number[] = [];
    let inTime = 0;
    for (const { sentMs, answeredMs = Infinity, served: was } of this.sent) {
      if (answeredMs <= beganMs || answeredMs > endedMs) continue;
      if (was && answeredMs <= sentMs + this.timeLeftMs) inTime++;
      (was ? served : refused).push(answeredMs - sentMs);
    }
    return {
      servedShare: inTime * this.commandMs / (endedMs - beganMs),
      servedMs: served.toSorted((a, b) => a - b),
      refusedMs: refused.toSorted((a, b) => a - b),
    };
  }

  #pause(): void {
    if (this.runtime.now() - this.#sweptMs >= SWEEP_MS) {
      this.#sweptMs = this.runtime.now();
      for (const vnode of this.vnodes) vnode.giveUpOverdue();
    }
    // A pause between turns takes a millisecond, and so does waiting for more.
    this.runtime.pause();
  }

  /** Nothing comes any more until everything has been answered. */
  drain(): void {
    while (this.sent.some(({ answeredMs }) => answeredMs === undefined)) {
      this.#pause();
    }
  }
}

for (const commandMs of [2, 8, 40]) {
  Deno.test(`vnodes that get ten times what they can do serve as much as they can, soon, and refuse the rest at once: commands of ${commandMs} ms`, async () => {
    const thread = new Thread(commandMs, 5_000);
    await thread.start();
    thread.offer(0.5, 2_000);
    const onset = thread.offer(10, 4_000);
    const later = thread.offer(10, 8_000);
    // From the first moment on.
    assert(onset.servedShare > 0.95, `${onset.servedShare}`);
    // Long before all have waited too long for two seconds.
    assert(at(onset.servedMs, 0.99) < 1_000);
    assert(at(onset.refusedMs, 0.5) <= 50);
    assert(at(onset.refusedMs, 1) < 1_200);
    assert(later.servedShare > 0.95, `${later.servedShare}`);
    // Sixteen vnodes of 60 ms each take a second for one round.
    const roundMs = commandMs * VNODES;
    assert(at(later.servedMs, 0.5) <= Math.max(300, 1.5 * roundMs));
    assert(at(later.servedMs, 0.99) <= Math.max(550, 2.5 * roundMs));
    assert(at(later.refusedMs, 0.5) <= 50);
    assert(at(later.refusedMs, 0.99) <= Math.max(1_000, 1.5 * roundMs));

    // At half of what they can do they serve all of it, and soon as before.
    const normalAtMs = thread.runtime.now();
    // What waits, up to two of each vnode, is worked off with half of the time.
    thread.offer(0.5, 1_000 + 4 * roundMs);
    const normal = thread.offer(0.5, 3_000);
    assertEquals(normal.refusedMs, []);
    assert(at(normal.servedMs, 0.99) <= 50 + 5 * commandMs);
    thread.drain();
    assert(thread.runtime.now() - normalAtMs < 10_000);
    for (const vnode of thread.vnodes) {
      assertEquals([vnode.behind, vnode.overloaded], [false, false]);
    }
  });
}

Deno.test("vnodes whose senders heed for how long they are not to be asked serve as much, and are hardly asked in vain", async () => {
  const thread = new Thread(1, 5_000, true);
  await thread.start();
  thread.offer(10, 3_000);
  const asked = thread.sent.length;
  const { servedShare } = thread.offer(10, 8_000);
  assert(servedShare > 0.95, `${servedShare}`);
  // A tenth of what comes can be served.
  const askedShare = (thread.sent.length - asked) / 80_000;
  assert(askedShare < 0.2, `${askedShare}`);
});

Deno.test("a burst is served whole, if that can be done in time", async () => {
  const thread = new Thread(1, 5_000);
  await thread.start();
  // Four seconds of work, of which most waits for long.
  thread.offer(40, 100);
  assert(thread.sent.length >= 4_000, `${thread.sent.length}`);
  thread.drain();
  assert(thread.sent.every(({ served }) => served));
});

Deno.test("a second of far too much is served whole, if what comes then leaves time for it", async () => {
  const thread = new Thread(1, 5_000);
  await thread.start();
  thread.offer(0.5, 2_000);
  // A second of work too much, which takes two to be worked off.
  thread.offer(2, 1_000);
  thread.offer(0.5, 4_000);
  thread.drain();
  // And as much all at once.
  thread.offer(10, 110);
  thread.offer(0.5, 4_000);
  thread.drain();
  assert(thread.sent.every(({ served }) => served));
});

Deno.test("a vnode that gets too much has its commands refused, and the others of its thread serve theirs", async () => {
  const thread = new Thread(2, 5_000);
  await thread.start();
  // Three in four are for one of them.
  const skewed = (number: number) => number % 4 > 0 ? 0 : number / 4 % VNODES;
  thread.offer(4, 3_000, skewed);
  const from = thread.sent.length;
  thread.offer(2, 5_000, skewed);
  thread.drain();
  const others = thread.sent.slice(from).filter(({ vnode }) => vnode > 0);
  const served = others.filter(({ served }) => served).length;
  assertEquals(served, others.length);
  const waits = others.map(({ sentMs, answeredMs }) => answeredMs! - sentMs)
    .toSorted((a, b) => a - b);
  assert(at(waits, 0.99) < 500, `${at(waits, 0.99)}`);
});
