/**
 * A thread with vnodes whose handlers compute, and commands that come for them on
 * time, however many they can do. Time is that of the commands: refusing costs
 * none of it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Runtime, TimerHandle } from "../../../supervisors/runtime.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import type { WhorlError } from "../../base/errors.ts";
import { readFailure } from "../../wire/failure.ts";
import { BatchingSink } from "../../wire/batching_sink.ts";
import { FRAME_BYTES_MAX, readFrames } from "../../wire/frame.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { BackgroundPace } from "../background_pace.ts";
import { commandTableOf } from "../command_table.ts";
import { command, defineVnode } from "../define_vnode.ts";
import type { VnodeContext, VnodeModule } from "../vnode.ts";
import { VnodeProcess } from "../vnode_process.ts";
import { VnodeTurns } from "../vnode_turns.ts";

/** How many vnodes a {@linkcode LoadedThread} has. */
export const VNODES = 16;
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

/** Whoever sends the commands, and may leave one unsent for what it was told. */
export interface Sender {
  /** Whether the command is sent. */
  sends(number: number, vnode: number, nowMs: number): boolean;
  /** It was answered with `error`. */
  failed(number: number, vnode: number, error: WhorlError, nowMs: number): void;
}

interface Sent {
  readonly vnode: number;
  readonly sentMs: number;
  answeredMs?: number;
  served?: boolean;
}

/** What came of some time. */
export interface Outcome {
  /** Of what could have been served in that time. */
  readonly servedShare: number;
  /** How long what was served and what was refused in that time had waited, ascending. */
  readonly servedMs: readonly number[];
  readonly refusedMs: readonly number[];
}

/** Of so many in ascending order the one below which a share of them is. */
export function at(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

/** A thread of which each command takes so long; see the module comment. */
export class LoadedThread {
  readonly runtime = new BusyRuntime();
  readonly turns = new VnodeTurns(this.runtime);
  readonly sent: Sent[] = [];
  readonly vnodes: VnodeProcess[];
  /** Left unsent by those who send. */
  spared = 0;
  #dueMs = 0;
  #sweptMs = 0;

  /** @param sender Who sends. @default {all is sent} */
  constructor(
    readonly commandMs: number,
    readonly timeLeftMs: number,
    readonly sender?: Sender,
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
          const error = readFailure(bytes.subarray(start, end));
          this.sender?.failed(number, sent.vnode, error, sent.answeredMs);
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
      dataReturned: () => {},
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
    const nowMs = this.runtime.now();
    if (this.sender?.sends(this.sent.length, vnode, nowMs) === false) {
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
