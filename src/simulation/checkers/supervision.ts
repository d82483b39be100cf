/**
 * Supervisors stay within their restart intensity. Their reports are enough to
 * check it: a child that starts with a higher restart count was restarted, at
 * the time when its exit or failed start was reported. Dynamic supervisors do
 * not report starts, so they are not checked.
 *
 * ```ts
 * import { checkRestartIntensity } from "./supervision.ts";
 *
 * const started = (atMs: number, restarts: number) => ({
 *   atMs,
 *   place: "n1",
 *   report: { type: "child_started", supervisor: "s", id: "c", restarts } as const,
 * });
 * const violations = checkRestartIntensity(
 *   [started(0, 0), started(10, 1), started(20, 2)],
 *   () => ({ intensity: 1, periodMs: 5_000 }),
 * );
 * // violations[0].message: s on n1 restarted 2 times within 5000 ms …
 * ```
 *
 * @module
 */
import type { IntensityLimit } from "../../../supervisors/restart_intensity.ts";
import type { SupervisorReport } from "../../../supervisors/supervisor.ts";
import type { Violation } from "./violation.ts";

/** A report with the time and place it was made. */
export interface SupervisorSighting {
  /** When it was made. */
  readonly atMs: number;
  /** The process it ran in, with a new name for each incarnation. */
  readonly place: string;
  /** The report. */
  readonly report: SupervisorReport;
}

/** One incarnation of a supervisor, as far as its reports show. */
class Supervisor {
  readonly limit: IntensityLimit;
  /** Restarts, oldest first. */
  #restartsAtMs: number[] = [];
  /** Restart count of each child at its last start. */
  #counts = new Map<string, number>();
  /** When each child exited since its last start. */
  #fallsAtMs = new Map<string, number[]>();
  /** Whether it was reported; once per incarnation is enough. */
  #accused = false;

  constructor(limit: IntensityLimit) {
    this.limit = limit;
  }

  /** Processes a report; returns the excess restarts, if it completes some. */
  see(atMs: number, report: SupervisorReport): readonly number[] | undefined {
    switch (report.type) {
      case "gave_up":
        this.#begin();
        return undefined;
      case "start_failed":
      case "child_exited": {
        const falls = this.#fallsAtMs.get(report.id);
        if (falls === undefined) this.#fallsAtMs.set(report.id, [atMs]);
        else falls.push(atMs);
        return undefined;
      }
      case "child_started":
        return this.#started(atMs, report.id, report.restarts);
      case "restart_delayed":
        return undefined;
    }
  }

  #begin(): void {
    this.#restartsAtMs = [];
    this.#counts = new Map();
    this.#accused = false;
  }

  #started(
    atMs: number,
    id: string,
    restarts: number,
  ): readonly number[] | undefined {
    const before = this.#counts.get(id) ?? 0;
    // Counts restart with the supervisor, which starts all its children before
    // it restarts any.
    if (restarts < before) this.#begin();
    this.#counts.set(id, restarts);
    const falls = this.#fallsAtMs.get(id) ?? [];
    this.#fallsAtMs.delete(id);
    for (let i = Math.max(0, restarts - before); i > 0; i--) {
      this.#restartsAtMs.push(falls.at(-i) ?? atMs);
    }
    if (restarts <= before) return undefined;
    this.#restartsAtMs.sort((a, b) => a - b);
    return this.#tooMany();
  }

  /** The restarts of a window with too many. */
  #tooMany(): readonly number[] | undefined {
    const { intensity, periodMs } = this.limit;
    const times = this.#restartsAtMs;
    if (this.#accused) return undefined;
    for (let i = 0; i + intensity < times.length; i++) {
      const last = i + intensity;
      // A restart exactly one period old still counts.
      if ((times[last] as number) - (times[i] as number) > periodMs) continue;
      this.#accused = true;
      return times.slice(i, last + 1);
    }
    return undefined;
  }
}

/**
 * Reports supervisors that restarted too often.
 *
 * @param sightings All reports, in the order in which they were made.
 * @param limitOf The limit of a supervisor, by its name; `undefined` if it is
 * not checked.
 */
export function checkRestartIntensity(
  sightings: Iterable<SupervisorSighting>,
  limitOf: (supervisor: string) => IntensityLimit | undefined,
): readonly Violation[] {
  const violations: Violation[] = [];
  const supervisors = new Map<string, Supervisor>();
  for (const { atMs, place, report } of sightings) {
    const limit = limitOf(report.supervisor);
    if (limit === undefined) continue;
    const name = `${report.supervisor} on ${place}`;
    let supervisor = supervisors.get(name);
    if (supervisor === undefined) {
      supervisor = new Supervisor(limit);
      supervisors.set(name, supervisor);
    }
    const tooMany = supervisor.see(atMs, report);
    if (tooMany === undefined) continue;
    violations.push({
      check: "restart_intensity",
      message:
        `${name} restarted ${tooMany.length} times within ${limit.periodMs} ms, at ${
          tooMany.join(", ")
        } ms, and may do so ${limit.intensity} times`,
      details: { supervisor: report.supervisor, place, restartsAtMs: tooMany },
    });
  }
  return violations;
}
