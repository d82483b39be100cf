/**
 * Node processes with stores on disk that join a cluster, leave it, take each
 * other's place, are killed and started again, and come back as fresh ones.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";
import {
  isWhorlError,
  reasonOf,
  WhorlError,
} from "../../../src/base/errors.ts";
import type { Address } from "../../../src/environment/transport.ts";
import { ProcessNode } from "../../harness/process_node.ts";
import { NEMESIS_COOKIE } from "../nemesis_cluster.ts";
import { pause } from "../pause.ts";
import type { RunDirectory } from "../run_directory.ts";
import type { MembershipPlan, PlannedKill } from "./membership_plan.ts";
import { leaversOf } from "./membership_plan.ts";

const RING_SIZE = 16;
/** How long a step may take before the run fails, in milliseconds. */
const STEP_MS_MAX = 60_000;
const LOOK_AGAIN_MS = 50;
/** How long a node that has left and is alone may take to end, in milliseconds; one that does not has been started again since. */
const ALONE_MS = 3_000;

/** What a cluster is made of. */
export interface MembershipClusterOptions {
  readonly names: readonly string[];
  /** Transfers at once at each node; few make them last longer. */
  readonly concurrency: number;
  readonly directory: RunDirectory;
  readonly tell: (text: string) => void;
  /** Told of a node that has ended by itself without having left, or not as it should. */
  readonly onFall: (node: string, how: string) => void;
  readonly signal: AbortSignal;
}

/** A node that may be a member or not. */
class ChangingNode {
  readonly name: string;
  readonly dataDirectory: string;
  readonly process: ProcessNode;
  /** Whether it may end by itself. */
  leaving = false;
  /** Whether the end of its process is our doing. */
  #killed = false;
  #onFall: MembershipClusterOptions["onFall"];

  constructor(
    name: string,
    { concurrency, directory, onFall }: MembershipClusterOptions,
  ) {
    const short = name.split("@")[0] as string;
    this.name = name;
    this.dataDirectory = `${directory.path}/data/${short}`;
    this.#onFall = onFall;
    this.process = new ProcessNode({
      name,
      cookie: NEMESIS_COOKIE,
      storage: "deno_kv",
      ringSize: RING_SIZE,
      handoffConcurrency: concurrency,
      dataDirectory: this.dataDirectory,
    }, {
      onStart: (pid) => directory.claimProcess(pid),
      onLine: directory.log(short),
    });
  }

  get control() {
    return this.process.control;
  }

  get kv() {
    return this.process.kv;
  }

  get running(): boolean {
    return this.process.running;
  }

  /** Starts it where it was, so that members find it, or as a fresh one, which clients of its former life must not find. */
  async start(fresh: boolean): Promise<void> {
    this.#killed = false;
    await this.process.start(fresh ? { listen: "127.0.0.1:0" } : {});
    if (!this.running) return;
    void this.process.ended().then(({ code, signal }) => {
      if (this.#killed || (code === 0 && this.leaving)) return;
      this.#onFall(this.name, `${signal ?? code}`);
    });
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#killed = true;
    await this.process.kill();
  }

  /** In order. */
  async stop(): Promise<void> {
    this.leaving = true;
    await this.process.stop();
  }
}

/** See the module comment. Disposing ends its processes. */
export class MembershipCluster implements AsyncDisposable {
  readonly #options: MembershipClusterOptions;
  readonly #nodes: ReadonlyMap<string, ChangingNode>;
  #members: readonly string[];
  readonly #kills = new Set<Promise<void>>();
  killed = 0;

  private constructor(options: MembershipClusterOptions) {
    this.#options = options;
    this.#nodes = new Map(
      options.names.map((name) => [name, new ChangingNode(name, options)]),
    );
    this.#members = options.names.slice(0, 1);
  }

  /** A cluster of the first of its nodes. */
  static async start(
    options: MembershipClusterOptions,
  ): Promise<MembershipCluster> {
    const cluster = new MembershipCluster(options);
    try {
      await cluster.nodes[0]!.start(true);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The members, as they are to be. */
  get nodes(): readonly ChangingNode[] {
    return this.#members.map((name) => this.#node(name));
  }

  /** Where members listen that run. */
  addresses(): Address[] {
    return this.nodes.filter(({ running }) => running)
      .map(({ process }) => process.address);
  }

  #node(name: string): ChangingNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new RangeError(`There is no node ${name}`);
    return node;
  }

  /** Stages `plan` and commits it or takes it back; kills begin with the commit. Resolves before all of it is carried out. */
  async play(
    plan: MembershipPlan,
    members: readonly string[],
    chance: Chance,
  ): Promise<void> {
    const coming = [...plan.joins, ...plan.replaces.map(([, by]) => by)];
    const starting = coming.map((name) => this.#node(name))
      .filter(({ running }) => !running);
    for (const node of starting) {
      node.leaving = false;
      await node.start(true);
    }
    for (const name of coming) {
      const joining = this.#node(name);
      await this.#untilDone(`${name} joins`, async () => {
        const { members } = await joining.control.clusterStatus();
        if (members.length > 1) return;
        await joining.control.join(this.#anybody(chance).process.address);
      });
    }
    const ask = (): ChangingNode => this.#anybody(chance);
    for (const name of plan.leaves) {
      await this.#stage(`${name} leaves`, () => ask().control.leave(name));
    }
    for (const [name, by] of plan.replaces) {
      await this.#stage(
        `${by} replaces ${name}`,
        () => ask().control.replace(name, by),
      );
    }
    if (plan.aborted) {
      await this.#untilDone("what was staged is taken back", async () => {
        await ask().control.clear();
      });
      for (const name of coming) await this.#untilAlone(this.#node(name));
      return;
    }
    for (const name of leaversOf(plan)) this.#node(name).leaving = true;
    await this.#untilDone("a plan is committed", async () => {
      const { planId, changes } = await ask().control.plan();
      // A commit of which nothing was heard has been done.
      if (changes.length > 0) await ask().control.commit(planId);
    });
    this.#members = members;
    for (const kill of plan.kills) {
      const killing = this.#kill(kill).finally(() =>
        this.#kills.delete(killing)
      );
      this.#kills.add(killing);
    }
  }

  async #stage(what: string, stage: () => Promise<unknown>): Promise<void> {
    await this.#untilDone(what, async () => {
      try {
        await stage();
      } catch (error) {
        // It was staged by a question of which nothing was heard.
        if (
          !isWhorlError(error, "already_leaving") &&
          !isWhorlError(error, "already_replacement")
        ) throw error;
      }
    });
  }

  /** Tries until it works; members may be down for a while. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    const { signal, tell } = this.#options;
    const deadline = performance.now() + STEP_MS_MAX;
    for (let tries = 1;; tries++) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (performance.now() > deadline) {
          throw new Error(`Not within ${STEP_MS_MAX} ms: ${what}`, {
            cause: error,
          });
        }
        if (tries === 1) {
          tell(
            `    not yet: ${what}: ${
              error instanceof WhorlError ? `${error.code}: ` : ""
            }${reasonOf(error)}`,
          );
        }
        await pause(LOOK_AGAIN_MS, signal);
      }
    }
  }

  #anybody(chance: Chance): ChangingNode {
    const up = this.nodes.filter(({ running, leaving }) => running && !leaving);
    const all = up.length > 0 ? up : this.nodes.filter((node) => node.running);
    if (all.length === 0) throw new Error("No member runs");
    return chance.pick(all);
  }

  async #kill({ node: name, afterMs, downMs }: PlannedKill): Promise<void> {
    const { signal, tell } = this.#options;
    const node = this.#node(name);
    await pause(afterMs, signal);
    if (!node.running) return;
    tell(`    SIGKILL: ${name}`);
    this.killed++;
    await node.kill();
    await pause(downMs, signal);
    await node.start(false);
  }

  /** Waits until all kills are over, members agree that they are the members and nothing moves, and `leavers` have gone. */
  async carriedOut(leavers: readonly string[]): Promise<void> {
    await Promise.all(this.#kills);
    const expected = JSON.stringify(this.#members.toSorted());
    await this.#untilDone(`the members are ${expected}`, async () => {
      await this.settled(5_000);
      for (const { name, control } of this.nodes) {
        const { nodes } = await control.ringStatus();
        const found = JSON.stringify(nodes.toSorted());
        if (found !== expected) throw new Error(`${name} says ${found}`);
      }
    });
    for (const name of leavers) await this.#gone(this.#node(name));
  }

  /** Waits until `leaver` has ended by itself; one that was killed on its way out and knows of no others any more is ended. */
  async #gone(leaver: ChangingNode): Promise<void> {
    let aloneSince: number | undefined;
    await this.#untilDone(`${leaver.name} has gone`, async () => {
      if (!leaver.running) return;
      const { members } = await leaver.control.clusterStatus();
      if (members.length > 1) throw new Error("it still runs");
      aloneSince ??= performance.now();
      if (performance.now() - aloneSince < ALONE_MS) {
        throw new Error("it is alone");
      }
      await leaver.kill();
    });
  }

  async #untilAlone({ name, control }: ChangingNode): Promise<void> {
    await this.#untilDone(`${name} is let go`, async () => {
      const { members } = await control.clusterStatus();
      if (members.length > 1) throw new Error("it still joins");
    });
  }

  /** Waits until every member sees a cluster at rest. @throws {WhorlError} `timeout` if one does not. */
  async settled(waitMs: number): Promise<void> {
    const settled = await Promise.all(
      this.nodes.map(({ control }) => control.settled(waitMs)),
    );
    const not = this.nodes.filter((_, i) => !settled[i]);
    if (not.length === 0) return;
    const { transfers, unreachable } = await not[0]!.control.ringStatus();
    throw new WhorlError(
      "timeout",
      `${not.map(({ name }) => name).join(", ")} did not settle in ${
        Math.round(waitMs)
      } ms: ${JSON.stringify({ transfers, unreachable })}`,
    );
  }

  /** What members hold and do not own. */
  async strays(): Promise<string[]> {
    const held = await Promise.all(
      this.nodes.map(({ control }) => control.held()),
    );
    return held.flatMap(({ node, owned, held }) =>
      held.filter(({ partition }) => !owned.includes(partition))
        .map(({ module, partition }) => `${node} holds ${module}/${partition}`)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#kills);
    await Promise.all(
      [...this.#nodes.values()].map((node) => node.kill()),
    );
  }
}
