/**
 * A run: clients write and read while one plan after the other changes the
 * members, and some are killed. In the end nothing that was acknowledged may be
 * missing, every hint must be home without a read, and the disks must agree.
 *
 * @module
 */
import { seededChance } from "../../../src/base/chance.ts";
import { connect } from "../../../src/node/connect.ts";
import { checkAcknowledgedWrites } from "../../../src/simulation/checkers/acknowledged_writes.ts";
import type {
  KvInput,
  KvOutput,
} from "../../../src/simulation/checkers/kv_history.ts";
import { checkProgress } from "../../../src/simulation/checkers/progress.ts";
import type { Violation } from "../../../src/simulation/checkers/violation.ts";
import {
  countOutcomes,
  HistoryRecorder,
} from "../../../src/simulation/history.ts";
import { awaitConvergence } from "../convergence.ts";
import { BUCKET, startKvLoad } from "../kv_load.ts";
import { ANSWER_GRACE_MS, OPERATION_MS_MAX } from "../load_clients.ts";
import { ACKNOWLEDGED_PER_SECOND_MIN, CONVERGENCE_MS_MAX } from "../nemesis.ts";
import { NEMESIS_COOKIE } from "../nemesis_cluster.ts";
import { commitOf } from "../nemesis_summary.ts";
import { pause } from "../pause.ts";
import { OwnStalls } from "../own_stalls.ts";
import { RunAccount } from "../run_account.ts";
import { recorded, type RunDirectory } from "../run_directory.ts";
import { checkStoppedCluster } from "../stopped_cluster.ts";
import { MembershipCluster } from "./membership_cluster.ts";
import {
  drawPlan,
  growAndShrink,
  leaversOf,
  MEMBERS_MAX,
  type MembershipPlan,
  type Population,
  populationAfter,
  withReturned,
} from "./membership_plan.ts";

/** Nodes there are; one more than can be members, so that there is always one to replace another. */
const NODES = MEMBERS_MAX + 1;
const CLIENTS = 6;
/** Keys that are written before anything happens and never again. */
const KEYS_BEFORE = 1_000;
/** Time hints get to be home once the cluster is at rest, in milliseconds. */
const HOME_MS_MAX = 10_000;

/** What to run. */
export interface MembershipOptions {
  readonly seed: string;
  /** Random plans after the cluster has grown to five members and shrunk to two. */
  readonly plans: number;
  /** Where the report's directory goes. */
  readonly reports: string;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What came of a run. */
export interface MembershipSummary {
  readonly passed: boolean;
  readonly seed: string;
  readonly commit: string;
  readonly plans: number;
  readonly aborted: number;
  readonly killed: number;
  readonly tookMs: number;
  /** Longest time from a commit until all of it was carried out, kills included. */
  readonly longestPlanMs: number;
  /** For how long the process of the clients did not get to run, at most. */
  readonly longestStallMs: number;
  readonly operations: { ok: number; failed: number; unknown: number };
  readonly keys: number;
  readonly violations: readonly Violation[];
  readonly directory: string;
}

/** Runs it. @throws If it was interrupted, or could not do what it wanted; nothing is left then but the report. */
export function runMembership(
  options: MembershipOptions,
): Promise<MembershipSummary> {
  return recorded(
    options,
    (directory) => new Run(options, directory).play(),
  );
}

class Run {
  readonly #options: MembershipOptions;
  readonly #directory: RunDirectory;
  readonly #account: RunAccount;
  readonly #history: HistoryRecorder<KvInput, KvOutput>;
  readonly #stalls: OwnStalls = new OwnStalls(() => this.#account.elapsedMs);
  readonly #plans: MembershipPlan[] = [];
  #longestPlanMs = 0;
  #loadMs = 0;

  constructor(options: MembershipOptions, directory: RunDirectory) {
    this.#options = options;
    this.#directory = directory;
    this.#account = new RunAccount(options, directory.log("membership"));
    this.#history = new HistoryRecorder<KvInput, KvOutput>(
      () => this.#account.elapsedMs,
      directory.history(),
    );
  }

  async play(): Promise<MembershipSummary> {
    const { seed, signal } = this.#options;
    using _ = this.#stalls.watch();
    this.#account.tell(`seed ${seed}, report in ${this.#directory.path}`);
    const names = Array.from(
      { length: NODES },
      (_, i) => `dev${i + 1}@127.0.0.1`,
    );
    await using cluster = await MembershipCluster.start({
      names,
      concurrency: 1 + seededChance(`${seed} concurrency`).below(4),
      directory: this.#directory,
      tell: this.#account.tell,
      onFall: (node, how) => this.#account.fell(node, how),
      signal,
    });
    const keys = await this.#writeBefore(cluster);
    const firstId = this.#history.records.length;
    const loadFrom = performance.now();
    const load = startKvLoad({
      seed: `${seed} load`,
      clients: CLIENTS,
      addresses: () => cluster.addresses(),
      keyName: (key) => `key/${key}`,
      quorum: "sloppy",
      history: this.#history,
    });
    try {
      await this.#change(cluster, names);
    } finally {
      await load.stop();
    }
    this.#loadMs = performance.now() - loadFrom;
    keys.push(...load.keys);
    if (this.#account.violations.length === 0) await this.#check(cluster, keys);
    return await this.#summary(cluster, keys, firstId);
  }

  /** Writes keys that are never written again, and returns them. */
  async #writeBefore(cluster: MembershipCluster): Promise<string[]> {
    const keys = Array.from({ length: KEYS_BEFORE }, (_, i) => `before/${i}`);
    await using client = await connect({
      nodes: cluster.addresses(),
      cookie: NEMESIS_COOKIE,
    });
    const queue = keys[Symbol.iterator]();
    await Promise.all(Array.from({ length: 16 }, async (_, writer) => {
      for (const key of queue) {
        const value = `${key} by w${writer}`;
        const record = this.#history.invoke(`w${writer}`, key, {
          type: "put",
          value,
        });
        const { context } = await client.kv.put(BUCKET, key, value);
        this.#history.succeed(record, { context, siblings: 1 });
      }
    }));
    return keys;
  }

  async #change(
    cluster: MembershipCluster,
    names: readonly string[],
  ): Promise<void> {
    const chance = seededChance(`${this.#options.seed} plans`);
    let population: Population = {
      members: names.slice(0, 1),
      outsiders: names.slice(1),
    };
    let leavers: string[] = [];
    const play = async (plan: MembershipPlan): Promise<void> => {
      const number = this.#plans.push(plan);
      this.#directory.write("plans.json", this.#plans);
      this.#account.tell(`plan ${number}: ${planText(plan)}`);
      const begunAt = performance.now();
      population = populationAfter(population, plan);
      await cluster.play(plan, population.members, chance.fork(`${number}`));
      if (!plan.aborted) leavers.push(...leaversOf(plan));
      if (plan.hurried) return;
      await cluster.carriedOut(leavers);
      population = withReturned(population, leavers);
      leavers = [];
      const tookMs = performance.now() - begunAt;
      this.#longestPlanMs = Math.max(this.#longestPlanMs, tookMs);
      this.#account.tell(
        `  ${population.members.length} members after ${Math.round(tookMs)} ms`,
      );
    };
    const all = growAndShrink(chance, names.slice(0, MEMBERS_MAX));
    for (const plan of all) await play(plan);
    for (let i = 0; i < this.#options.plans; i++) {
      if (this.#account.violations.length > 0) return;
      await play(drawPlan(chance, population));
    }
    await cluster.carriedOut(leavers);
  }

  async #check(
    cluster: MembershipCluster,
    keys: readonly string[],
  ): Promise<void> {
    await this.#hintsGoHome(cluster);
    const convergence = await awaitConvergence(
      cluster,
      keys,
      performance.now() + CONVERGENCE_MS_MAX,
      this.#options.signal,
    );
    if (!convergence.converged) {
      this.#account.tell(`NOT one again: ${convergence.difference}`);
      this.#account.violations.push({
        check: "convergence",
        message:
          `Not converged after ${CONVERGENCE_MS_MAX} ms: ${convergence.difference}`,
      });
      return;
    }
    this.#account.violations.push(
      ...checkAcknowledgedWrites(this.#history.records, convergence.reads),
    );
    this.#account.tell(
      `${keys.length} keys read through ${cluster.nodes.length} members: ${
        this.#account.violations.length === 0
          ? "nothing lost"
          : `${this.#account.violations.length} VIOLATIONS`
      }`,
    );
    if (this.#account.violations.length > 0) return;
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    this.#account.violations.push(
      ...await checkStoppedCluster(cluster.nodes, keys),
    );
  }

  /** What fallbacks and former owners have goes to whom it belongs to, though nobody reads it. */
  async #hintsGoHome(cluster: MembershipCluster): Promise<void> {
    const deadline = performance.now() + HOME_MS_MAX;
    for (;;) {
      const strays = await cluster.strays();
      if (strays.length === 0) return;
      if (performance.now() > deadline) {
        this.#account.violations.push({
          check: "hints_home",
          message: `Still after ${HOME_MS_MAX} ms: ${strays.join(", ")}`,
        });
        return;
      }
      await pause(50, this.#options.signal);
    }
  }

  async #summary(
    cluster: MembershipCluster,
    keys: readonly string[],
    firstId: number,
  ): Promise<MembershipSummary> {
    const endedAtMs = this.#account.elapsedMs;
    const loaded = this.#history.records.slice(firstId);
    this.#account.violations.push(
      ...this.#stalls.violations(),
      ...checkProgress(loaded, {
        acknowledgedMin: Math.round(
          ACKNOWLEDGED_PER_SECOND_MIN * this.#loadMs / 1000,
        ),
        timeoutMs: this.#stalls.allowed(OPERATION_MS_MAX, endedAtMs),
        graceMs: ANSWER_GRACE_MS,
        endedAtMs,
      }),
    );
    return {
      passed: this.#account.violations.length === 0,
      seed: this.#options.seed,
      commit: await commitOf(),
      plans: this.#plans.length,
      aborted: this.#plans.filter(({ aborted }) => aborted).length,
      killed: cluster.killed,
      tookMs: Math.round(endedAtMs),
      longestPlanMs: Math.round(this.#longestPlanMs),
      longestStallMs: Math.round(this.#stalls.longestMs),
      operations: countOutcomes(loaded),
      keys: keys.length,
      violations: this.#account.violations,
      directory: this.#directory.path,
    };
  }
}

function planText(plan: MembershipPlan): string {
  const short = (name: string): string => name.split("@")[0] as string;
  const words = [
    ...plan.joins.map((name) => `${short(name)} joins`),
    ...plan.leaves.map((name) => `${short(name)} leaves`),
    ...plan.replaces.map(([name, by]) =>
      `${short(by)} replaces ${short(name)}`
    ),
    ...plan.kills.map(({ node, afterMs }) =>
      `${short(node)} killed ${afterMs} ms later`
    ),
    ...(plan.aborted ? ["taken back"] : []),
    ...(plan.hurried ? ["not waited for"] : []),
  ];
  return words.join(", ");
}

/** What a run came to, for people. */
export function membershipText(summary: MembershipSummary): string {
  const { operations, violations } = summary;
  const { ok, failed, unknown } = operations;
  const again = `--seed ${summary.seed} --plans ${summary.plans}`;
  return [
    "",
    `  plans               ${summary.plans}, ${summary.aborted} of them taken back`,
    `  SIGKILLs            ${summary.killed}`,
    `  longest plan        ${summary.longestPlanMs} ms`,
    `  operations          ${ok} ok, ${failed} failed, ${unknown} unknown`,
    `  keys                ${summary.keys}`,
    `  own stalls          ${summary.longestStallMs} ms at the longest`,
    `  took                ${Math.round(summary.tookMs / 1000)} s`,
    "",
    ...violations.slice(0, 10).map(({ check, message }) =>
      `  ${check}: ${message}`
    ),
    `${summary.passed ? "PASSED" : "FAILED"}  ${again}, ${
      summary.passed ? "summary" : "report"
    } in ${summary.directory}`,
  ].join("\n");
}
