/**
 * The operator of a simulated cluster: makes the changes of its schedule one
 * after the other, like a person at a command line. It asks some member, and
 * another one if that does not answer; it stages, reads the plan and commits
 * the plan it saw; it checks whether that worked, and retries if not. Changes
 * that no longer make sense are skipped. When all faults have ended it finishes
 * what it began and commits what is staged.
 *
 * A node that has left is taken out of service, and so is one whose join was
 * cancelled. Both may join again later.
 *
 * @module
 */
import { ownerOfVnode } from "../ring/ring_generations.ts";
import type { Chance } from "../base/chance.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { versionDescends } from "../causality/version_vector.ts";
import type { WhorlNode } from "../node/node.ts";
import { type MemberStatus, memberStatus, type Ring } from "../ring/ring.ts";
import { isBack, isForgotten, isFull, newestRing } from "./machine_rings.ts";
import { describeChange } from "./schedule/fault_words.ts";
import { LOSS_MEMBERS_MIN } from "./schedule/draw_membership.ts";
import type { PlannedChange } from "./schedule/schedule.ts";
import type { SimulatedCluster } from "./simulated_cluster.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";

/** How long the operator waits before retrying, in virtual milliseconds. */
const RETRY_MS = 200;
/** Timeout of a command, in virtual milliseconds. */
const ANSWER_MS_MAX = 20_000;
/** Longest virtual time of a change in a healed cluster, in milliseconds. */
export const CHANGE_MS_MAX = 90_000;
/**
 * Time within which a node learns that it is no longer a member, in virtual
 * milliseconds.
 */
const HEARS_MS_MAX = 20_000;
/** Default limit of concurrent transfers of a node. */
const TRANSFERS_DEFAULT = 4;

/** What may be staged for a member or a future member. */
type Staged = Extract<PlannedChange, { readonly node: number }>;

/** What the operator knows of a machine. */
type Standing =
  /** Not a member. */
  | "out"
  /** Has asked to join, but no commit included it yet. */
  | "joining"
  | "member"
  /** A commit makes it leave. */
  | "leaving"
  /** Dead for good. */
  | "lost";

/** The operator of one cluster. */
export class SimulatedOperator {
  readonly #cluster: SimulatedCluster;
  readonly #chance: Chance;
  readonly #standings = new Map<SimulatedMachine, Standing>();
  /** Since when a node that does not know it is no longer in the ring. */
  readonly #goneSinceMs = new Map<SimulatedMachine, number>();
  /** The ring in which a leaving node was told to leave. */
  readonly #toldToLeave = new Map<SimulatedMachine, Ring>();
  /** Changes staged without a commit, and not committed or cleared since. */
  #staged: Staged[] = [];
  #looks = false;
  #over = false;
  #hasChanged = false;
  #hasLost = false;

  constructor(cluster: SimulatedCluster, chance: Chance) {
    this.#cluster = cluster;
    this.#chance = chance;
    cluster.machines.forEach((machine, index) =>
      this.#standings.set(
        machine,
        index < cluster.schedule.nodes ? "member" : "out",
      )
    );
  }

  /** Whether it changed anything. */
  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  /** Whether a machine was lost for good. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  /**
   * Makes `changes`, each not before its time, relative to now; resolves once
   * the cluster is healed and everything begun is done.
   */
  async run(changes: readonly PlannedChange[]): Promise<void> {
    const { time } = this.#cluster;
    const begunAtMs = time.now();
    if (changes.length > 0) this.#lookAfterLeavers();
    for (const change of changes) {
      await this.#until(() =>
        this.#cluster.healed || time.now() >= begunAtMs + change.atMs
      );
      if (this.#cluster.healed) break;
      await this.carryOut(change);
    }
    await new Promise<void>((resolve) => this.#cluster.onHeal(resolve));
    await this.finish();
  }

  /** Commits what is staged and waits for leaving nodes. */
  async finish(): Promise<void> {
    if (this.#staged.length > 0) await this.#commitAll();
    await this.departed();
    this.#over = true;
  }

  /** Resolves when every leaving node has gone. */
  departed(): Promise<void> {
    return this.#until(() =>
      ![...this.#standings.values()].includes("leaving")
    );
  }

  /**
   * Makes one change; resolves once it is done or skipped, though a leave may
   * still be in progress.
   */
  async carryOut(change: PlannedChange): Promise<void> {
    this.#lookAfterLeavers();
    this.#tell(change, "begins");
    this.#hasChanged = true;
    const done = await this.#carryOut(change);
    this.#tell(change, done ? "is done" : "is left out");
  }

  /** Whether a node is a member, as far as the operator knows. */
  isMember(node: number): boolean {
    return this.#standing(node) === "member";
  }

  #tell(change: PlannedChange, what: string): void {
    this.#cluster.trace.add(
      "world",
      "operator",
      `${describeChange(change)}: ${what}`,
    );
  }

  async #carryOut(change: PlannedChange): Promise<boolean> {
    const coming = change.type === "join"
      ? change.node
      : "by" in change
      ? change.by
      : undefined;
    if (coming !== undefined) {
      await this.#until(() =>
        this.#cluster.healed || this.#standing(coming) !== "leaving"
      );
    }
    switch (change.type) {
      case "join":
        if (this.#standing(change.node) !== "out") return false;
        await this.#bringIn(change.node);
        return await this.#stagedAnd(change, change.commit);
      case "leave":
        if (this.#standing(change.node) !== "member") return false;
        return await this.#stagedAnd(change, change.commit);
      case "replace":
        if (
          this.#standing(change.node) !== "member" ||
          this.#standing(change.by) !== "out"
        ) return false;
        await this.#bringIn(change.by);
        return await this.#stagedAnd(change, change.commit);
      case "force_remove":
      case "force_replace":
        return await this.#lose(change);
      case "clear":
        return await this.#clear();
      case "transfer_limit":
        return this.#forAWhile(
          change,
          (node) => node.parts.handoff?.setConcurrency(change.limit),
          (node) => node.parts.handoff?.setConcurrency(TRANSFERS_DEFAULT),
        );
      case "handoff_off":
        return this.#forAWhile(
          change,
          (node) => node.parts.handoff?.setEnabled(change.direction, false),
          (node) => node.parts.handoff?.setEnabled(change.direction, true),
        );
    }
  }

  // Staging.

  /** Starts a node and joins it. */
  async #bringIn(index: number): Promise<void> {
    const machine = this.#machine(index);
    // Its previous process may not have ended yet.
    await this.#until(() => machine.inService || machine.process === undefined);
    machine.putIntoService();
    this.#standings.set(machine, "joining");
    await this.#introduce(index);
  }

  /** Joins a running node, until it is in the ring. */
  async #introduce(index: number): Promise<void> {
    const machine = this.#machine(index);
    await this.#again(async () => {
      const status = this.#statusOf(index);
      if (
        this.#cluster.serves(machine) && status !== undefined &&
        status !== "invalid"
      ) return true;
      // A node that died before it stored that it had left does so now, and
      // stops.
      if (!machine.inService && machine.process === undefined) {
        machine.putIntoService();
      }
      const host = this.#anyHost();
      if (!machine.running || host === undefined) return false;
      if (this.#cluster.serves(machine)) return false;
      await this.ask(
        (node) => node.join(this.#cluster.address(host)),
        machine,
      );
      return false;
    });
  }

  /** Stages `change`, and commits everything staged if `commit`. */
  async #stagedAnd(change: Staged, commit: boolean): Promise<boolean> {
    this.#staged.push(change);
    if (commit) return await this.#commitAll();
    if (change.type !== "join") await this.#again(() => this.#stage(change));
    return true;
  }

  /** Stages one change; true if it was done, or refused for good. */
  async #stage(change: Staged): Promise<boolean> {
    try {
      await this.ask(async (node) => {
        const name = this.#nameOf(change.node);
        switch (change.type) {
          case "leave":
            return await node.leave(name);
          case "replace":
            return await node.replace(name, this.#nameOf(change.by));
          case "force_remove":
            return await node.forceRemove(name);
          case "force_replace":
            return await node.forceReplace(name, this.#nameOf(change.by));
          default:
            return undefined;
        }
      });
      return true;
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      if (error.code === "already_leaving") return true;
      if (
        error.code === "invalid_replacement" && "by" in change &&
        this.#statusOf(change.by) === "valid"
      ) {
        // It was declared down meanwhile, came back, and needs no commit any
        // more.
        this.#settle(change.by, "member");
        const { node } = change;
        const instead: Staged = change.type === "replace"
          ? { ...change, type: "leave", node }
          : { ...change, type: "force_remove", node };
        this.#exchange(change, instead);
        return await this.#stage(instead);
      }
      if (error.code !== "only_member") throw error;
      this.#exchange(change);
      if ("by" in change) this.#settle(change.by, "leaving");
      return true;
    }
  }

  /** Replaces a staged change with `others`. */
  #exchange(change: Staged, ...others: readonly Staged[]): void {
    this.#staged = this.#staged.flatMap((each) =>
      each === change ? others : [each]
    );
  }

  /**
   * Commits everything staged, staging again what got lost, until the ring
   * shows that it was done.
   */
  async #commitAll(): Promise<boolean> {
    await this.#again(async () => {
      for (const change of [...this.#staged]) {
        if (this.#isCommitted(change) || change.type === "join") continue;
        await this.#stage(change);
      }
      const { changes, planId } = await this.ask((node) => node.plan());
      if (changes.length > 0) await this.ask((node) => node.commit(planId));
      for (const change of this.#staged) {
        if (change.type !== "join") continue;
        const status = this.#statusOf(change.node);
        // It was declared down while it joined, or its host never heard of it.
        if (status === undefined || status === "invalid") {
          await this.#introduce(change.node);
        }
      }
      return this.#staged.every((change) => this.#isCommitted(change));
    });
    const any = this.#staged.length > 0;
    for (const change of this.#staged) {
      if (change.type === "join") this.#settle(change.node, "member");
      else if (change.type === "leave" || change.type === "replace") {
        this.#settle(change.node, "leaving");
      }
      if ("by" in change) this.#settle(change.by, "member");
    }
    this.#staged = [];
    return any;
  }

  #isCommitted(change: Staged): boolean {
    const status = this.#statusOf(change.node);
    const isGone = status === undefined || status === "invalid";
    switch (change.type) {
      case "join":
        return isFull(status);
      case "leave":
        return isGone || status === "leaving" || status === "exiting";
      case "replace":
        return (isGone || status === "leaving" || status === "exiting") &&
          isFull(this.#statusOf(change.by));
      case "force_remove":
        return isGone;
      case "force_replace":
        return isGone && isFull(this.#statusOf(change.by));
      default:
        return true;
    }
  }

  async #clear(): Promise<boolean> {
    if (this.#staged.length === 0) return false;
    await this.#again(async () => {
      await this.ask((node) => node.clear());
      return true;
    });
    this.#staged = [];
    this.#cluster.machines.forEach((machine, index) => {
      // It goes once it knows that it does not join.
      if (this.#standings.get(machine) === "joining") {
        this.#settle(index, "leaving");
      }
    });
    return true;
  }

  // Lost machines.

  /**
   * Loses a machine once that loses no data, and has its node removed or
   * replaced.
   */
  async #lose(
    change: Extract<
      PlannedChange,
      { type: "force_remove" | "force_replace" }
    >,
  ): Promise<boolean> {
    const machine = this.#machine(change.node);
    if (this.#standing(change.node) !== "member") return false;
    if (
      change.type === "force_replace" && this.#standing(change.by) !== "out"
    ) return false;
    await this.#until(async () => this.#cluster.healed || await this.#isWell());
    if (this.#cluster.healed) return false;
    this.#hasLost = true;
    machine.lose();
    this.#standings.set(machine, "lost");
    let told: SimulatedMachine | undefined;
    await this.#again(async () => {
      const status = this.#statusOf(change.node);
      if (status === "down" || status === "invalid") return true;
      const any = this.#anyMember();
      // Each part of a split cluster that is told gets a claimant of its own.
      const asked = told && this.#cluster.serves(told) ? told : any;
      await this.ask((node) => node.down(this.#nameOf(change.node)), asked);
      told = asked;
      return false;
    });
    if (change.type === "force_replace") await this.#bringIn(change.by);
    return await this.#stagedAnd(change, true);
  }

  /**
   * Whether every member runs, all data is at home, and no three consecutive
   * partitions share a node.
   */
  async #isWell(): Promise<boolean> {
    const { members } = this.#cluster;
    const ring = this.#ring();
    if (ring === undefined || members.length < LOSS_MEMBERS_MIN) return false;
    const { owners, next, generations } = ring.ownership;
    if (next.length > 0 || this.#staged.length > 0) return false;
    if (generations.resize !== null) return false;
    const distinct = owners.every((owner, i) =>
      owner !== owners[(i + 1) % owners.length] &&
      owner !== owners[(i + 2) % owners.length]
    );
    if (!distinct) return false;
    for (const machine of members) {
      const { node } = machine;
      if (!machine.running || node === undefined) return false;
      // Each part may be about to restart.
      const { cluster, handoff } = node.parts;
      if (cluster?.ringReady().ready !== true || handoff === undefined) {
        return false;
      }
      if (handoff.status().transfers.length > 0) return false;
      try {
        const held = await this.ask(() => handoff.heldPartitions(), machine);
        const isAbroad = held.some(({ partition }) =>
          ownerOfVnode(ring, partition) !== node.name
        );
        if (isAbroad) return false;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        return false;
      }
    }
    return true;
  }

  // Leaving nodes.

  /** From now on, takes nodes that have left out of service. */
  #lookAfterLeavers(): void {
    if (this.#looks) return;
    this.#looks = true;
    const look = (): void => {
      if (this.#over) return;
      this.#cluster.machines.forEach((machine, index) => {
        if (this.#standings.get(machine) === "leaving") {
          this.#lookAfterLeaver(machine, index);
        }
      });
      this.#cluster.time.schedule(RETRY_MS, look);
    };
    look();
  }

  #lookAfterLeaver(machine: SimulatedMachine, index: number): void {
    const status = this.#statusOf(index);
    if (status !== "invalid" && status !== undefined || !machine.inService) {
      this.#goneSinceMs.delete(machine);
    }
    if (!machine.inService) {
      this.#standings.set(machine, "out");
    } else if (
      status === "valid" && this.#hasHeardOfLeave(machine) ||
      this.#cluster.serves(machine) && isBack(machine, status)
    ) {
      // It was declared down, and is back for good.
      this.#standings.set(machine, "member");
    } else if (status === "invalid" || status === undefined) {
      if (machine.running && !this.#cluster.serves(machine)) {
        machine.retire();
        this.#standings.set(machine, "out");
        return;
      }
      // If every node it knows has left as well, it never learns that.
      const { time } = this.#cluster;
      const sinceMs = this.#goneSinceMs.getOrInsert(machine, time.now());
      if (
        time.now() - sinceMs < HEARS_MS_MAX ||
        !this.#cluster.healed && !isForgotten(machine, this.#ring())
      ) return;
      machine.retire();
      this.#standings.set(machine, "lost");
    }
  }

  /**
   * Whether the ring that members use knows that this one was to leave. The
   * nodes that know it may be away.
   */
  #hasHeardOfLeave(machine: SimulatedMachine): boolean {
    const told = this.#toldToLeave.get(machine);
    const ring = this.#ring();
    return told === undefined ||
      ring !== undefined && versionDescends(ring.clock, told.clock);
  }

  // Settings of one node.

  #forAWhile(
    { node: index, forMs }: { readonly node: number; readonly forMs: number },
    begin: (node: WhorlNode) => void,
    end: (node: WhorlNode) => void,
  ): boolean {
    const machine = this.#machine(index);
    const { process, node } = machine;
    if (process === undefined || node === undefined) return false;
    process.setTimer(0, () => begin(node));
    let isOver = false;
    const undo = (): void => {
      if (isOver) return;
      isOver = true;
      process.setTimer(0, () => end(node));
    };
    this.#cluster.time.schedule(forMs, undo);
    this.#cluster.onHeal(undo);
    return true;
  }

  // Whom to ask, and how.

  #machine(index: number): SimulatedMachine {
    return this.#cluster.machines[index] as SimulatedMachine;
  }

  #standing(index: number): Standing {
    return this.#standings.get(this.#machine(index)) as Standing;
  }

  #settle(index: number, standing: Standing): void {
    const machine = this.#machine(index);
    const ring = this.#ring();
    if (standing === "leaving" && ring !== undefined) {
      this.#toldToLeave.set(machine, ring);
    }
    this.#standings.set(machine, standing);
  }

  #nameOf(index: number): string {
    const { host } = this.#machine(index);
    return `${host}@${host}`;
  }

  /** The newest ring of any member. */
  #ring(): Ring | undefined {
    const { machines } = this.#cluster;
    return newestRing(machines.filter((each) => this.#cluster.serves(each)));
  }

  #statusOf(index: number): MemberStatus | undefined {
    const ring = this.#ring();
    return ring && memberStatus(ring, this.#nameOf(index));
  }

  /**
   * A running member that others may join through: one whose join was cancelled
   * may be alone by then, and end.
   */
  #anyHost(): SimulatedMachine | undefined {
    const ring = this.#ring();
    const able = this.#cluster.machines.filter((machine) => {
      const name = `${machine.host}@${machine.host}`;
      return this.#cluster.serves(machine) && ring !== undefined &&
        isFull(memberStatus(ring, name));
    });
    return able.length === 0 ? undefined : this.#chance.pick(able);
  }

  /** A running full member. */
  #anyMember(): SimulatedMachine | undefined {
    const able = this.#cluster.machines.filter((machine) => {
      const standing = this.#standings.get(machine);
      return this.#cluster.serves(machine) &&
        (standing === "member" || standing === "leaving");
    });
    return able.length === 0 ? undefined : this.#chance.pick(able);
  }

  /**
   * The result of `act` on `machine`, or on some member.
   *
   * @throws {WhorlError} Its refusal, or `timeout`.
   */
  ask<T>(
    act: (node: WhorlNode) => Promise<T>,
    machine: SimulatedMachine | undefined = this.#anyMember(),
    limitMs: number = ANSWER_MS_MAX,
  ): Promise<T> {
    const { process, node } = machine ?? {};
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (
      machine === undefined || process === undefined || node === undefined
    ) {
      reject(new WhorlError("not_reachable", "Nobody answers the operator"));
      return promise;
    }
    const forget = machine.onDeath(() =>
      reject(new WhorlError("not_reachable", `${machine.host} died over it`))
    );
    this.#cluster.time.schedule(
      limitMs,
      () => reject(new WhorlError("timeout", "The operator gave up waiting")),
    );
    process.setTimer(0, () => {
      Promise.try(() => act(node)).then(resolve, reject);
    });
    return promise.finally(forget);
  }

  /** Retries `attempt` until it reports success. */
  #again(attempt: () => Promise<boolean>): Promise<void> {
    return this.#until(async () => {
      try {
        return await attempt();
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        this.#cluster.trace.add("world", "operator", `hears: ${error.message}`);
        return false;
      }
    });
  }

  async #until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (!await holds()) {
      await new Promise<void>((resolve) =>
        void this.#cluster.time.schedule(RETRY_MS, resolve)
      );
    }
  }
}
