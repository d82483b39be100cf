import { assertEquals, assertRejects } from "@std/assert";
import { GenStatem, type StatemEvent } from "./gen_statem.ts";
import { ManualRuntime } from "./manual_runtime.ts";
import { DownNotice, spawn } from "./process.ts";
import { SupervisorError } from "./supervisor_error.ts";

type State = "closed" | "open" | "locked";
type Event = StatemEvent<State, string, string, string>;

/** Writes an event as one word or two. */
function wordsOf(state: State, event: Event): string {
  switch (event.type) {
    case "enter":
      return `enter ${state} from ${event.from ?? "nowhere"}`;
    case "call":
      return `${state}: call ${event.request}`;
    case "cast":
    case "internal":
      return `${state}: ${event.type} ${event.message}`;
    case "timeout":
      return `${state}: timeout ${event.name}`;
    default:
      return `${state}: ${event.type}`;
  }
}

/** A door that locks itself when nobody uses it. */
function createDoor(runtime: ManualRuntime, log: string[]) {
  return new GenStatem<State, string, string, string>({
    initial: "closed",
    handleEvent(state, event) {
      log.push(wordsOf(state, event));
      switch (event.type) {
        case "enter":
          return state === "closed" ? { stateTimeoutMs: 1_000 } : undefined;
        case "state_timeout":
          return { next: "locked" };
        case "call":
          if (state === "locked") return { postpone: true };
          event.from.reply(`${event.request} while ${state}`);
          return undefined;
        case "cast":
          if (event.message === "break") throw new Error("splinters");
          if (event.message === "knock") return { raise: ["a", "b"] };
          if (event.message === "alarm") return { timeoutsMs: { alarm: 50 } };
          if (event.message === "calm") return { timeoutsMs: { alarm: null } };
          if (event.message === "leave") return { stop: "normal" };
          return { next: event.message as State, raise: ["moved"] };
        default:
          return undefined;
      }
    },
  }, { runtime, name: "door" });
}

Deno.test("GenStatem enters its first state, and a state timeout leaves it", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  await runtime.advance(999);
  assertEquals(door.state, "closed");
  await runtime.advance(1);
  assertEquals(door.state, "locked");
  assertEquals(log, [
    "enter closed from nowhere",
    "closed: state_timeout",
    "enter locked from closed",
  ]);
  door.kill();
});

Deno.test("GenStatem forgets a state timeout when the state changes", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  await runtime.advance(999);
  door.cast("open");
  await runtime.advance(10_000);
  assertEquals(door.state, "open");
  assertEquals(log.filter((line) => line.includes("state_timeout")), []);
  door.kill();
  assertEquals(runtime.pendingTimers, 0);
});

/** A runtime whose turns come when they are let. */
class HeldRuntime extends ManualRuntime {
  #held: (() => void)[] = [];
  override defer(callback: () => void): void {
    this.#held.push(callback);
  }
  release(): void {
    for (const callback of this.#held.splice(0)) callback();
  }
}

Deno.test("GenStatem ignores a state timeout that fired behind the event which changed the state", async () => {
  const runtime = new HeldRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  runtime.release();
  door.cast("open");
  await runtime.advance(1_000);
  assertEquals(door.mailboxLength, 2);
  runtime.release();
  assertEquals(door.state, "open");
  assertEquals(log.filter((line) => line.includes("state_timeout")), []);
  door.kill();
});

Deno.test("GenStatem takes postponed events up after the change, in order, before new ones", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  door.cast("locked");
  const answers = [door.call("first"), door.call("second")];
  await runtime.settle();
  log.length = 0;
  door.cast("open");
  const third = door.call("third");
  assertEquals(await Promise.all([...answers, third]), [
    "first while open",
    "second while open",
    "third while open",
  ]);
  assertEquals(log, [
    "locked: cast open",
    "enter open from locked",
    "open: internal moved",
    "open: call first",
    "open: call second",
    "open: call third",
  ]);
  door.kill();
});

Deno.test("GenStatem drops a postponed call whose caller has given up", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  door.cast("locked");
  const call = assertRejects(
    () => door.call("hello", { timeoutMs: 10 }),
    SupervisorError,
    "limit is 10 ms",
  );
  await runtime.advance(10);
  await call;
  door.cast("open");
  await runtime.settle();
  assertEquals(log.includes("open: call hello"), false);
  door.kill();
});

Deno.test("GenStatem handles raised events before those that wait", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  door.cast("knock");
  door.cast("open");
  await runtime.settle();
  assertEquals(log.slice(1, 5), [
    "closed: cast knock",
    "closed: internal a",
    "closed: internal b",
    "closed: cast open",
  ]);
  door.kill();
});

Deno.test("GenStatem keeps named timers over changes of state, until they are forgotten", async () => {
  const runtime = new ManualRuntime();
  const log: string[] = [];
  const door = createDoor(runtime, log);
  door.cast("alarm");
  door.cast("open");
  await runtime.advance(50);
  assertEquals(log.at(-1), "open: timeout alarm");
  door.cast("alarm");
  door.cast("calm");
  await runtime.advance(1_000);
  assertEquals(log.filter((line) => line.includes("timeout")).length, 1);
  door.kill();
});

Deno.test("GenStatem crashes with what a handler throws, stops when told, and answers nobody afterwards", async () => {
  const runtime = new ManualRuntime();
  const broken = createDoor(runtime, []);
  broken.cast("break");
  const call = assertRejects(
    () => broken.call("hello"),
    SupervisorError,
    "splinters",
  );
  await call;
  const left = createDoor(runtime, []);
  left.cast("leave");
  await runtime.settle();
  assertEquals(left.exitReason, "normal");
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("GenStatem gets the end of a monitored process as info", async () => {
  const runtime = new ManualRuntime();
  const infos: unknown[] = [];
  const statem = new GenStatem<"only">({
    initial: "only",
    handleEvent(_state, event) {
      if (event.type === "info") infos.push(event.info);
    },
  }, { runtime });
  const other = spawn(() => {}, { runtime });
  const monitor = statem.monitor(other);
  other.exit("shutdown");
  await runtime.settle();
  assertEquals(infos, [new DownNotice(monitor, other, "shutdown")]);
  statem.kill();
});
