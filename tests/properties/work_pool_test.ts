/**
 * A pool under any load, against what is promised of it (after riak_core's
 * `worker_pool_pulse`, `prop_small_pool`).
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isWhorlError } from "../../src/base/errors.ts";
import { WorkPool } from "../../src/vnode/work_pool.ts";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";

type Step =
  | {
    readonly type: "submit";
    readonly owner: number;
    readonly timeLeftMs: number;
  }
  /** The n-th of the jobs that run ends, or fails. */
  | { readonly type: "end" | "fail"; readonly which: number }
  | { readonly type: "leave"; readonly owner: number }
  | { readonly type: "wait"; readonly forMs: number };

const owner = fc.nat(2);
const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant("submit" as const),
        owner,
        timeLeftMs: fc.constantFrom(5, 50, Infinity),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constantFrom("end" as const, "fail" as const),
        which: fc.nat(5),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant("leave" as const), owner }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("wait" as const),
        forMs: fc.nat(20),
      }),
    },
  ),
  { maxLength: 30, size: "max" },
);

const bounds = fc.record({
  size: fc.integer({ min: 1, max: 3 }),
  queueMax: fc.nat(4),
});

Deno.test("a pool answers each job once, runs no more than its size, in order, and is free in the end", async () => {
  await fc.assert(
    fc.asyncProperty(bounds, steps, async (bounds, steps) => {
      const runtime = new ManualRuntime();
      const pool = new WorkPool("any", bounds, runtime);
      const owners = [{}, {}, {}];
      const answers = new Map<number, string>();
      const begun: number[] = [];
      /** Begun although nobody wanted them any more. */
      const inVain: number[] = [];
      const running = new Map<number, PromiseWithResolvers<void>>();
      let submitted = 0;
      const answer = (number: number, how: string): void => {
        assert(!answers.has(number), "answered once");
        answers.set(number, how);
      };

      const perform = async (step: Step): Promise<void> => {
        switch (step.type) {
          case "submit": {
            const number = submitted++;
            const full = pool.running === bounds.size &&
              pool.waiting === bounds.queueMax;
            pool.run(owners[step.owner] as object, () => {
              begun.push(number);
              if (answers.has(number)) inVain.push(number);
              const gate = Promise.withResolvers<void>();
              running.set(number, gate);
              return gate.promise;
            }, step).then(
              () => answer(number, "done"),
              (error) =>
                answer(number, isWhorlError(error) ? error.code : "failed"),
            );
            await runtime.settle();
            assertEquals(answers.get(number) === "overload", full);
            return;
          }
          case "end":
          case "fail": {
            const numbers = [...running.keys()];
            const number = numbers[step.which % numbers.length];
            if (number === undefined) return;
            const gate = running.get(number);
            running.delete(number);
            if (step.type === "end") gate?.resolve();
            else gate?.reject(new Error("it failed"));
            await runtime.settle();
            return;
          }
          case "leave":
            pool.leave(owners[step.owner] as object);
            await runtime.settle();
            return;
          case "wait":
            await runtime.advance(step.forMs);
            return;
          default:
            return step satisfies never;
        }
      };
      for (const step of steps) {
        await perform(step);
        assert(pool.running <= bounds.size);
        assert(running.size <= pool.running);
        assert(pool.waiting <= bounds.queueMax);
        // Nothing waits while there is room.
        assert(pool.waiting === 0 || pool.running === bounds.size);
      }
      // Deadlines pass, and every job that runs ends.
      while (pool.running > 0) {
        await runtime.advance(100);
        await perform({ type: "end", which: 0 });
      }
      assertEquals(answers.size, submitted);
      assertEquals(inVain, []);
      assertEquals(begun, begun.toSorted((a, b) => a - b));
      const { done, failed, refused, givenUp } = pool.counts;
      assertEquals(done + failed + refused + givenUp, submitted);
      const count = (how: string) =>
        [...answers.values()].filter((answer) => answer === how).length;
      assertEquals([done, failed, refused], [
        count("done"),
        count("failed"),
        count("overload"),
      ]);
      assertEquals([pool.waiting, runtime.pendingTimers], [0, 0]);
    }),
    { numRuns: 40 },
  );
});
