import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type ExitReason,
  isAbnormal,
  type Restart,
  type Strategy,
} from "../../supervisors/mod.ts";
import {
  addRestart,
  createIntensity,
} from "../../supervisors/restart_intensity.ts";
import { restartGroup } from "../../supervisors/restart_strategy.ts";
import {
  createSupervisor,
  stepSupervisor,
  type SupervisorEffect,
  type SupervisorEvent,
  type SupervisorState,
} from "../../supervisors/supervisor_fsm.ts";

Deno.test("addRestart() agrees with counting all restarts of the last period", () => {
  fc.assert(fc.property(
    fc.nat(6),
    fc.nat(50),
    fc.array(fc.nat(30), { maxLength: 60, size: "max" }),
    (intensity, periodMs, pausesMs) => {
      const state = createIntensity({ intensity, periodMs });
      const all: number[] = [];
      let nowMs = 0;
      for (const pauseMs of pausesMs) {
        nowMs += pauseMs;
        all.push(nowMs);
        const recent = all.filter((atMs) => nowMs - atMs <= periodMs).length;
        assertEquals(addRestart(state, nowMs), recent <= intensity);
        // It may not remember more than it needs while it is obeyed.
        if (recent > intensity) return;
        assert(state.restartsAtMs.length <= intensity);
      }
    },
  ));
});

const strategies: Strategy[] = ["one_for_one", "one_for_all", "rest_for_one"];

Deno.test("restartGroup() includes the child that failed and follows the strategy's name", () => {
  fc.assert(fc.property(
    fc.constantFrom(...strategies),
    fc.integer({ min: 1, max: 20 }),
    fc.nat(19),
    (strategy, count, at) => {
      const failed = at % count;
      const { from, to } = restartGroup(strategy, failed, count);
      const members = Array.from({ length: count }, (_, i) => i)
        .filter((i) => i >= from && i < to);
      const expected = Array.from({ length: count }, (_, i) => i)
        .filter((i) =>
          strategy === "one_for_all" || i === failed ||
          (strategy === "rest_for_one" && i > failed)
        );
      assertEquals(members, expected);
    },
  ));
});

/** What may happen next; numbers choose among what is possible. */
type Move =
  | { readonly type: "finish_start"; readonly fails: boolean }
  | { readonly type: "fall"; readonly which: number; readonly how: number }
  | { readonly type: "finish_stop" }
  | { readonly type: "elapse"; readonly which: number }
  | {
    readonly type: "ask";
    readonly what: "terminate_child" | "restart_child" | "delete_child";
    readonly which: number;
  }
  | { readonly type: "add"; readonly which: number }
  | { readonly type: "stop" };

const REASONS: ExitReason[] = [
  "normal",
  "shutdown",
  "killed",
  { type: "crash", error: { name: "Error", message: "x" } },
];

const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({
      type: fc.constant("finish_start" as const),
      // One in five.
      fails: fc.nat(4).map((n) => n === 0),
    }),
  },
  {
    weight: 16,
    arbitrary: fc.record({
      type: fc.constant("fall" as const),
      which: fc.nat(9),
      how: fc.nat(3),
    }),
  },
  {
    weight: 20,
    arbitrary: fc.constant({ type: "finish_stop" as const }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("elapse" as const),
      which: fc.nat(9),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("ask" as const),
      what: fc.constantFrom(
        "terminate_child" as const,
        "restart_child" as const,
        "delete_child" as const,
      ),
      which: fc.nat(5),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("add" as const),
      which: fc.nat(5),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "stop" as const }) },
);

/** The world around a supervisor: what was started and not ended, and what it may rely on. */
class World {
  readonly alive = new Map<number, string>();
  readonly starting = new Map<number, string>();
  readonly stopping = new Set<number>();
  readonly timers: string[] = [];
  readonly unanswered = new Set<number>();
  exit: ExitReason | undefined;
  nowMs = 0;
  #requests = 0;

  constructor(readonly state: SupervisorState) {}

  request(): number {
    this.unanswered.add(++this.#requests);
    return this.#requests;
  }

  send(event: SupervisorEvent): void {
    for (const effect of stepSupervisor(this.state, event)) {
      this.#perform(effect);
    }
  }

  #perform(effect: SupervisorEffect): void {
    // After the exit there is only one thing left to say.
    assert(this.exit === undefined || effect.type === "refuse", effect.type);
    switch (effect.type) {
      case "start_child": {
        // One thing at a time: nobody starts while another starts or stops.
        assertEquals(this.starting.size + this.stopping.size, 0);
        const lives = [...this.alive.values()];
        assert(!lives.includes(effect.id), `${effect.id} is alive already`);
        this.starting.set(effect.generation, effect.id);
        return;
      }
      case "stop_child":
      case "kill_child":
        assert(
          this.alive.has(effect.generation),
          "only the living are stopped",
        );
        assertEquals(this.starting.size, 0);
        this.stopping.add(effect.generation);
        assertEquals(this.stopping.size, 1, "one at a time");
        return;
      case "set_backoff":
        this.timers.push(effect.id);
        return;
      case "reply":
      case "refuse":
        assert(this.unanswered.delete(effect.request), "answered once");
        return;
      case "exit":
        assertEquals(this.alive.size, 0, "nobody is left behind");
        assertEquals(this.starting.size, 0);
        this.exit = effect.reason;
        return;
      default:
    }
  }

  end(generation: number, reason: ExitReason): void {
    this.alive.delete(generation);
    this.stopping.delete(generation);
    const { nowMs } = this;
    this.send({ type: "child_exited", generation, reason, nowMs, chance: 0 });
  }

  move(move: Move): void {
    this.nowMs += 1;
    const { nowMs } = this;
    switch (move.type) {
      case "finish_start": {
        const [next] = this.starting;
        if (next === undefined) return;
        const [generation, id] = next;
        this.starting.delete(generation);
        if (move.fails) {
          return this.send({
            type: "child_start_failed",
            generation,
            reason: REASONS[3]!,
            nowMs,
            chance: 0,
          });
        }
        this.alive.set(generation, id);
        return this.send({ type: "child_started", generation, nowMs });
      }
      case "finish_stop": {
        const [generation] = this.stopping;
        if (generation !== undefined) this.end(generation, "shutdown");
        return;
      }
      case "fall": {
        const lives = [...this.alive.keys()];
        if (lives.length === 0) return;
        return this.end(
          lives[move.which % lives.length]!,
          REASONS[move.how]!,
        );
      }
      case "elapse": {
        if (this.timers.length === 0) return;
        const [id] = this.timers.splice(move.which % this.timers.length, 1);
        return this.send({ type: "backoff_elapsed", id: id! });
      }
      case "ask":
        return this.send({
          type: move.what,
          request: this.request(),
          id: `child ${move.which}`,
        });
      case "add":
        return this.send({
          type: "add_child",
          request: this.request(),
          id: `child ${move.which}`,
          policy: {},
        });
      case "stop":
        return this.send({ type: "stop", reason: "shutdown" });
    }
  }

  /** Lets everything under way come to its end, without further falls. */
  settle(): void {
    for (let i = 0; i < 10_000; i++) {
      if (this.starting.size > 0) {
        this.move({ type: "finish_start", fails: false });
      } else if (this.stopping.size > 0) this.move({ type: "finish_stop" });
      else if (this.timers.length > 0) this.move({ type: "elapse", which: 0 });
      else return;
    }
    throw new Error("it never comes to rest");
  }
}

const policies = fc.record({
  restart: fc.constantFrom<Restart>("permanent", "transient", "temporary"),
  backoff: fc.option(fc.constant({ minMs: 10, maxMs: 100 }), {
    nil: undefined,
  }),
  shutdown: fc.constantFrom("brutal" as const, "infinity" as const, 100),
}).map(({ backoff, ...rest }) => backoff ? { ...rest, backoff } : rest);

Deno.test("stepSupervisor() keeps its promises whatever happens in any order", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...strategies),
      fc.array(policies, { maxLength: 4 }),
      fc.constantFrom(2, 1_000),
      fc.array(moves, { maxLength: 60, size: "max" }),
      (strategy, children, intensity, script) => {
        const world = new World(createSupervisor(
          {
            strategy,
            limit: { intensity, periodMs: 1_000 },
            autoShutdown: "never",
          },
          children.map((policy, i) => ({ id: `child ${i}`, ...policy })),
        ));
        world.send({ type: "boot" });
        for (const move of script) world.move(move);
        world.settle();
        assertEquals(world.unanswered.size, 0, "every request is answered");
        if (world.exit === undefined) {
          // At rest, a child runs unless its own end or a request says otherwise.
          for (const child of world.state.children) {
            assert(
              child.status === "running" || child.status === "stopped",
              `${child.id} rests ${child.status}`,
            );
            assertEquals(
              child.status === "running",
              world.alive.has(child.generation),
            );
          }
          assertEquals(
            world.alive.size,
            world.state.children.filter((c) => c.status === "running").length,
          );
          world.send({ type: "stop", reason: "shutdown" });
          world.settle();
        }
        if (world.exit === undefined) throw new Error("it does not exit");
        assertEquals(isAbnormal(world.exit), false);
      },
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("stepSupervisor() stops children in the reverse order of their start", () => {
  fc.assert(fc.property(
    fc.constantFrom(...strategies),
    fc.array(policies, { minLength: 1, maxLength: 5 }),
    (strategy, children) => {
      const world = new World(createSupervisor(
        {
          strategy,
          limit: { intensity: 1, periodMs: 1 },
          autoShutdown: "never",
        },
        children.map((policy, i) => ({ id: `child ${i}`, ...policy })),
      ));
      world.send({ type: "boot" });
      world.settle();
      const started = [...world.alive.values()];
      world.send({ type: "stop", reason: "shutdown" });
      const stopped: string[] = [];
      while (world.stopping.size > 0) {
        const [generation] = world.stopping;
        stopped.push(world.alive.get(generation!)!);
        world.move({ type: "finish_stop" });
      }
      assertEquals(started, children.map((_, i) => `child ${i}`));
      assertEquals(stopped, started.toReversed());
    },
  ));
});
