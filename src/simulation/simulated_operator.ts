/**
 * Whoever looks after a simulated cluster: makes the changes of its schedule one
 * after the other, as a person does at a command line. They ask some member that
 * answers, and another one if it does not; they stage, look at the plan and
 * commit the plan they saw; they look whether it has worked, and try again if
 * not. What makes no sense any more is left out. When all faults have ended they
 * finish what they began and commit what is staged.
 *
 * A node that has left is taken out of service, and so is one whose join was
 * taken back. Both may join again later.
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

/** How long an operator waits before trying again, in virtual milliseconds. */
const RETRY_MS = 200;
/** How long they wait for the answer to a command, in virtual milliseconds. */
const ANSWER_MS_MAX = 20_000;
/** Virtual time a change may take in a healed cluster, in milliseconds. */
export const CHANGE_MS_MAX = 90_000;
/** Time in which a node hears that it is no member any more, in virtual milliseconds. */
const HEARS_MS_MAX = 20_000;
/** Transfers at once that a node has from the start. */
const TRANSFERS_DEFAULT = 4;

/** What may be staged for a member or a node that is to be one. */
type Staged = Extract<PlannedChange, { readonly node: number }>;

/** What an operator knows of a machine. */
type Standing =
  /** Not a member. */
  | "out"
  /** Has asked to join, which no commit has taken along. */
  | "joining"
  | "member"
  /** A commit says that it leaves. */
  | "leaving"
  /** Dead for good. */
  | "lost";

/** The operator of one cluster. */
export class SimulatedOperator {
  readonly #cluster: SimulatedCluster;
  readonly #chance: Chance;
  readonly #standings = new Map<SimulatedMachine, Standing>();
  /** Since when the ring knows a node no more that has not heard so. */
  readonly #goneSinceMs = new Map<SimulatedMachine, number>();
  /** The ring in which a node that leaves was told to. */
  readonly #toldToLeave = new Map<SimulatedMachine, Ring>();
  /** What was staged without a commit, and not been committed or cleared since. */
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

  /** Whether anything was done. */
  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  /** Whether a machine died for good. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  /** Makes `changes`, each not before its time, counted from now; resolves once the cluster is healed and all that was begun is done. */
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

  /** Commits what is staged and waits for those that leave. */
  async finish(): Promise<void> {
    if (this.#staged.length > 0) await this.#commitAll();
    await this.departed();
    this.#over = true;
  }

  /** Resolves when every node that leaves has gone. */
  departed(): Promise<void> {
    return this.#until(() =>
      ![...this.#standings.values()].includes("leaving")
    );
  }

  /** Makes one change; resolves once it is done, though a leave may still be under way, or left out. */
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

  // What is staged.

  /** Starts a node and has it join. */
  async #bringIn(index: number): Promise<void> {
    const machine = this.#machine(index);
    // Its last process may not have come to its end.
    await this.#until(() => machine.inService || machine.process === undefined);
    machine.putIntoService();
    this.#standings.set(machine, "joining");
    await this.#introduce(index);
  }

  /** Has a node that runs join, until the ring knows it. */
  async #introduce(index: number): Promise<void> {
    const machine = this.#machine(index);
    await this.#again(async () => {
      const status = this.#statusOf(index);
      if (
        this.#cluster.serves(machine) && status !== undefined &&
        status !== "invalid"
      ) return true;
      // One that died before it stored that it had left does so now, and stops.
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

  /** Stages `change`, and commits all that is staged if that is wanted. */
  async #stagedAnd(change: Staged, commit: boolean): Promise<boolean> {
    this.#staged.push(change);
    if (commit) return await this.#commitAll();
    if (change.type !== "join") await this.#again(() => this.#stage(change));
    return true;
  }

  /** Stages one change; whether that is done, or refused for good. */
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
        // It was declared down meanwhile, came back, and needs no commit any more.
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
      if ("by" in change) this.#sendAway(change.by);
      return true;
    }
  }

  /** Puts `others` in the place of what was staged. */
  #exchange(change: Staged, ...others: readonly Staged[]): void {
    this.#staged = this.#staged.flatMap((each) =>
      each === change ? others : [each]
    );
  }

  /** Commits everything that is staged, staging again what got lost, until the ring says that it was done. */
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
      else if (change.type === "leave") this.#settle(change.node, "leaving");
      else if (change.type === "replace") {
        this.#settle(change.node, "leaving");
        this.#settle(change.by, "member");
      } else if (change.type === "force_replace") {
        this.#settle(change.by, "member");
      }
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
      if (this.#standings.get(machine) === "joining") this.#sendAway(index);
    });
    return true;
  }

  /** Lets a node go that was to join, once it knows that it does not. */
  #sendAway(index: number): void {
    this.#settle(index, "leaving");
  }

  // Machines that die.

  /** Lets a machine die once its loss loses nothing, and has its node removed or replaced. */
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
    await this.#again(async () => {
      const status = this.#statusOf(change.node);
      if (status === "down" || status === "invalid") return true;
      await this.ask((node) => node.down(this.#nameOf(change.node)));
      return false;
    });
    if (change.type === "force_replace") await this.#bringIn(change.by);
    return await this.#stagedAnd(change, true);
  }

  /** Whether every member runs, everything is at home, and no three partitions in a row share a node. */
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
      // Each part may be about to be started again.
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

  // Nodes that leave.

  /** Takes nodes that have left out of service, from now on all the time. */
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
      // It was declared down, and is back to stay.
      this.#standings.set(machine, "member");
    } else if (status === "invalid" || status === undefined) {
      if (machine.running && !this.#cluster.serves(machine)) {
        machine.retire();
        this.#standings.set(machine, "out");
        return;
      }
      // If all that it knows have left as well it never hears of that.
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

  /** Whether the ring that members go by knows that this one was to leave. Who knows it may be away. */
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

  /** The newest ring that any member goes by. */
  #ring(): Ring | undefined {
    const { machines } = this.#cluster;
    return newestRing(machines.filter((each) => this.#cluster.serves(each)));
  }

  #statusOf(index: number): MemberStatus | undefined {
    const ring = this.#ring();
    return ring && memberStatus(ring, this.#nameOf(index));
  }

  /** Some member that runs and that others may join by: one that is sent away may be alone by then, and end. */
  #anyHost(): SimulatedMachine | undefined {
    const ring = this.#ring();
    const able = this.#cluster.machines.filter((machine) => {
      const name = `${machine.host}@${machine.host}`;
      return this.#cluster.serves(machine) && ring !== undefined &&
        isFull(memberStatus(ring, name));
    });
    return able.length === 0 ? undefined : this.#chance.pick(able);
  }

  /** Some full member that runs. */
  #anyMember(): SimulatedMachine | undefined {
    const able = this.#cluster.machines.filter((machine) => {
      const standing = this.#standings.get(machine);
      return this.#cluster.serves(machine) &&
        (standing === "member" || standing === "leaving");
    });
    return able.length === 0 ? undefined : this.#chance.pick(able);
  }

  /** What `act` gives on `machine`, or on some member. @throws {WhorlError} What it refuses with, or `timeout`. */
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

  /** Tries `attempt` until it says that it has worked. */
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
