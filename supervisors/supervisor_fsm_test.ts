import { assertEquals, assertThrows } from "@std/assert";
import type { ChildPolicy } from "./child_spec.ts";
import type { Strategy } from "./restart_strategy.ts";
import {
  createSupervisor,
  stepSupervisor,
  type SupervisorEvent,
  type SupervisorState,
} from "./supervisor_fsm.ts";

function create(
  strategy: Strategy,
  children: Record<string, ChildPolicy>,
  intensity = 10,
): SupervisorState {
  return createSupervisor(
    { strategy, limit: { intensity, periodMs: 1_000 }, autoShutdown: "never" },
    Object.entries(children).map(([id, policy]) => ({ id, ...policy })),
  );
}

const started = (generation: number): SupervisorEvent => ({
  type: "child_started",
  generation,
  nowMs: 0,
});

const ended = (
  type: "child_exited" | "child_start_failed",
  generation: number,
): SupervisorEvent => ({
  type,
  generation,
  reason: "killed",
  nowMs: 0,
  chance: 0,
});

/** Starts the supervisor and all its children. */
function boot(state: SupervisorState): SupervisorState {
  stepSupervisor(state, { type: "boot" });
  const count = state.children.length;
  for (let life = 1; life <= count; life++) {
    stepSupervisor(state, started(life));
  }
  return state;
}

Deno.test("stepSupervisor() starts one child at a time and has booted after the last", () => {
  const state = create("one_for_one", { a: {}, b: {} });
  assertEquals(stepSupervisor(state, { type: "boot" }), [
    { type: "start_child", id: "a", generation: 1 },
  ]);
  assertEquals(stepSupervisor(state, started(1)), [
    { type: "start_child", id: "b", generation: 2 },
  ]);
  assertEquals(stepSupervisor(state, started(2)), [{ type: "booted" }]);
});

Deno.test("stepSupervisor() without children has booted at once", () => {
  const state = create("one_for_one", {});
  assertEquals(stepSupervisor(state, { type: "boot" }), [{ type: "booted" }]);
});

Deno.test("stepSupervisor() stops the rest of the group in reverse before it starts any", () => {
  const state = boot(create("one_for_all", { a: {}, b: {}, c: {} }));
  assertEquals(stepSupervisor(state, ended("child_exited", 2)), [
    { type: "stop_child", generation: 3, timeoutMs: 5_000 },
  ]);
  assertEquals(stepSupervisor(state, ended("child_exited", 3)), [
    { type: "stop_child", generation: 1, timeoutMs: 5_000 },
  ]);
  assertEquals(stepSupervisor(state, ended("child_exited", 1)), [
    { type: "start_child", id: "a", generation: 4 },
  ]);
});

Deno.test("stepSupervisor() kills a child only while it is still stopping", () => {
  const state = boot(create("one_for_one", { a: { shutdown: 10 } }));
  assertEquals(
    stepSupervisor(state, { type: "stop", reason: "shutdown" }),
    [{ type: "stop_child", generation: 1, timeoutMs: 10 }],
  );
  assertEquals(
    stepSupervisor(state, { type: "shutdown_elapsed", generation: 1 }),
    [{ type: "kill_child", generation: 1 }],
  );
  assertEquals(stepSupervisor(state, ended("child_exited", 1)), [
    { type: "exit", reason: "shutdown" },
  ]);
  assertEquals(
    stepSupervisor(state, { type: "shutdown_elapsed", generation: 1 }),
    [],
  );
});

Deno.test("stepSupervisor() does not restart a child that fell while its termination waited", () => {
  const state = boot(create("one_for_one", { a: {}, b: {} }));
  const terminate = (request: number, id: string) =>
    stepSupervisor(state, { type: "terminate_child", request, id });
  assertEquals(terminate(1, "b").map(({ type }) => type), ["stop_child"]);
  assertEquals(terminate(2, "a"), []);
  assertEquals(stepSupervisor(state, ended("child_exited", 1)), []);
  assertEquals(stepSupervisor(state, ended("child_exited", 2)), [
    { type: "reply", request: 1 },
    { type: "reply", request: 2 },
  ]);
});

Deno.test("stepSupervisor() gives up on one restart too many", () => {
  const state = boot(create("one_for_one", { a: {}, b: {} }, 0));
  assertEquals(stepSupervisor(state, ended("child_exited", 1)), [
    { type: "gave_up", id: "a" },
    { type: "stop_child", generation: 2, timeoutMs: 5_000 },
  ]);
});

Deno.test("stepSupervisor() waits before a restart with backoff, and lets requests pass meanwhile", () => {
  const backoff = { minMs: 50, maxMs: 100, jitter: 0 };
  const state = boot(create("one_for_one", { a: { backoff } }));
  assertEquals(stepSupervisor(state, ended("child_exited", 1)), [
    { type: "set_backoff", id: "a", afterMs: 50 },
  ]);
  assertEquals(
    stepSupervisor(state, {
      type: "add_child",
      request: 1,
      id: "b",
      policy: {},
    }),
    [
      { type: "remember_child", id: "b", request: 1 },
      { type: "start_child", id: "b", generation: 2 },
    ],
  );
  // The time has come, but one thing is done at a time.
  assertEquals(stepSupervisor(state, { type: "backoff_elapsed", id: "a" }), []);
  assertEquals(stepSupervisor(state, started(2)), [
    { type: "reply", request: 1 },
    { type: "start_child", id: "a", generation: 3 },
  ]);
});

Deno.test("stepSupervisor() pauses only after the ends that are followed by a pause, whether the child ran or its restart failed", () => {
  const state = boot(create("one_for_one", {
    a: {
      backoff: { minMs: 50, maxMs: 200, atOnce: 1, jitter: 0 },
      backoffAfter: (reason, ran) => !ran || reason !== "killed",
    },
  }));
  // Ends that are followed by no pause make later pauses no longer either.
  for (let life = 1; life <= 2; life++) {
    assertEquals(stepSupervisor(state, ended("child_exited", life)), [
      { type: "start_child", id: "a", generation: life + 1 },
    ]);
    stepSupervisor(state, started(life + 1));
  }
  const fallen: SupervisorEvent = {
    type: "child_exited",
    generation: 3,
    reason: "normal",
    nowMs: 0,
    chance: 0,
  };
  assertEquals(stepSupervisor(state, fallen), [
    { type: "start_child", id: "a", generation: 4 },
  ]);
  for (const [i, afterMs] of [50, 100, 200, 200].entries()) {
    assertEquals(stepSupervisor(state, ended("child_start_failed", 4 + i)), [
      { type: "set_backoff", id: "a", afterMs },
    ]);
    stepSupervisor(state, { type: "backoff_elapsed", id: "a" });
  }
});

Deno.test("stepSupervisor() lets a start that is under way settle before it stops anything", () => {
  const state = boot(create("one_for_one", { a: {}, b: {} }));
  stepSupervisor(state, ended("child_exited", 1));
  assertEquals(
    stepSupervisor(state, { type: "stop", reason: "shutdown" }),
    [{ type: "abort_start", generation: 3 }],
  );
  assertEquals(stepSupervisor(state, ended("child_start_failed", 3)), [
    { type: "stop_child", generation: 2, timeoutMs: 5_000 },
  ]);
  assertEquals(stepSupervisor(state, ended("child_exited", 2)), [
    { type: "exit", reason: "shutdown" },
  ]);
});

Deno.test("stepSupervisor() refuses requests once it has ended", () => {
  const state = boot(create("one_for_one", {}));
  stepSupervisor(state, { type: "stop", reason: "normal" });
  assertEquals(
    stepSupervisor(state, { type: "delete_child", request: 7, id: "a" }),
    [{ type: "refuse", request: 7, code: "noproc" }],
  );
});

Deno.test("createSupervisor() refuses two children of one id", () => {
  assertThrows(
    () =>
      createSupervisor(
        {
          strategy: "one_for_one",
          limit: { intensity: 1, periodMs: 1 },
          autoShutdown: "never",
        },
        [{ id: "a" }, { id: "a" }],
      ),
    TypeError,
    "'a' stands twice",
  );
});
