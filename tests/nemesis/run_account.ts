/**
 * What a run says while it goes on, to whoever watches it and to its report, and
 * what it has found wrong so far.
 *
 * @module
 */
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import { shortName } from "./short_name.ts";

/** Who is told. */
export interface Audience {
  /** Gets each line, with the time. */
  readonly tell: (line: string) => void;
  /** What falls after it fired was ended from outside. */
  readonly signal: AbortSignal;
}

/** The account of one run. */
export class RunAccount {
  readonly violations: Violation[] = [];
  readonly #audience: Audience;
  readonly #log: (line: string) => void;
  readonly #startedAt = performance.now();

  /** @param log Writes a line to the report. */
  constructor(audience: Audience, log: (line: string) => void) {
    this.#audience = audience;
    this.#log = log;
  }

  /** Milliseconds since the run began; microseconds are fine enough to read. */
  get elapsedMs(): number {
    return Math.round((performance.now() - this.#startedAt) * 1000) / 1000;
  }

  /** Writes to the report alone. */
  note(line: string): void {
    this.#log(line);
  }

  /** Says what happens. */
  readonly tell = (line: string): void => {
    this.note(line);
    const seconds = this.elapsedMs / 1000;
    this.#audience.tell(`${seconds.toFixed(1).padStart(6)} s  ${line}`);
  };

  /** The process of `node` has ended by itself. @param excused It may, as its disk was harmed. */
  readonly fell = (node: string, how: string, excused = false): void => {
    this.tell(`${shortName(node)} ended by itself: ${how}`);
    if (excused || this.#audience.signal.aborted) return;
    this.violations.push({
      check: "node_fell",
      message: `${node} ended by itself (${how}) though its disk was sound`,
      details: { node, log: `logs/${shortName(node)}.log` },
    });
  };
}
