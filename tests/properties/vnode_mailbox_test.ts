/**
 * A vnode under any load, whose handler stops and goes on, against what is
 * promised of its mailbox (after riak_test's `proxy_overload_recovery`).
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import {
  bytesCodec,
  command,
  defineVnode,
} from "../../src/vnode/define_vnode.ts";
import { BackgroundPace } from "../../src/vnode/background_pace.ts";
import type { MailboxBounds } from "../../src/vnode/mailbox_bounds.ts";
import type { VnodeContext, VnodeModule } from "../../src/vnode/vnode.ts";
import { commandTableOf } from "../../src/vnode/command_table.ts";
import { VnodeProcess } from "../../src/vnode/vnode_process.ts";
import { VnodeTurns } from "../../src/vnode/vnode_turns.ts";
import { RequestFlag } from "../../src/vnode/vnode_wire.ts";
import { BatchingSink } from "../../src/wire/batching_sink.ts";
import { readFailure } from "../../src/wire/failure.ts";
import { FRAME_BYTES_MAX, readFrames } from "../../src/wire/frame.ts";
import { FrameType } from "../../src/wire/frame_type.ts";

const BOUNDS: MailboxBounds = {
  requestsMax: 6,
  bytesMax: 100,
  requestsSoft: 3,
  behindAfterMs: 200,
  waitMsMax: 40,
};

/** What happens to the vnode. */
type Step =
  | {
    readonly type: "send";
    readonly byteCount: number;
    readonly timeLeftMs: number;
    readonly mayDecline: boolean;
  }
  /** The next commands block the vnode, or they do not any longer. */
  | { readonly type: "stop" | "go_on" | "hold" | "serve" | "sweep" }
  | { readonly type: "wait"; readonly forMs: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant("send" as const),
        byteCount: fc.integer({ min: 4, max: 60 }),
        timeLeftMs: fc.constantFrom(10, 100, 1_000),
        mayDecline: fc.boolean(),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constantFrom(
          "stop" as const,
          "go_on" as const,
          "hold" as const,
          "serve" as const,
          "sweep" as const,
        ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant("wait" as const),
        forMs: fc.integer({ min: 1, max: 150 }),
      }),
    },
  ),
  { maxLength: 60, size: "max" },
);

/** A command that was sent, and what has become of it. */
interface Sent {
  readonly sentMs: number;
  readonly deadlineMs: number;
  readonly byteCount: number;
  readonly mayDecline: boolean;
  handledMs?: number;
  answer?: string;
}

class Load {
  nowMs = 0;
  stopped = false;
  /** Ends the handler that is at work. */
  letGo: (() => void) | undefined;
  readonly sent: Sent[] = [];
  readonly handled: number[] = [];
  readonly process: VnodeProcess;
  readonly told: boolean[] = [];

  constructor() {
    const module = defineVnode({
      name: "loaded",
      commands: { run: command({ request: bytesCodec }) },
      mailbox: BOUNDS,
      init: () => ({
        handleCommand: { run: (body: Uint8Array) => this.#handle(body) },
        fold: () => [],
        encodeHandoffItem: () => null,
        handleHandoffData: () => {},
        isEmpty: () => true,
        delete: () => {},
      }),
    }) as unknown as VnodeModule;
    const answers = new BatchingSink((flush) => flush(), (batch) => {
      readFrames(batch, 0, batch.length, FRAME_BYTES_MAX, this.#onAnswer);
    });
    this.process = new VnodeProcess(
      {
        answers,
        now: () => this.nowMs,
        receivedMs: () => this.nowMs,
        later: () => {},
        pace: new BackgroundPace(2, 20),
        coveragePace: new BackgroundPace(5, 250),
        turns: new VnodeTurns(new ManualRuntime()),
        requestsInHand: () => {},
        overloaded: (_process, is) => this.told.push(is),
        released: () => {},
        dataReturned: () => {},
        removed: () => {},
      },
      module,
      commandTableOf(module),
      0,
    );
  }

  #handle(body: Uint8Array): Promise<undefined> | undefined {
    const number = new DataView(body.buffer, body.byteOffset).getUint32(0);
    const sent = this.sent[number] as Sent;
    sent.handledMs = this.nowMs;
    this.handled.push(number);
    // Bytes are whole however long they waited.
    assertEquals(body.length, sent.byteCount);
    if (!this.stopped) return undefined;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.letGo = () => resolve(undefined);
    return promise;
  }

  readonly #onAnswer = (
    type: number,
    _flags: number,
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void => {
    const sent = this.sent[correlation] as Sent;
    assertEquals(sent.answer, undefined, "answered once");
    if (type !== FrameType.vnodeError) {
      sent.answer = "reply";
      return;
    }
    const { code, details } = readFailure(bytes.subarray(start, end));
    sent.answer = details.declined === true ? "declined" : code;
  };

  /** How many have been sent and not been answered. */
  get open(): number {
    return this.sent.filter(({ answer }) => answer === undefined).length;
  }

  send(byteCount: number, timeLeftMs: number, mayDecline: boolean): void {
    const number = this.sent.length;
    const openBefore = this.open;
    const { waiting, waitingBytes, behind } = this.process.backlog;
    const sent: Sent = {
      sentMs: this.nowMs,
      deadlineMs: this.nowMs + timeLeftMs,
      byteCount,
      mayDecline,
    };
    this.sent.push(sent);
    // As in a message with others.
    const into = new ByteWriter();
    into.raw(new Uint8Array(200));
    into.u32(number);
    into.raw(new Uint8Array(byteCount - 4));
    this.process.request(
      number,
      0,
      mayDecline ? RequestFlag.mayDecline : 0,
      sent.deadlineMs,
      into.copy(),
      200,
      into.length,
    );
    // What is refused is told at once, and only for a reason.
    const full = openBefore >= BOUNDS.requestsMax;
    const large = waiting > 0 && waitingBytes + byteCount > BOUNDS.bytesMax;
    const busy = openBefore >= BOUNDS.requestsSoft;
    if (full || large) assertEquals(sent.answer, "overload");
    else if (busy && mayDecline && !behind) {
      assertEquals(sent.answer, "declined");
    } else if (sent.answer === "overload") assert(behind && waiting > 0);
    else if (sent.answer !== undefined) {
      assert(sent.answer === "reply" || (mayDecline && busy));
    }
  }

  async goOn(): Promise<void> {
    this.stopped = false;
    this.letGo?.();
    this.letGo = undefined;
    await turn();
  }

  async step(step: Step): Promise<void> {
    switch (step.type) {
      case "send":
        this.send(step.byteCount, step.timeLeftMs, step.mayDecline);
        return;
      case "stop":
        this.stopped = true;
        return;
      case "go_on":
        return await this.goOn();
      case "hold":
        this.process.hold();
        return;
      case "serve":
        this.process.goOn();
        return;
      case "sweep":
        this.process.giveUpOverdue();
        return;
      case "wait":
        this.nowMs += step.forMs;
        return;
      default:
        return step satisfies never;
    }
  }

  checkBounds(): void {
    const { waiting, waitingBytes } = this.process.backlog;
    assert(this.open <= BOUNDS.requestsMax);
    assert(waiting <= 1 || waitingBytes <= BOUNDS.bytesMax);
  }
}

/** Lets everything that needs no time be done. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("a vnode answers each command once, refuses at once with a reason, keeps the order, and has room again when it continues", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const load = new Load();
      await load.process.start({} as VnodeContext);
      for (const step of steps) {
        await load.step(step);
        load.checkBounds();
      }

      load.process.goOn();
      await load.goOn();
      load.process.giveUpOverdue();
      for (const sent of load.sent) {
        const { answer, handledMs, sentMs, deadlineMs } = sent;
        assert(answer !== undefined, "every command is answered");
        if (answer === "reply") assert(handledMs !== undefined);
        // Whoever is told that it was not taken can try again elsewhere.
        else if (answer !== "timeout") assertEquals(handledMs, undefined);
        if (handledMs !== undefined) assert(handledMs < deadlineMs);
        if (answer === "timeout") assert(load.nowMs >= deadlineMs);
        assert(handledMs === undefined || handledMs >= sentMs);
      }
      assertEquals(load.handled, load.handled.toSorted((a, b) => a - b));
      const { counts, backlog: { waiting, waitingBytes, overloaded } } =
        load.process;
      assertEquals([waiting, waitingBytes, overloaded], [0, 0, false]);
      // It says that it is overloaded and that it is not any more, in turns.
      assertEquals(load.told, load.told.map((_, i) => i % 2 === 0));
      assert(load.told.length % 2 === 0);
      const answers = (of: string) =>
        load.sent.filter(({ answer }) => answer === of).length;
      assertEquals(counts.refused + counts.shed, answers("overload"));
      assertEquals(counts.declined, answers("declined"));
      assertEquals(counts.expired, answers("timeout"));
      assertEquals(counts.handled, answers("reply"));

      load.send(4, 1_000, true);
      assertEquals(load.sent.at(-1)?.answer, "reply");
    }),
    { numRuns: 300 },
  );
});
