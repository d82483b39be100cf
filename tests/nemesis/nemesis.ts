/**
 * A run: rounds of faults under load, each followed by health and the question
 * whether anything was lost.
 *
 *     load ───────────────────────────────┐ stop
 *     faults ─ 1 to 3 at once ─ … ─ none ─┘ heal ─ converge ≤ 30 s ─ check ─ next round
 *
 * @module
 */
import { seededChance } from "../../src/base/chance.ts";
import { checkProgress } from "../../src/simulation/checkers/progress.ts";
import {
  countOutcomes,
  type OperationRecord,
} from "../../src/simulation/history.ts";
import type { AttackedStore, AttackedStoreKind } from "./attacked_store.ts";
import type { Fault } from "./fault.ts";
import { totalCounts } from "./fault_library.ts";
import { FaultPlay } from "./fault_play.ts";
import { FaultSchedule, type PlannedFault } from "./fault_schedule.ts";
import { ANSWER_GRACE_MS, OPERATION_MS_MAX } from "./load_clients.ts";
import { exploreMachine } from "./machine.ts";
import { NemesisCluster } from "./nemesis_cluster.ts";
import {
  commitOf,
  type FaultCount,
  type NemesisSummary,
} from "./nemesis_summary.ts";
import { pause } from "./pause.ts";
import { OwnStalls } from "./own_stalls.ts";
import { RunAccount } from "./run_account.ts";
import { recorded, type RunDirectory } from "./run_directory.ts";

/** Time a healed cluster gets to be one again, in milliseconds. */
export const CONVERGENCE_MS_MAX = 30_000;
/** Acknowledged operations a second, while there are faults, below which a run means nothing. */
export const ACKNOWLEDGED_PER_SECOND_MIN = 20;
/** Load without faults at the end of each round, in milliseconds. */
const CALM_MS = 1_000;
const TELL_EVERY_MS = 5_000;

/** What to run. */
export interface NemesisOptions {
  /** What is attacked. */
  readonly store: AttackedStoreKind;
  readonly seed: string;
  readonly nodes: number;
  /** No round begins later than this, in milliseconds after the cluster is up; one runs in any case. */
  readonly durationMs: number;
  /** Time of the faults of a round, in milliseconds. */
  readonly roundMs: number;
  /** Names of the kinds of faults wanted; `undefined` for all. */
  readonly only: readonly string[] | undefined;
  /** Where the report's directory goes. */
  readonly reports: string;
  /** Takes each line that says what happens. */
  readonly tell: (line: string) => void;
  /** Ends the run early: it rejects and leaves nothing, not even a report unless the reason was given. */
  readonly signal: AbortSignal;
}

/** Runs the nemesis. @throws If it was interrupted, or could not do what it wanted; nothing is left then either. */
export function runNemesis(options: NemesisOptions): Promise<NemesisSummary> {
  return recorded(
    options,
    (directory) => new Run(options, directory).play(),
  );
}

class Run {
  readonly #options: NemesisOptions;
  readonly #directory: RunDirectory;
  readonly #account: RunAccount;
  readonly #store: AttackedStore;
  readonly #schedules: PlannedFault[][] = [];
  #faultMs = 0;
  readonly #underFaults: OperationRecord<unknown, unknown>[] = [];
  #longestRecoveryMs = 0;
  readonly #stalls: OwnStalls = new OwnStalls(() => this.#account.elapsedMs);

  constructor(options: NemesisOptions, directory: RunDirectory) {
    this.#options = options;
    this.#directory = directory;
    this.#account = new RunAccount(options, directory.log("nemesis"));
    this.#store = options.store.make({
      seed: options.seed,
      now: () => this.#account.elapsedMs,
      onRecord: directory.history(),
      tell: this.#account.tell,
      signal: options.signal,
    });
  }

  async play(): Promise<NemesisSummary> {
    const options = this.#options;
    using _ = this.#stalls.watch();
    this.#account.tell(
      `seed ${options.seed}, report in ${this.#directory.path}`,
    );
    const machine = await exploreMachine(this.#directory.path);
    const wanted = options.store.faults.filter(({ name }) =>
      options.only?.includes(name) ?? true
    );
    const skipped = new Map<Fault, string>();
    for (const fault of wanted) {
      const why = fault.unable?.(machine, options.nodes);
      if (why === undefined) continue;
      skipped.set(fault, why);
      this.#account.tell(`skipped: ${fault.name}: ${why}`);
    }
    const able = wanted.filter((fault) => !skipped.has(fault));
    if (able.length === 0) {
      throw new Error("No fault that is wanted can be done");
    }
    this.#account.tell(`starting ${options.nodes} nodes`);
    const chance = seededChance(`${options.seed} network`);
    await using cluster = await NemesisCluster.start({
      nodes: options.nodes,
      storage: options.store.storage,
      machine,
      directory: this.#directory,
      chance,
      namespaces: able.some(({ name }) => name === "loss"),
      tell: this.#account.tell,
      onFall: this.#account.fell,
    });
    const schedule = new FaultSchedule(
      options.seed,
      able,
      cluster.nodes.map(({ name }) => name),
    );
    const faults = new FaultPlay(cluster, able);
    await this.#store.prepare(cluster);
    const begunAt = performance.now();
    do {
      const planned = schedule.nextRound(options.roundMs);
      await this.#playRound(cluster, faults, planned);
    } while (
      this.#account.violations.length === 0 &&
      performance.now() - begunAt < options.durationMs
    );
    const falls = cluster.nodes.reduce((sum, { falls }) => sum + falls, 0);
    const disks = "path" in machine.library
      ? totalCounts(cluster.nodes.map(({ disk }) => disk))
      : undefined;
    // Of no use unless the nodes have converged.
    if (this.#account.violations.length === 0) {
      this.#account.violations.push(...await this.#store.checkEnd(cluster));
    }
    const counts = wanted.map((fault): FaultCount => ({
      name: fault.name,
      injected: faults.counts.get(fault.name) ?? 0,
      skipped: skipped.get(fault),
    }));
    return await this.#summary({ faults: counts, falls, disks });
  }

  async #playRound(
    cluster: NemesisCluster,
    faults: FaultPlay,
    planned: readonly PlannedFault[],
  ): Promise<void> {
    const { signal } = this.#options;
    const number = this.#schedules.length + 1;
    this.#schedules.push([...planned]);
    this.#directory.write("schedule.json", this.#schedules);
    const words = this.#store.roundWords?.(number);
    this.#account.tell(
      `round ${number}: ${planned.length} faults${
        words === undefined ? "" : `, ${words}`
      }`,
    );
    const firstId = this.#store.records.length;
    const load = this.#store.startRound(number, cluster);
    let healedAt = 0;
    const ticker = setInterval(
      () => this.#tellLoad(firstId, faults.active),
      TELL_EVERY_MS,
    );
    try {
      await faults.play(planned, signal);
      await cluster.mend();
      healedAt = performance.now();
      this.#account.tell("healed");
      await pause(CALM_MS, signal);
    } finally {
      clearInterval(ticker);
      await load.stop();
    }
    signal.throwIfAborted();
    this.#countLoad(firstId, planned);
    this.#store.endRound();
    await this.#check(cluster, healedAt);
  }

  #tellLoad(firstId: number, active: readonly string[]): void {
    const { ok, failed, unknown } = countOutcomes(
      this.#store.records.slice(firstId),
    );
    this.#account.tell(
      `  ${ok} ok, ${failed} failed, ${unknown} unknown; on now: ${
        active.length === 0 ? "nothing" : active.join(", ")
      }`,
    );
  }

  #countLoad(firstId: number, planned: readonly PlannedFault[]): void {
    const records = this.#store.records.slice(firstId);
    const beganAt = records[0]?.invokedAtMs ?? 0;
    const endMs = Math.max(...planned.map(({ atMs, forMs }) => atMs + forMs));
    this.#faultMs += endMs;
    for (const record of records) {
      if (record.invokedAtMs >= beganAt + endMs) continue;
      if (this.#store.counts?.(record) ?? true) this.#underFaults.push(record);
    }
    this.#tellLoad(firstId, []);
  }

  async #check(cluster: NemesisCluster, healedAt: number): Promise<void> {
    const converged = await this.#store.converge(
      cluster,
      healedAt + CONVERGENCE_MS_MAX,
    );
    if (typeof converged === "string") {
      this.#account.tell(`NOT one again: ${converged}`);
      this.#account.violations.push({
        check: "convergence",
        message:
          `Not converged after ${CONVERGENCE_MS_MAX} ms of health: ${converged}`,
      });
      return;
    }
    for (const node of cluster.nodes) node.mendBy(undefined);
    const tookMs = performance.now() - healedAt;
    this.#longestRecoveryMs = Math.max(this.#longestRecoveryMs, tookMs);
    const found = this.#store.judge();
    this.#account.violations.push(...found);
    this.#account.tell(
      `one again in ${Math.round(tookMs)} ms, ${converged} keys: ${
        found.length === 0 ? "nothing lost" : `${found.length} VIOLATIONS`
      }`,
    );
  }

  async #summary(
    suffered: Pick<NemesisSummary, "faults" | "falls" | "disks">,
  ): Promise<NemesisSummary> {
    const seconds = this.#faultMs / 1000;
    const endedAtMs = this.#account.elapsedMs;
    this.#account.violations.push(
      ...this.#stalls.violations(),
      ...checkProgress(this.#store.records, {
        acknowledgedMin: 0,
        timeoutMs: this.#stalls.allowed(OPERATION_MS_MAX, endedAtMs),
        graceMs: ANSWER_GRACE_MS,
        endedAtMs,
      }),
      // What is easy in calm times does not count.
      ...checkProgress(this.#underFaults, {
        acknowledgedMin: Math.round(ACKNOWLEDGED_PER_SECOND_MIN * seconds),
        timeoutMs: Infinity,
        endedAtMs,
      }),
    );
    const perSecond = countOutcomes(this.#underFaults).ok / seconds;
    const { seed, nodes, only, store } = this.#options;
    return {
      store: store.name,
      passed: this.#account.violations.length === 0,
      seed,
      commit: await commitOf(),
      nodes,
      only,
      rounds: this.#schedules.length,
      tookMs: Math.round(endedAtMs),
      ...suffered,
      operations: countOutcomes(this.#store.records),
      acknowledgedPerSecond: Math.round(perSecond),
      longestRecoveryMs: Math.round(this.#longestRecoveryMs),
      longestStallMs: Math.round(this.#stalls.longestMs),
      violations: this.#account.violations,
      directory: this.#directory.path,
    };
  }
}
