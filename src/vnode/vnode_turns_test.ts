import { assert, assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { TURN_MS, type TurnTaker, VnodeTurns } from "./vnode_turns.ts";

/** A clock that moves on while commands are handled. */
class BusyRuntime extends ManualRuntime {
  spentMs = 0;
  timers = 0;

  override setTimer(afterMs: number, callback: () => void): unknown {
    this.timers++;
    return super.setTimer(afterMs, callback);
  }

  override now(): number {
    return super.now() + this.spentMs;
  }
}

/** A vnode for which commands wait that take so long each. */
class Waiting implements TurnTaker {
  constructor(
    private readonly runtime: BusyRuntime,
    private readonly turns: VnodeTurns,
    private readonly name: string,
    private left: number,
    private readonly commandMs: number,
    private readonly log: string[],
  ) {}

  takeTurn(commandsMax: number): void {
    let handled = 0;
    while (handled < commandsMax && this.left > 0 && this.turns.hasTime()) {
      this.runtime.spentMs += this.commandMs;
      this.left--;
      handled++;
    }
    this.log.push(`${this.name}${handled}`);
    if (this.left > 0) this.turns.wait(this);
  }
}

Deno.test("VnodeTurns allows work until a turn has taken long, and again after a pause", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  turns.begin(runtime.now());
  let handled = 0;
  while (turns.hasTime()) {
    runtime.spentMs += 5;
    handled++;
  }
  // It takes eight commands until it notices that they are long.
  assertEquals(handled, TURN_MS / 5);
  assertEquals(turns.hasTime(), false);
  turns.end(runtime.now());
  turns.begin(runtime.now());
  assertEquals(turns.hasTime(), false);
  turns.end(runtime.now());
  await runtime.advance(0);
  turns.begin(runtime.now());
  assertEquals(turns.hasTime(), true);
});

Deno.test("VnodeTurns continues a turn over messages that come without a pause between them", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  /** A message of one command that takes so long. */
  const message = (ms: number): boolean => {
    turns.begin(runtime.now());
    const hasTime = turns.hasTime();
    if (hasTime) runtime.spentMs += ms;
    turns.end(runtime.now());
    return hasTime;
  };
  for (const ms of [3, 30]) {
    let handled = 0;
    while (message(ms)) handled++;
    assertEquals(handled, Math.ceil(TURN_MS / ms));
    assertEquals(runtime.pendingTimers, 1);
    await runtime.advance(0);
  }
  // What is short asks for no pause until it has added up, however long that takes.
  for (let i = 0; i < 9; i++) {
    runtime.spentMs += 1_000;
    assertEquals(message(1), true);
  }
  assertEquals([runtime.pendingTimers, turns.longestMs], [0, 60]);
  assertEquals(message(1), true);
  assertEquals(runtime.pendingTimers, 1);
});

Deno.test("VnodeTurns reads the clock after each command when commands are long", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  const handle = async (ms: number): Promise<number> => {
    await runtime.advance(0);
    turns.begin(runtime.now());
    let handled = 0;
    while (turns.hasTime()) {
      runtime.spentMs += ms;
      handled++;
    }
    turns.end(runtime.now());
    return handled;
  };
  // That they are long is known after the first eight.
  assertEquals(await handle(1_000), 8);
  assertEquals(await handle(1_000), 1);
  assertEquals(await handle(10), TURN_MS / 10);
  // Those that are not are counted off by eights.
  const short = await handle(0.5);
  assert(short >= TURN_MS / 0.5 && short < TURN_MS / 0.5 + 8, `${short}`);
});

Deno.test("VnodeTurns serves waiting vnodes in turn, with pauses in which none is served", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  const log: string[] = [];
  const waiting = (name: string, count: number, ms: number) =>
    turns.wait(new Waiting(runtime, turns, name, count, ms, log));
  waiting("a", 20, 0);
  waiting("b", 17, 0);
  waiting("c", 1, 0);
  // Others wait, so what comes now waits behind them.
  turns.begin(runtime.now());
  assertEquals(turns.hasTime(), false);
  await runtime.advance(0);
  assertEquals(log, ["a16", "b16", "c1", "a4", "b1"]);
  assertEquals(runtime.pendingTimers, 0);
  assertEquals(turns.hasTime(), true);

  log.length = 0;
  runtime.timers = 0;
  waiting("a", 12, 10);
  waiting("b", 1, 10);
  await runtime.settle();
  assertEquals(log, []);
  await runtime.advance(0);
  // It was not known that they are long.
  assertEquals(log, ["a8", "b1", "a3", "a1"]);
  // The pauses, before "a8", "b1" and "a1", and after it.
  assertEquals(runtime.timers, 4);
});

Deno.test("VnodeTurns does background work until a turn is over, and one piece of it in each turn with commands", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  const log: string[] = [];
  /** Goes on in what it resolves, as listings do. */
  const work = (name: string) =>
    turns.background(() => {
      queueMicrotask(() => {
        runtime.spentMs += TURN_MS / 4;
        log.push(name);
      });
    });
  for (let i = 1; i <= 6; i++) {
    work(`${i}`);
    await runtime.settle();
  }
  assertEquals(log, ["1", "2", "3", "4"]);
  turns.wait(new Waiting(runtime, turns, "a", 30, TURN_MS / 16, log));
  await runtime.advance(0);
  assertEquals(log.slice(4), ["a16", "a0", "5", "a14", "6"]);
  assertEquals(turns.longestMs, TURN_MS + TURN_MS / 4);
  await runtime.advance(TURN_MS);
  assertEquals(runtime.pendingTimers, 0);
  work("7");
  await runtime.settle();
  assertEquals(log.at(-1), "7");
});

Deno.test("VnodeTurns reads the clock after work that may have taken long", () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  turns.begin(runtime.now());
  assertEquals(turns.hasTime(), true);
  runtime.spentMs += TURN_MS;
  turns.tookLong();
  assertEquals(turns.hasTime(), false);
});

Deno.test("VnodeTurns serves no vnode once it is closed", async () => {
  const runtime = new BusyRuntime();
  const turns = new VnodeTurns(runtime);
  const log: string[] = [];
  const a = new Waiting(runtime, turns, "a", 1, 0, log);
  turns.wait(a);
  turns.close();
  turns.wait(a);
  assertEquals(runtime.pendingTimers, 0);
  await runtime.advance(10);
  assertEquals(log, []);
});
