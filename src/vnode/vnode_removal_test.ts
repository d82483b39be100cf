import { BackgroundPace } from "./background_pace.ts";
import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  HandoffMode,
  HandoffOutcome,
  writeHandoffFinish,
  writeHandoffNext,
  writeHandoffOpen,
  writeHandoffSwitch,
} from "./handoff_codec.ts";
import type { Vnode } from "./vnode.ts";
import { VnodeHandoff } from "./vnode_handoff.ts";
import { WatchedPartition } from "./watched_partition.ts";

/** A vnode with nothing in it, whose removal ends when the test says so, and the timers it asks for. */
class Setting {
  readonly delays: number[] = [];
  readonly removal = Promise.withResolvers<void>();
  removed = false;
  #nowMs = 0;
  readonly #timers: { atMs: number; callback: () => void }[] = [];
  readonly #answers: (() => void)[] = [];
  readonly #handoff: VnodeHandoff;

  constructor() {
    const vnode: Vnode = {
      handleCommand: {},
      fold: () => [],
      encodeHandoffItem: () => null,
      handleHandoffData: () => {},
      isEmpty: () => true,
      delete: () => this.removal.promise,
    };
    const frame = new ByteWriter(64);
    this.#handoff = new VnodeHandoff(
      {
        partition: 3,
        ringSize: 8,
        answers: {
          bufferedBytes: 0,
          begin: (type) => {
            assertEquals(type, FrameType.vnodeReply);
            return frame;
          },
          end: () => this.#answers.shift()?.(),
        },
        now: () => this.#nowMs,
        pace: new BackgroundPace(2, 20),
        later: (afterMs, callback) => {
          this.delays.push(afterMs);
          this.#timers.push({ atMs: this.#nowMs + afterMs, callback });
        },
        hold: () => {},
        goOn: () => {},
        whenQuiet(callback) {
          callback();
          return () => {};
        },
        hasWaiting: false,
        run: () => Promise.resolve(),
        crash(error) {
          throw error;
        },
        released: () => {},
        dataReturned: () => {},
        removed: () => void (this.removed = true),
      },
      vnode,
      new WatchedPartition(
        openMemoryStore("0123456789abcdef").partition(3),
      ),
    );
  }

  /** Asks it something and waits for the answer, while no time passes but the turns it needs. */
  async ask(write: (into: ByteWriter) => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.tell(write, resolve);
    let answered = false;
    promise.then(() => void (answered = true));
    while (!answered) {
      await Promise.resolve();
      this.pass(0);
    }
  }

  tell(write: (into: ByteWriter) => void, answered: () => void): void {
    const request = new ByteWriter(64);
    write(request);
    this.#answers.push(answered);
    this.#handoff.request(1, request.copy(), 0, request.length);
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    for (const timer of due) {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      timer.callback();
    }
  }
}

Deno.test("a vnode that is being removed sets no timers, however long the removal takes", async () => {
  const setting = new Setting();
  const transfer = 7;
  await setting.ask((into) =>
    writeHandoffOpen(into, {
      transfer,
      mode: HandoffMode.move,
      target: { node: "b@host", partition: 3 },
      keySpaces: null,
    })
  );
  await setting.ask((into) => writeHandoffNext(into, transfer, 0, false));
  await setting.ask((into) => writeHandoffSwitch(into, transfer));
  await setting.ask((into) => writeHandoffNext(into, transfer, 0, false));
  const finished = Promise.withResolvers<void>();
  setting.tell(
    (into) =>
      writeHandoffFinish(into, transfer, HandoffOutcome.removed, "b@host"),
    finished.resolve,
  );
  await Promise.resolve();
  // What watched that it does not stand still for too long looks once more.
  for (let i = 0; i < 5; i++) setting.pass(60_000);
  assert(
    setting.delays.every(Number.isFinite),
    `timers of ${setting.delays} ms`,
  );
  assertEquals(setting.removed, false);
  setting.removal.resolve();
  await finished.promise;
  assertEquals(setting.removed, true);
});
