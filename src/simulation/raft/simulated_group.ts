/**
 * A Raft group of `ra_kv` on the nodes of a simulated cluster, from its
 * operator's point of view: which nodes should be members, and what is done to
 * it meanwhile. Everything goes through the production system of each node; the
 * invariants of such a group are checked here too.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../base/errors.ts";
import type { WhorlNode } from "../../node/node.ts";
import { type RaKvState, stateDigest } from "../../ra_kv/ra_kv_machine.ts";
import type { RaftMember } from "../../raft/raft_member.ts";
import type { RaftMessage } from "../../raft/raft_message.ts";
import { RaftWatch } from "../checkers/raft_watch.ts";
import type { Violation } from "../checkers/violation.ts";
import { during } from "../cluster_life.ts";
import { describeAct } from "../schedule/fault_words.ts";
import type {
  GroupPlan,
  LeaderFault,
  PlannedAct,
  PlannedFault,
} from "../schedule/schedule.ts";
import type { SimulatedCluster } from "../simulated_cluster.ts";
import type { SimulatedMachine } from "../simulated_machine.ts";
import type { SimulatedOperator } from "../simulated_operator.ts";
import { rotLog } from "./log_rot.ts";

/**
 * Virtual time within which a new group must have a leader, in milliseconds.
 */
const BEGIN_MS_MAX = 60_000;
/**
 * Virtual time within which a healed group must have one leader and equal
 * members, in milliseconds.
 */
export const GROUP_SETTLE_MS_MAX = 30_000;
/**
 * How long the operator waits before retrying a membership change, in virtual
 * milliseconds.
 */
const RETRY_MS = 100;
/** Timeout of such a command: longer than a node takes to learn its outcome. */
const ANSWER_MS_MAX = 80_000;
/** Interval between checks of a condition, in virtual milliseconds. */
const LOOK_MS = 20;

/** Options of a group. */
export interface SimulatedGroupOptions {
  readonly name: string;
  readonly cluster: SimulatedCluster;
  readonly operator: SimulatedOperator;
  readonly plan: GroupPlan;
  /** Machines whose logs were damaged, of all groups. */
  readonly rotten: Set<SimulatedMachine>;
}

type MemberAct = Extract<
  PlannedAct,
  { type: "add_member" | "remove_member" }
>;

/** The group. */
export class SimulatedGroup {
  readonly name: string;
  /**
   * By group id: one that could not be formed is followed by another one of its
   * name.
   */
  readonly #watches = new Map<number, RaftWatch>();
  readonly #violations: Violation[] = [];
  readonly #options: SimulatedGroupOptions;
  /** Machines that should have a member. */
  readonly #wanted: Set<SimulatedMachine>;
  /** Machines whose member may start anew, since it was added or removed. */
  readonly #mayBegin: Set<SimulatedMachine>;
  readonly #uids = new Map<SimulatedMachine, number>();
  readonly #seen = new Map<SimulatedMachine, RaftMember>();
  /** Pending power losses, for when some member takes a new term. */
  readonly #voterFaults: Extract<PlannedAct, { type: "voter_fault" }>[] = [];

  constructor(options: SimulatedGroupOptions) {
    this.#options = options;
    const { name, plan } = options;
    this.name = name;
    const members = plan.members.map((index) => this.#machine(index));
    this.#wanted = new Set(members);
    this.#mayBegin = new Set(members);
  }

  /** What was violated. */
  get violations(): readonly Violation[] {
    return [
      ...this.#violations,
      ...[...this.#watches.values()].flatMap(({ violations }) => violations),
    ];
  }

  #watchOf(groupId: number): RaftWatch {
    return this.#watches.getOrInsertComputed(
      groupId,
      () => new RaftWatch(digestOf, () => this.#cluster.time.now()),
    );
  }

  get #cluster(): SimulatedCluster {
    return this.#options.cluster;
  }

  #machine(index: number): SimulatedMachine {
    return this.#cluster.machines[index] as SimulatedMachine;
  }

  #say(text: string): void {
    this.#cluster.trace.add("world", "group", `${this.name}: ${text}`);
  }

  /**
   * Creates the group, and lets time pass until it has a leader; returns a
   * violation if it gets none.
   */
  async begin(): Promise<Violation[]> {
    const cluster = this.#cluster;
    const names = [...this.#wanted].map(nameOf);
    const making = this.#make(names);
    const { network } = cluster;
    const { weather } = network;
    // This simulates an existing group, not its creation.
    network.weather = {
      ...weather,
      lossProbability: 0,
      repeatProbability: 0,
      reorderProbability: 0,
    };
    try {
      await during(cluster, making, BEGIN_MS_MAX);
      network.weather = weather;
    } catch (error) {
      return [{
        check: "raft_progress",
        message: `The group ${this.name} could not be made: ${reasonOf(error)}`,
      }];
    }
    return [];
  }

  /** Starts the members, and adds those that could not be started. */
  async #make(names: readonly string[]): Promise<void> {
    const late: string[] = [];
    await this.#again(async () => {
      const { notStarted } = await this.#ask((node) =>
        node.raKv.startCluster(this.name, names)
      );
      late.push(...notStarted.map(({ node }) => node));
      return true;
    });
    for (const name of late) {
      await this.#again(async () => {
        try {
          await this.#ask(({ raKv }) => raKv.addMember(this.name, name));
        } catch (error) {
          // It was created after all.
          if (!isWhorlError(error, "already_member")) throw error;
        }
        return true;
      });
    }
  }

  /** Calls a node: the given one, or some running one. */
  #ask<T>(
    act: (node: WhorlNode) => Promise<T>,
    machine: SimulatedMachine | undefined = this.#cluster.machines
      .find(({ running }) => running),
  ): Promise<T> {
    return this.#options.operator.ask(act, machine, ANSWER_MS_MAX);
  }

  /** The member that runs on `machine`. */
  member(machine: SimulatedMachine): RaftMember | undefined {
    return machine.node?.parts.raft?.member(this.name);
  }

  /** Whether `machine` should have a member. */
  isMember(machine: SimulatedMachine): boolean {
    return this.#wanted.has(machine);
  }

  /**
   * The machine whose member leads, as far as known: the one with the highest
   * term.
   */
  leader(): SimulatedMachine | undefined {
    let leader: SimulatedMachine | undefined;
    let term = 0;
    for (const machine of this.#cluster.machines) {
      if (!machine.running) continue;
      const member = this.member(machine);
      if (member?.role !== "leader" || member.term <= term) continue;
      leader = machine;
      term = member.term;
    }
    return leader;
  }

  /** Checks the member on `machine`, after an event. */
  look(machine: SimulatedMachine): void {
    const member = this.member(machine);
    const before = this.#seen.get(machine);
    if (before !== undefined && before.groupId !== member?.groupId) {
      this.#watchOf(before.groupId).look(machine.host, undefined);
    }
    if (member === undefined) {
      if (before !== undefined) this.#seen.delete(machine);
      return;
    }
    const changed = this.#watchOf(member.groupId).look(machine.host, member);
    if (before !== member) {
      this.#checkUid(machine, member);
      this.#seen.set(machine, member);
    }
    if (changed === "nothing") return;
    this.#tell(machine, member);
    if (member.role !== "leader") this.#strikeVoter(machine);
  }

  /** The process on `machine` is dead. */
  ends(machine: SimulatedMachine): void {
    const member = this.#seen.get(machine);
    if (member === undefined) return;
    this.#watchOf(member.groupId).ends(machine.host);
    this.#seen.delete(machine);
  }

  /**
   * Whether `groupId` is the id of this group, or of an earlier one with its
   * name.
   */
  has(groupId: number): boolean {
    return this.#watches.has(groupId);
  }

  /** A message of the group from the node `from` has reached `machine`. */
  heard(
    groupId: number,
    uid: number,
    from: string,
    machine: SimulatedMachine,
    message: RaftMessage,
  ): void {
    const sender = this.#cluster.machines.find((other) =>
      nameOf(other) === from
    );
    const isStarting = sender?.process !== undefined && !this.#seen.has(sender);
    this.#watchOf(groupId).heard(uid, nameOf(machine), message, isStarting);
  }

  /** The highest index that any member has committed. */
  get commitIndex(): number {
    const member = [...this.#seen.values()][0];
    return member === undefined ? 0 : this.#watchOf(member.groupId).commitIndex;
  }

  #tell({ host }: SimulatedMachine, member: RaftMember): void {
    const { trace } = this.#cluster;
    if (!trace.on) return;
    const { role, term, leader, commitIndex, log } = member;
    const whose = leader === undefined || role === "leader"
      ? ""
      : ` of ${leader}`;
    trace.add(
      host,
      "raft",
      `${this.name}: ${role}${whose} in term ${term}, last ${log.lastIndex} of term ${log.lastTerm}, committed ${commitIndex}`,
    );
  }

  /** A member gets another uid only where something was done to it. */
  #checkUid(machine: SimulatedMachine, { uid, node }: RaftMember): void {
    const before = this.#uids.get(machine);
    this.#uids.set(machine, uid);
    if (before === undefined || before === uid) return;
    if (this.#mayBegin.has(machine) || this.#options.rotten.has(machine)) {
      return;
    }
    this.#violations.push({
      check: "raft_log_damaged",
      message:
        `The member of ${this.name} on ${node} begins anew as if its log were damaged, which nobody has done`,
    });
  }

  #strikeVoter(machine: SimulatedMachine): void {
    const fault = this.#voterFaults.shift();
    if (fault === undefined) return;
    const node = this.#cluster.machines.indexOf(machine);
    const { forMs } = fault;
    this.#cluster.time.schedule(
      fault.afterMs,
      () => this.#cluster.strike({ type: "power_loss", node, atMs: 0, forMs }),
    );
  }

  /**
   * Performs `acts`, each at its time, relative to now; resolves once the
   * cluster is healed and all changes begun are done.
   */
  async run(acts: readonly PlannedAct[]): Promise<void> {
    const cluster = this.#cluster;
    const begunAtMs = cluster.time.now();
    /** Membership changes, one after the other. */
    let changes: Promise<void> = Promise.resolve();
    for (const act of acts) {
      await this.#until(() =>
        cluster.healed || cluster.time.now() >= begunAtMs + act.atMs
      );
      if (cluster.healed) break;
      if (act.type === "add_member" || act.type === "remove_member") {
        changes = changes.then(() => this.#change(act));
        changes.catch(() => {});
      } else this.#do(act);
    }
    await this.#until(() => cluster.healed);
    await changes;
  }

  async #until(holds: () => boolean): Promise<void> {
    const { time } = this.#cluster;
    while (!holds()) {
      await new Promise<void>((resolve) =>
        void time.schedule(LOOK_MS, resolve)
      );
    }
  }

  #do(act: Exclude<PlannedAct, MemberAct>): void {
    this.#say(describeAct(act));
    switch (act.type) {
      case "transfer":
        return this.#attempt(({ raKv }) =>
          raKv.transferLeadership(
            this.name,
            nameOf(this.#machine(act.node)),
          )
        );
      case "snapshot":
        return this.#attempt(
          ({ raKv, name }) => raKv.takeSnapshot(this.name, { node: name }),
          act.node,
        );
      case "compact":
        return this.#attempt(
          ({ raKv, name }) => raKv.compact(this.name, { node: name }),
          act.node,
        );
      case "leader_fault":
        return this.#strikeLeader(act.how, act.forMs);
      case "voter_fault":
        this.#voterFaults.push(act);
        return;
      case "log_rot":
        return this.#rot(act);
    }
  }

  /** Requests something that may be refused, or fail with its node. */
  #attempt(act: (node: WhorlNode) => Promise<unknown>, index?: number): void {
    const machine = index === undefined ? undefined : this.#machine(index);
    this.#ask(act, machine).then(
      () => this.#say("is answered"),
      (error) => {
        if (!isWhorlError(error)) {
          this.#violations.push({
            check: "raft_act",
            message: `${error instanceof Error ? error.stack : error}`,
          });
        }
        this.#say(`hears: ${reasonOf(error)}`);
      },
    );
  }

  #strikeLeader(how: LeaderFault, forMs: number): void {
    const machine = this.leader();
    if (machine === undefined) return;
    const { machines } = this.#cluster;
    const node = machines.indexOf(machine);
    const others = machines.map((_, index) => index)
      .filter((index) => index !== node);
    const at = { atMs: 0, forMs };
    const partition = { ...at, type: "partition", break: false } as const;
    const fault = ((): PlannedFault => {
      switch (how) {
        case "cut":
          return { ...partition, from: [node], to: others, oneWay: false };
        case "deaf":
          return { ...partition, from: others, to: [node], oneWay: true };
        case "mute":
          return { ...partition, from: [node], to: others, oneWay: true };
        case "disk_errors":
          return { ...at, type: how, node, probability: 1 };
        default:
          return { ...at, type: how, node };
      }
    })();
    this.#cluster.strike(fault);
  }

  #rot(act: Extract<PlannedAct, { type: "log_rot" }>): void {
    const cluster = this.#cluster;
    const machine = this.#machine(act.node);
    // Rot after a power loss cannot be distinguished from what was never
    // durable.
    if (cluster.healed || this.member(machine) === undefined) return;
    this.#options.rotten.add(machine);
    const { node, forMs } = act;
    if (forMs > 0) cluster.strike({ type: "kill", node, atMs: 0, forMs });
    this.#say(`${rotLog(machine.disk, act.part) ?? "nothing"} is hit`);
  }

  async #change(act: MemberAct): Promise<void> {
    if (this.#cluster.healed) return;
    const machine = this.#machine(act.node);
    const adds = act.type === "add_member";
    if (this.#wanted.has(machine) === adds) return;
    this.#say(describeAct(act));
    this.#mayBegin.add(machine);
    if (adds) this.#wanted.add(machine);
    else this.#wanted.delete(machine);
    const name = nameOf(machine);
    await this.#again(async () => {
      // An earlier attempt without an answer may have succeeded.
      const { members, committed } = await this.#ask(({ raKv }) =>
        raKv.members(this.name)
      );
      const isMember = members.some(({ node }) => node === name);
      if (isMember === adds) return committed;
      await this.#ask(async ({ raKv }) => {
        if (adds) {
          const { kind } = act;
          await raKv.addMember(this.name, name, { kind });
        } else await raKv.removeMember(this.name, name);
      });
      return true;
    });
    this.#say(`done: ${describeAct(act)}`);
  }

  /** Retries until it is reported as done. */
  async #again(attempt: () => Promise<boolean>): Promise<void> {
    const { time } = this.#cluster;
    for (;;) {
      try {
        if (await attempt()) return;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        this.#say(`hears: ${error.message}`);
      }
      await new Promise<void>((resolve) =>
        void time.schedule(RETRY_MS, resolve)
      );
    }
  }

  /**
   * Lets time pass until the group is whole: it has one leader, all its members
   * run, and all have applied everything. Returns a violation if it does not
   * get there.
   */
  async untilSettled(): Promise<Violation[]> {
    const { time } = this.#cluster;
    const untilMs = time.now() + GROUP_SETTLE_MS_MAX;
    for (;;) {
      const lacking = this.#lacking();
      if (lacking === undefined) return [];
      if (time.now() >= untilMs) {
        return [{
          check: "raft_progress",
          message:
            `The group ${this.name} has not settled ${GROUP_SETTLE_MS_MAX} ms after all faults ended: ${lacking}; ${this.#describe()}`,
        }];
      }
      await time.run(time.now() + LOOK_MS);
    }
  }

  /** Why the group is not whole yet. */
  #lacking(): string | undefined {
    const machine = this.leader();
    const leader = machine && this.member(machine);
    if (leader === undefined) return "it has no leader";
    const { membership, commitIndex, log, appliedIndex } = leader;
    if (commitIndex < log.lastIndex) return "not all is committed";
    if (membership.index > commitIndex) return "a change is under way";
    if (membership.members.length !== this.#wanted.size) {
      return "it has other members";
    }
    const digest = digestOf(leader);
    for (const { node, uid, kind } of membership.members) {
      const machine = this.#cluster.machines.find((machine) =>
        nameOf(machine) === node
      );
      if (machine === undefined || !this.#wanted.has(machine)) {
        return `${node} is a member`;
      }
      const member = this.member(machine);
      if (member === undefined || member.uid !== uid) {
        return `the member of ${node} does not run`;
      }
      if (kind === "promotable") return `${node} is not promoted`;
      if (member.leader !== leader.node || member.term !== leader.term) {
        return `${node} does not follow`;
      }
      if (member.appliedIndex !== appliedIndex || appliedIndex < commitIndex) {
        return `${node} has applied less`;
      }
      if (digestOf(member) !== digest) return `${node} has another state`;
    }
    return undefined;
  }

  #describe(): string {
    return this.#cluster.machines.map((machine) => {
      const member = this.member(machine);
      if (member === undefined) return `${machine.host} has no member`;
      const { role, term, leader, log, commitIndex, appliedIndex, uid } =
        member;
      return `${machine.host} (${uid}) is ${role} of ${leader} in term ${term}, last ${log.lastIndex}, committed ${commitIndex}, applied ${appliedIndex}, members ${
        member.membership.members.map(({ node, uid, kind }) =>
          `${node} ${uid} ${kind}`
        ).join(" ")
      }`;
    }).join("; ");
  }
}

/** Name of the node of a machine. */
export function nameOf({ host }: SimulatedMachine): string {
  return `${host}@${host}`;
}

/** The whole state of a member's machine as text, equal for equal states. */
function digestOf(member: RaftMember): string {
  const state = member.state as RaKvState;
  return `${stateDigest(state)} of ${state.keys.size} keys at ${state.timeMs}`;
}
