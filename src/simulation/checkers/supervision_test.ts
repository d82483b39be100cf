import { assert, assertEquals } from "@std/assert";
import { ChildBase } from "../../../supervisors/child.ts";
import type { ExitReason } from "../../../supervisors/exit_reason.ts";
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { startSupervisor } from "../../../supervisors/supervisor.ts";
import {
  checkRestartIntensity,
  type SupervisorSighting,
} from "./supervision.ts";

const limit = { intensity: 2, periodMs: 100 };
const reason = { type: "x" } as never;

const started = (
  atMs: number,
  restarts: number,
  id = "c",
): SupervisorSighting => ({
  atMs,
  place: "n1",
  report: { type: "child_started", supervisor: "s", id, restarts },
});
const fell = (atMs: number, id = "c"): SupervisorSighting => ({
  atMs,
  place: "n1",
  report: { type: "child_exited", supervisor: "s", id, reason },
});
const gaveUp = (atMs: number): SupervisorSighting => ({
  atMs,
  place: "n1",
  report: { type: "gave_up", supervisor: "s", id: "c" },
});
const check = (...sightings: SupervisorSighting[]) =>
  checkRestartIntensity(sightings, () => limit).map(({ message }) => message);

Deno.test("checkRestartIntensity() passes as many restarts as the intensity within a period", () => {
  assertEquals(
    check(
      started(0, 0),
      fell(10),
      started(10, 1),
      fell(20),
      started(20, 2),
      fell(111),
      started(111, 3),
      fell(121),
      started(121, 4),
      fell(122),
      gaveUp(122),
    ),
    [],
  );
});

Deno.test("checkRestartIntensity() reports one restart too many, once", () => {
  const messages = check(
    started(0, 0),
    fell(10),
    started(10, 1),
    fell(20),
    started(20, 2),
    fell(110),
    started(110, 3),
    fell(115),
    started(115, 4),
  );
  assertEquals(messages, [
    "s on n1 restarted 3 times within 100 ms, at 10, 20, 110 ms, and may do so 2 times",
  ]);
});

Deno.test("checkRestartIntensity() dates a restart by the exit, not by the start", () => {
  assertEquals(
    check(
      started(0, 0),
      started(0, 0, "d"),
      fell(0),
      fell(50, "d"),
      fell(101),
      started(150, 1),
      started(150, 1, "d"),
      started(160, 2),
    ),
    [],
  );
});

Deno.test("checkRestartIntensity() counts all children together, and each incarnation of a supervisor separately", () => {
  assertEquals(
    check(
      started(0, 0),
      started(0, 0, "d"),
      fell(1),
      started(1, 1),
      fell(2, "d"),
      started(2, 1, "d"),
      fell(3),
      started(3, 2),
    ).length,
    1,
  );
  assertEquals(
    check(
      started(0, 0),
      fell(1),
      started(1, 1),
      fell(2),
      started(2, 2),
      // Its own supervisor has restarted it.
      started(3, 0),
      fell(4),
      started(4, 1),
      fell(5),
      started(5, 2),
    ),
    [],
  );
});

class Task extends ChildBase {
  readonly kind = "task";
  stop(reason: ExitReason): void {
    this.end(reason);
  }
  kill(): void {
    this.end("killed");
  }
}

Deno.test("checkRestartIntensity() passes a real supervisor, and reports it against a lower limit", async () => {
  const runtime = new ManualRuntime();
  const sightings: SupervisorSighting[] = [];
  const supervisor = await startSupervisor({
    name: "s",
    intensity: 3,
    periodMs: 1_000,
    runtime,
    onReport: (report) =>
      sightings.push({ atMs: runtime.now(), place: "n1", report }),
    children: [{
      id: "c",
      start: () => new Task(),
    }],
  });
  for (let i = 0; i < 4; i++) {
    supervisor.child("c")?.kill();
    await runtime.advance(10);
  }
  assertEquals(sightings.at(-1)!.report.type, "gave_up");
  assert(sightings.length >= 8);
  const limitOf = (intensity: number) => () => ({ intensity, periodMs: 1_000 });
  assertEquals(checkRestartIntensity(sightings, limitOf(3)), []);
  assertEquals(checkRestartIntensity(sightings, limitOf(2)).length, 1);
});
