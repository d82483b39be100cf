/**
 * A mix on real processes: the operations of ra's `ra_kv_harness` one after the
 * other, and a reader that never rests. After every hundred the faults that are
 * on come to their end, and all members must become equal; in the end every key
 * is read from every member, also once all nodes were restarted.
 *
 *     100 operations ─ faults over ─ members equal ≤ 30 s ─ history judged ─ next 100
 *
 * @module
 */
import { seededChance } from "../../../src/base/chance.ts";
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import { connect } from "../../../src/node/connect.ts";
import { checkProgress } from "../../../src/simulation/checkers/progress.ts";
import type { RaKvOutput } from "../../../src/simulation/checkers/ra_kv_model.ts";
import type { Violation } from "../../../src/simulation/checkers/violation.ts";
import {
  countOutcomes,
  HistoryRecorder,
} from "../../../src/simulation/history.ts";
import { ANSWER_GRACE_MS, OPERATION_MS_MAX } from "../load_clients.ts";
import { CONVERGENCE_MS_MAX } from "../nemesis.ts";
import { NEMESIS_COOKIE, NemesisCluster } from "../nemesis_cluster.ts";
import { commitOf } from "../nemesis_summary.ts";
import { pause } from "../pause.ts";
import { OwnStalls } from "../own_stalls.ts";
import { RunAccount } from "../run_account.ts";
import { recorded, type RunDirectory } from "../run_directory.ts";
import { shortName } from "../short_name.ts";
import { awaitAgreement } from "./member_agreement.ts";
import {
  drawMixOperation,
  MIX_KEYS,
  MIX_KINDS,
  type MixKind,
  type MixOperation,
} from "./mix_plan.ts";
import { type MixCount, MixPlay } from "./mix_play.ts";
import {
  GROUP,
  type RaKvAsked,
  type RaKvHistory,
  type Seen,
} from "./ra_kv_load.ts";
import { judgeKeys } from "./ra_kv_store.ts";

/** Operations after which all members must become equal. */
export const CONVERGE_EVERY = 100;
/** Time from one read of the reader to the next, in milliseconds. */
const READ_PACE_MS = 10;
/** Time that a reader which finds no node waits, in milliseconds. */
const LOOK_AGAIN_MS = 100;
/** Of the puts and gets, below which a run means nothing. */
const ACKNOWLEDGED_SHARE_MIN = 0.5;

/** What to run. */
export interface MixOptions {
  readonly seed: string;
  /** From 1 to 7. */
  readonly nodes: number;
  readonly operations: number;
  /** Longest time of a partition, in milliseconds; the shortest is a thirtieth of it. */
  readonly partitionMsMax: number;
  /** Where the report's directory goes. */
  readonly reports: string;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What came of a run. */
export interface MixSummary {
  readonly passed: boolean;
  readonly seed: string;
  readonly commit: string;
  readonly nodes: number;
  readonly operations: number;
  readonly partitionMsMax: number;
  readonly tookMs: number;
  readonly kinds: Readonly<Record<MixKind, MixCount>>;
  /** All that was recorded, of the reader as well. */
  readonly outcomes: { ok: number; failed: number; unknown: number };
  /** How often members became equal. */
  readonly agreements: number;
  readonly longestAgreementMs: number;
  /** For how long the process of the clients did not get to run, at most. */
  readonly longestStallMs: number;
  readonly violations: readonly Violation[];
  readonly directory: string;
}

/** Runs it. @throws If it was interrupted, or could not do what it wanted; nothing is left then but the report. */
export function runMix(options: MixOptions): Promise<MixSummary> {
  return recorded(
    options,
    (directory) => new Run(options, directory).play(),
  );
}

class Run {
  readonly #options: MixOptions;
  readonly #directory: RunDirectory;
  readonly #account: RunAccount;
  readonly #history: RaKvHistory;
  readonly #stalls: OwnStalls = new OwnStalls(() => this.#account.elapsedMs);
  readonly #settled = new Map<string, Seen>();
  readonly #played: (MixOperation & { readonly atMs: number })[] = [];
  #agreements = 0;
  #longestAgreementMs = 0;

  constructor(options: MixOptions, directory: RunDirectory) {
    this.#options = options;
    this.#directory = directory;
    this.#account = new RunAccount(options, directory.log("mix"));
    this.#history = new HistoryRecorder<RaKvAsked, RaKvOutput>(
      () => this.#account.elapsedMs,
      directory.history(),
    );
  }

  async play(): Promise<MixSummary> {
    const { seed, nodes, partitionMsMax, signal } = this.#options;
    using _ = this.#stalls.watch();
    this.#account.tell(`seed ${seed}, report in ${this.#directory.path}`);
    const chance = seededChance(`${seed} mix`);
    await using cluster = await NemesisCluster.start({
      nodes,
      storage: "memory",
      // Neither disks nor packets are harmed.
      machine: { library: { missing: "of no use" }, namespaces: "of no use" },
      namespaces: false,
      directory: this.#directory,
      chance: chance.fork("network"),
      tell: this.#account.tell,
      onFall: (node, how) => this.#account.fell(node, how),
    });
    const members = cluster.nodes.slice(0, 1 + chance.below(nodes));
    const names = members.map(({ name }) => name);
    this.#account.tell(
      `${nodes} nodes, members: ${names.map(shortName).join(", ")}`,
    );
    const { raKv } = await cluster.nodes[0]!.client();
    await raKv.startCluster(GROUP, names);
    const mix = new MixPlay({
      cluster,
      members,
      history: this.#history,
      partitionMsMax,
      tell: this.#account.tell,
      signal,
    });
    const reading = new AbortController();
    const reader = this.#readOn(cluster, mix, reading.signal);
    try {
      // A reader that fails otherwise than `ra_kv` does ends the run.
      await Promise.race([this.#playAll(mix), reader]);
    } finally {
      reading.abort();
      await reader;
    }
    if (this.#account.violations.length === 0) {
      await this.#restartAll(cluster, mix);
    }
    return await this.#summary(mix);
  }

  /** Performs all operations, and has members become equal after each hundred. */
  async #playAll(mix: MixPlay): Promise<void> {
    const { seed, operations, signal } = this.#options;
    const chance = seededChance(`${seed} operations`);
    for (let number = 1; number <= operations; number++) {
      signal.throwIfAborted();
      const operation = drawMixOperation(chance);
      this.#played.push({ ...operation, atMs: this.#account.elapsedMs });
      const words = `${number}: ${await mix.play(operation)}`;
      if (operation.kind === "put" || operation.kind === "get") {
        this.#account.note(words);
      } else this.#account.tell(words);
      if (number % CONVERGE_EVERY > 0 && number < operations) continue;
      this.#directory.write("operations.json", this.#played);
      await mix.allOver();
      await this.#agree(mix);
      if (this.#account.violations.length > 0) return;
    }
  }

  /** Reads one key after the other, wherever it is answered. */
  async #readOn(
    cluster: NemesisCluster,
    mix: MixPlay,
    signal: AbortSignal,
  ): Promise<void> {
    const chance = seededChance(`${this.#options.seed} reader`);
    await using client = await connect({
      nodes: cluster.nodes.map(({ address }) => address),
      cookie: NEMESIS_COOKIE,
    });
    while (!signal.aborted && !this.#options.signal.aborted) {
      const key = chance.pick(MIX_KEYS);
      const from = chance.chance(0.5) ? "local" : "leader";
      let restMs = READ_PACE_MS;
      try {
        await mix.operate("reader", client.raKv, key, { type: "get", from });
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        restMs = LOOK_AGAIN_MS;
      }
      await pause(restMs, signal).catch(() => {});
    }
  }

  /** Waits until the members are equal and nothing of others is left, and judges what clients saw. */
  async #agree(mix: MixPlay): Promise<void> {
    const begunAt = performance.now();
    const deadline = begunAt + CONVERGENCE_MS_MAX;
    const agreed = await awaitAgreement({
      members: () => mix.membersNow(),
      keys: MIX_KEYS,
      settled: this.#settled,
      history: this.#history,
      deadline,
      signal: this.#options.signal,
    });
    if (typeof agreed === "string") {
      return this.#disagree("members are not equal", agreed);
    }
    const left = await this.#awaitNothingLeft(mix, deadline);
    if (left !== undefined) {
      return this.#disagree("what was removed is still there", left);
    }
    const tookMs = performance.now() - begunAt;
    this.#agreements++;
    this.#longestAgreementMs = Math.max(this.#longestAgreementMs, tookMs);
    const found = judgeKeys(this.#history.records, agreed.changed);
    this.#account.violations.push(...found);
    this.#account.tell(
      `members equal in ${Math.round(tookMs)} ms, ${
        found.length === 0 ? "nothing lost" : `${found.length} VIOLATIONS`
      }`,
    );
  }

  #disagree(what: string, difference: string): void {
    this.#account.tell(`NOT one again: ${what}: ${difference}`);
    this.#account.violations.push({
      check: "convergence",
      message:
        `After ${CONVERGENCE_MS_MAX} ms without faults ${what}: ${difference}`,
    });
  }

  /** Waits until no node has a member but those that should; returns who still has one. */
  async #awaitNothingLeft(
    mix: MixPlay,
    deadline: number,
  ): Promise<string | undefined> {
    for (;;) {
      let found = "nobody answered";
      try {
        const members = await mix.membersNow();
        const { raKv } = await mix.clientOfAny();
        const { clusters, failures } = await raKv.clusters();
        const have = clusters.find(({ cluster }) => cluster === GROUP)?.nodes;
        const should = members.map(({ name }) => name).sort().join();
        found = `${have?.toSorted().join()}, and should ${should}`;
        if (failures.length === 0 && have?.toSorted().join() === should) {
          return undefined;
        }
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        found = `${error.code}: ${reasonOf(error)}`;
      }
      if (performance.now() > deadline) return found;
      await pause(LOOK_AGAIN_MS, this.#options.signal);
    }
  }

  async #restartAll(cluster: NemesisCluster, mix: MixPlay): Promise<void> {
    this.#account.tell("stopping all nodes and starting them again");
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    await Promise.all(cluster.nodes.map((node) => node.start()));
    await this.#agree(mix);
    await Promise.all(cluster.nodes.map((node) => node.stop()));
  }

  async #summary(mix: MixPlay): Promise<MixSummary> {
    const { seed, nodes, operations, partitionMsMax } = this.#options;
    const { records } = this.#history;
    const { put, get } = mix.counts;
    const endedAtMs = this.#account.elapsedMs;
    this.#account.violations.push(
      ...this.#stalls.violations(),
      ...checkProgress(records.filter(({ client }) => client === "mix"), {
        acknowledgedMin: Math.round(
          ACKNOWLEDGED_SHARE_MIN *
            (put.done + put.failed + get.done + get.failed),
        ),
        timeoutMs: this.#stalls.allowed(OPERATION_MS_MAX, endedAtMs),
        graceMs: ANSWER_GRACE_MS,
        endedAtMs,
      }),
    );
    return {
      passed: this.#account.violations.length === 0,
      seed,
      commit: await commitOf(),
      nodes,
      operations,
      partitionMsMax,
      tookMs: Math.round(this.#account.elapsedMs),
      kinds: mix.counts,
      outcomes: countOutcomes(records),
      agreements: this.#agreements,
      longestAgreementMs: Math.round(this.#longestAgreementMs),
      longestStallMs: Math.round(this.#stalls.longestMs),
      violations: this.#account.violations,
      directory: this.#directory.path,
    };
  }
}

/** What a run came to, for people. */
export function mixText(summary: MixSummary): string {
  const { kinds, outcomes: { ok, failed, unknown }, violations } = summary;
  const again =
    `--seed ${summary.seed} --nodes ${summary.nodes} --operations ${summary.operations} --partition-seconds ${
      summary.partitionMsMax / 1000
    }`;
  return [
    "",
    "  operation           done    not",
    ...MIX_KINDS.map((kind) =>
      `  ${kind.padEnd(16)}${String(kinds[kind].done).padStart(8)}${
        String(kinds[kind].failed).padStart(7)
      }`
    ),
    "",
    `  with the reader's   ${ok} ok, ${failed} failed, ${unknown} unknown`,
    `  members equal       ${summary.agreements} times, after ${summary.longestAgreementMs} ms at the longest`,
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
