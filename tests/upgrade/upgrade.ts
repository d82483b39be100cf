/**
 * An upgrade of a cluster of real processes under load: from an earlier version
 * to the present one node by node, back, and forward again, on the same data
 * directories. Then a further node joins, which only the present version can
 * serve with data.
 *
 *     earlier ─ forward ─► present ─ back ─► earlier ─ forward ─► present ─► a join
 *        load ────────────────────────────────────────────────────────────────┘
 *
 * After each step all that was stored before must be there, through every node;
 * in the end the history of the load is judged.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../src/base/errors.ts";
import { checkAcknowledgedWrites } from "../../src/simulation/checkers/acknowledged_writes.ts";
import type {
  KvInput,
  KvOutput,
  KvRead,
} from "../../src/simulation/checkers/kv_history.ts";
import { checkProgress } from "../../src/simulation/checkers/progress.ts";
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import {
  countOutcomes,
  HistoryRecorder,
} from "../../src/simulation/history.ts";
import { BUCKET, startKvLoad } from "../nemesis/kv_load.ts";
import { ANSWER_GRACE_MS, OPERATION_MS_MAX } from "../nemesis/load_clients.ts";
import { OwnStalls } from "../nemesis/own_stalls.ts";
import { NEMESIS_COOKIE } from "../nemesis/nemesis_cluster.ts";
import type { EarlierTree } from "./earlier_tree.ts";
import { type Version, VersionedNode } from "./versioned_node.ts";

/** What to run. */
export interface UpgradeOptions {
  readonly tree: EarlierTree;
  /** Keys that are stored before the first step. */
  readonly keys: number;
  /** Time the load goes on after each step, in milliseconds. */
  readonly restMs: number;
  /** Whether some nodes are killed instead of stopped. */
  readonly kills: boolean;
  /** Takes each line that says what happens. */
  readonly tell: (line: string) => void;
}

/** What came of it. */
export interface UpgradeSummary {
  readonly violations: readonly Violation[];
  readonly operations: ReturnType<typeof countOutcomes>;
  /** Times a node was started with another version. */
  readonly steps: number;
}

const NODES = 3;
const RING_SIZE = 16;
const READS_AT_ONCE = 16;
/** Time a cluster gets to be at rest, a capability to change, and replicas to agree. */
const PATIENCE_MS = 20_000;
const LOOK_AGAIN_MS = 50;
/** Acknowledged operations in the whole run below which it means nothing. */
const ACKNOWLEDGED_MIN = 500;
/** A bucket apart from the load's: its keys are written once. */
const STORED = "stored";

/** Runs it. @throws {Error} What went wrong, with the logs of all nodes. */
export async function runUpgrade(
  options: UpgradeOptions,
): Promise<UpgradeSummary> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-upgrade-" });
  await using run = new UpgradeRun(options, folder);
  return await run.play();
}

class UpgradeRun implements AsyncDisposable {
  readonly #options: UpgradeOptions;
  readonly #folder: string;
  readonly #nodes: VersionedNode[];
  readonly #startedAt = performance.now();
  readonly #history = new HistoryRecorder<KvInput, KvOutput>(() => this.#now());
  readonly #stalls: OwnStalls = new OwnStalls(() => this.#now());
  #steps = 0;

  constructor(options: UpgradeOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#nodes = Array.from({ length: NODES }, (_, i) => this.#node(i));
  }

  #node(index: number): VersionedNode {
    const name = `dev${index + 1}`;
    return new VersionedNode({
      name: `${name}@127.0.0.1`,
      cookie: NEMESIS_COOKIE,
      storage: "deno_kv",
      ringSize: RING_SIZE,
      dataDirectory: `${this.#folder}/${name}`,
    }, this.#options.tree.nodeScript);
  }

  #now(): number {
    return Math.round((performance.now() - this.#startedAt) * 1000) / 1000;
  }

  #tell(text: string): void {
    const seconds = (this.#now() / 1000).toFixed(1).padStart(6);
    this.#options.tell(`${seconds} s  ${text}`);
  }

  async play(): Promise<UpgradeSummary> {
    try {
      return await this.#play();
    } catch (error) {
      const logs = this.#nodes.map((node) => node.log()).join("\n");
      throw new Error(`${reasonOf(error)}\n${logs}`, { cause: error });
    }
  }

  async #play(): Promise<UpgradeSummary> {
    using _ = this.#stalls.watch();
    await this.#form();
    await this.#store();
    const load = startKvLoad({
      seed: "upgrade",
      clients: 2 * NODES,
      addresses: this.#nodes.map(({ address }) => address),
      keyName: (key) => `load/${key}`,
      quorum: "strict",
      history: this.#history,
    });
    try {
      await this.#forwardWithQuestions();
      await this.#back();
      await this.#forward();
      await this.#grow();
    } finally {
      await load.stop();
    }
    return await this.#judge(load.keys);
  }

  /** A cluster of the earlier version. */
  async #form(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.start("earlier")));
    const [first, ...others] = this.#three;
    for (const node of others) await node.control.join(first.address);
    const { planId } = await first.control.plan();
    await first.control.commit(planId);
    await this.#settled();
    this.#tell("three nodes of the earlier version are a cluster");
  }

  get #three(): [VersionedNode, VersionedNode, VersionedNode] {
    return this.#nodes as [VersionedNode, VersionedNode, VersionedNode];
  }

  async #store(): Promise<void> {
    const { kv } = this.#three[0];
    await eachAtOnce(this.#options.keys, async (key) => {
      await kv.put(STORED, `${key}`, { key, text: "ä".repeat(key % 200) });
    });
    this.#tell(`${this.#options.keys} keys are stored`);
  }

  // The steps.

  /** Every state a cluster on its way can be in, and what it answers in it. */
  async #forwardWithQuestions(): Promise<void> {
    const [first, second, third] = this.#three;
    await this.#change(second, "present");
    await this.#modeIs("none");
    // The claimant is of the earlier version, and would take this for garbage.
    await this.#refused("not_capable", () => second.control.leave());
    await this.#planWithGuest("handoff_required", "not_capable");
    await this.#change(first, "present");
    await this.#modeIs("none");
    await this.#refused("not_capable", () => first.control.leave(third.name));
    await this.#planWithGuest("not_capable");
    await this.#hintsWait();
    await this.#change(third, "present");
    await this.#modeIs("v1");
    await this.#hintsGoHome();
  }

  async #back(): Promise<void> {
    const { kills } = this.#options;
    for (const node of this.#nodes) {
      await this.#change(node, "earlier", kills && node === this.#three[1]);
      await this.#modeIs("none");
    }
  }

  async #forward(): Promise<void> {
    const { kills } = this.#options;
    for (const node of this.#nodes.toReversed()) {
      await this.#change(node, "present", kills && node === this.#three[1]);
    }
    await this.#modeIs("v1");
  }

  /** Stops `node` and starts it as `version`. */
  async #change(
    node: VersionedNode,
    version: Version,
    kill = false,
  ): Promise<void> {
    await (kill ? node.kill() : node.stop());
    await node.start(version);
    this.#steps++;
    await this.#settled();
    await this.#checkStored();
    await pause(this.#options.restMs);
    const versions = this.#nodes.map(({ version }) => version).join(", ");
    this.#tell(`${node.name} was ${kill ? "killed" : "stopped"}: ${versions}`);
  }

  /** A node of the present version asks in; the plan cannot be carried out yet, and is cleared. */
  async #planWithGuest(...codes: string[]): Promise<void> {
    const [first] = this.#three;
    await using guest = this.#node(NODES + 1);
    await guest.start("present");
    await guest.control.join(first.address);
    const { planId, changes } = await first.control.plan();
    if (changes.length !== 1) throw new Error("The guest is not in the plan");
    await this.#refused(codes, () => first.control.commit(planId));
    const { nodes } = await first.control.clear();
    if (nodes[0] !== guest.name) throw new Error("The guest was not cleared");
    await this.#until("the guest is let go", async () => {
      const { members } = await guest.control.clusterStatus();
      return members.length === 1;
    });
    await this.#settled();
    await Deno.remove(`${this.#folder}/dev${NODES + 2}`, { recursive: true })
      .catch(() => {});
  }

  /** What fallbacks took for a node of the earlier version stays with them, and they say why. */
  async #hintsWait(): Promise<void> {
    const [first, second, third] = this.#three;
    await third.stop();
    await eachAtOnce(32, async (key) => {
      await first.kv.put("hinted", `${key}`, key);
    });
    await third.start("earlier");
    await this.#settled();
    await this.#until("transfers wait for an upgrade", async () => {
      const waiting = await this.#waiting([first, second]);
      const reason = `${third.name} runs a version that takes no transfers`;
      return waiting.length > 0 &&
        waiting.every((transfer) =>
          transfer.state === "waiting" && transfer.reason === reason
        );
    });
    this.#tell("hints wait for the node of the earlier version");
  }

  async #hintsGoHome(): Promise<void> {
    await this.#until(
      "hints are home",
      async () => (await this.#waiting(this.#nodes)).length === 0,
    );
    this.#tell("hints are home");
  }

  async #waiting(nodes: readonly VersionedNode[]) {
    return (await Promise.all(nodes.map(({ control }) => control.transfers())))
      .flat();
  }

  /** What only the present version can do. */
  async #grow(): Promise<void> {
    const [first] = this.#three;
    const node = this.#node(NODES);
    this.#nodes.push(node);
    await node.start("present");
    await node.control.join(first.address);
    const { planId } = await first.control.plan();
    await first.control.commit(planId);
    await this.#settled();
    await this.#checkStored();
    this.#tell("a fourth node has joined, and data has moved to it");
  }

  // The questions.

  async #settled(): Promise<void> {
    const running = this.#nodes.filter((node) => node.running);
    const settled = await Promise.all(
      running.map(({ control }) => control.settled(PATIENCE_MS)),
    );
    const not = running.filter((_, i) => !settled[i]);
    if (not.length === 0) return;
    const status = await not[0]!.control.ringStatus();
    throw new Error(
      `${not.map(({ name }) => name).join(", ")} did not settle: ${
        JSON.stringify(status)
      }`,
    );
  }

  /** Waits until `handoff` has that mode on all nodes of the present version. */
  async #modeIs(mode: string): Promise<void> {
    const present = this.#nodes.filter(({ version }) => version === "present");
    await this.#until(`handoff is ${mode} on all`, async () => {
      const modes = await Promise.all(
        present.map(({ control }) => control.capability("handoff")),
      );
      return modes.every((each) => each === mode);
    });
  }

  /** Everything that was stored before is there, through every node. */
  async #checkStored(): Promise<void> {
    for (const { kv, name } of this.#nodes) {
      await eachAtOnce(this.#options.keys, async (key) => {
        const { value } = await kv.get(STORED, `${key}`);
        const text = "ä".repeat(key % 200);
        if (JSON.stringify(value) === JSON.stringify({ key, text })) return;
        throw new Error(`${name} reads ${JSON.stringify(value)} of key ${key}`);
      });
    }
  }

  async #refused(
    codes: string | readonly string[],
    work: () => Promise<unknown>,
  ): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isWhorlError(error) && [codes].flat().includes(error.code)) {
        return this.#tell(`refused: ${error.message} (${error.code})`);
      }
      throw error;
    }
    throw new Error(`Expected ${codes}, and it was done`);
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!await holds()) {
      if (performance.now() > deadline) {
        throw new Error(`It did not come to pass that ${what}`);
      }
      await pause(LOOK_AGAIN_MS);
    }
  }

  /** Reads every key of the load from all replicas through all nodes until they agree, and judges the history. */
  async #judge(keys: readonly string[]): Promise<UpgradeSummary> {
    let reads = new Map<string, KvRead>();
    await this.#until("all nodes read the same", async () => {
      const views = [];
      for (const node of this.#nodes) views.push(await readAll(node, keys));
      reads = views[0] as Map<string, KvRead>;
      return new Set(views.map(viewText)).size === 1;
    });
    const { records } = this.#history;
    const endedAtMs = this.#now();
    const violations = [
      ...this.#stalls.violations(),
      ...checkAcknowledgedWrites(records, reads, {
        readsSeeAcknowledged: true,
      }),
      ...checkProgress(records, {
        acknowledgedMin: ACKNOWLEDGED_MIN,
        timeoutMs: this.#stalls.allowed(OPERATION_MS_MAX, endedAtMs),
        graceMs: ANSWER_GRACE_MS,
        endedAtMs,
      }),
    ];
    const operations = countOutcomes(records);
    this.#tell(
      `${operations.ok} operations ok, ${operations.failed} failed, ${operations.unknown} unknown; ${violations.length} violations; own stalls ${
        Math.round(this.#stalls.longestMs)
      } ms at the longest`,
    );
    return { violations, operations, steps: this.#steps };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function readAll(
  { kv }: VersionedNode,
  keys: readonly string[],
): Promise<Map<string, KvRead>> {
  const reads = new Map<string, KvRead>();
  await eachAtOnce(keys.length, async (place) => {
    const key = keys[place] as string;
    const { values, context } = await kv.get(BUCKET, key, {
      r: "all",
      quorum: "strict",
    });
    reads.set(key, { values, context });
  });
  return reads;
}

function viewText(reads: ReadonlyMap<string, KvRead>): string {
  return JSON.stringify(
    [...reads].map(([key, { values, context }]) => [
      key,
      values.map((value) => JSON.stringify(value)).sort(),
      context,
    ]).sort(),
  );
}

/** Does `work` for the numbers from 0 to `count` - 1, some at a time. */
async function eachAtOnce(
  count: number,
  work: (number: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: READS_AT_ONCE }, async () => {
    while (next < count) await work(next++);
  }));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
