/**
 * A Raft group of `ra_kv` on the nodes of a simulated cluster, as whoever looks
 * after it knows it: who is to be a member, and what is done to it meanwhile.
 * Everything goes through the production system of each node; here is also
 * looked, after every event, whether what must hold of such a group does.
 *
 * @module
 */
import { ByteReader } from "../../base/byte_reader.ts";
import { isWhorlError, reasonOf } from "../../base/errors.ts";
import {
  RA_KV_MACHINE,
  type RaKvState,
  stateDigest,
} from "../../ra_kv/ra_kv_machine.ts";
import type { Member } from "../../raft/raft_entry.ts";
import { raftFailure } from "../../raft/raft_failure.ts";
import type { RaftMember, RaftTarget } from "../../raft/raft_member.ts";
import { readRaftMessage } from "../../raft/raft_message_codec.ts";
import type { RaftSystemProcess } from "../../raft/raft_system.ts";
import { FrameType } from "../../wire/frame_type.ts";
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

/** Name of the group. */
export const SIMULATED_GROUP = "sim";
const GROUP_ID = 77;
/** Virtual time in which a new group must have a leader, in milliseconds. */
const BEGIN_MS_MAX = 20_000;
/** Virtual time in which a healed group must have one leader and equal members, in milliseconds. */
export const GROUP_SETTLE_MS_MAX = 30_000;
/** How long whoever changes the members waits before trying again, in virtual milliseconds. */
const RETRY_MS = 100;
/** How often it is looked whether the group has settled, in virtual milliseconds. */
const LOOK_MS = 20;

/** What the group is made of. */
export interface SimulatedGroupOptions {
  readonly cluster: SimulatedCluster;
  readonly operator: SimulatedOperator;
  readonly plan: GroupPlan;
}

/** A member that should be there. */
interface Wanted {
  uid: number;
}

/** The group. */
export class SimulatedGroup {
  readonly watch: RaftWatch;
  readonly #options: SimulatedGroupOptions;
  readonly #wanted = new Map<SimulatedMachine, Wanted>();
  readonly #systems = new WeakSet<RaftSystemProcess>();
  readonly #seen = new Map<SimulatedMachine, RaftMember | undefined>();
  /** Power that is to be lost when some member takes a new term. */
  readonly #voterFaults: Extract<PlannedAct, { type: "voter_fault" }>[] = [];
  readonly #deaths = new Map<SimulatedMachine, () => void>();
  #nextUid = 1;

  constructor(options: SimulatedGroupOptions) {
    this.#options = options;
    const { cluster, plan } = options;
    this.watch = new RaftWatch(digestOf, () => cluster.time.now());
    for (const index of plan.members) {
      const machine = cluster.machines[index] as SimulatedMachine;
      this.#wanted.set(machine, { uid: this.#nextUid++ });
    }
  }

  get #cluster(): SimulatedCluster {
    return this.#options.cluster;
  }

  #say(text: string): void {
    this.#cluster.trace.add("world", "group", text);
  }

  /** Makes the group, and lets time pass until it has a leader; the violation if it does not come to one. */
  async begin(): Promise<Violation[]> {
    const cluster = this.#cluster;
    const initial = this.#initial();
    const made = Promise.all(
      [...this.#wanted].map(([machine, { uid }]) =>
        this.#options.operator.ask(
          async ({ parts }) => {
            await parts.raft?.createMember({
              group: SIMULATED_GROUP,
              groupId: GROUP_ID,
              uid,
              machine: RA_KV_MACHINE,
              initial,
            });
          },
          machine,
        )
      ),
    );
    cluster.time.observe(() => this.#look());
    try {
      await during(cluster, made, BEGIN_MS_MAX);
    } catch (error) {
      return [{
        check: "raft_progress",
        message: `The group could not be made: ${reasonOf(error)}`,
      }];
    }
    const untilMs = cluster.time.now() + BEGIN_MS_MAX;
    await cluster.time.run(untilMs, () => this.#leader() !== undefined);
    return this.#leader() !== undefined ? [] : [{
      check: "raft_progress",
      message: `The new group has no leader after ${BEGIN_MS_MAX} ms`,
    }];
  }

  #initial(): Member[] {
    return [...this.#wanted].map(([machine, { uid }]) => ({
      node: nameOf(machine),
      uid,
      kind: "voter",
      target: 0,
    }));
  }

  /** The member that runs on `machine`. */
  member(machine: SimulatedMachine): RaftMember | undefined {
    return machine.node?.parts.raft?.member(SIMULATED_GROUP);
  }

  /** The machine whose member leads now, as far as that is known: the one of the highest term. */
  #leader(): SimulatedMachine | undefined {
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

  #look(): void {
    const { trace } = this.#cluster;
    for (const machine of this.#cluster.machines) {
      const system = machine.node?.parts.raft;
      if (system !== undefined && !this.#systems.has(system)) {
        this.#begins(machine, system);
      }
      const member = system?.member(SIMULATED_GROUP);
      const { host } = machine;
      if (member === undefined && !this.#seen.has(machine)) continue;
      const changed = this.watch.look(host, member);
      if (member === undefined) this.#seen.delete(machine);
      else this.#seen.set(machine, member);
      if (changed === "nothing" || member === undefined) continue;
      if (trace.on) {
        const { role, term, leader, commitIndex, log } = member;
        trace.add(
          host,
          "raft",
          `${role} in term ${term}, ${
            leader === undefined ? "no leader" : `leader ${leader}`
          }, last ${log.lastIndex} of term ${log.lastTerm}, committed ${commitIndex}`,
        );
      }
      if (member.role !== "leader") this.#strikeVoter(machine);
    }
  }

  /** The system of a node in a new life, or after a failure of its disk. */
  #begins(machine: SimulatedMachine, system: RaftSystemProcess): void {
    this.#systems.add(system);
    this.#deaths.get(machine)?.();
    this.#deaths.set(
      machine,
      machine.onDeath(() => {
        this.watch.ends(machine.host);
        this.#seen.delete(machine);
      }),
    );
    const handle = system.handleFrame.bind(system);
    const to = nameOf(machine);
    system.handleFrame = (from, type, bytes, start, end) => {
      if (type === FrameType.raftMessage) {
        const reader = new ByteReader(bytes, start, end);
        const group = reader.u48();
        const uid = reader.u48();
        if (group === GROUP_ID) {
          this.watch.heard(uid, to, readRaftMessage(reader));
        }
      }
      handle(from, type, bytes, start, end);
    };
  }

  #strikeVoter(machine: SimulatedMachine): void {
    const fault = this.#voterFaults.shift();
    if (fault === undefined) return;
    const { time } = this.#cluster;
    time.schedule(
      fault.afterMs,
      () => this.#strike(machine, { type: "power_loss" }, fault.forMs),
    );
  }

  #strike(
    machine: SimulatedMachine,
    { type }: { readonly type: "power_loss" | "kill" | "pause" | "disk_full" },
    forMs: number,
  ): void {
    const node = this.#cluster.machines.indexOf(machine);
    this.#cluster.strike({ type, node, atMs: 0, forMs });
  }

  /** Does `acts`, each at its time, counted from now; resolves once the cluster is healed and all changes that were begun are done. */
  async run(acts: readonly PlannedAct[]): Promise<void> {
    const cluster = this.#cluster;
    const begunAtMs = cluster.time.now();
    /** Changes of the members, one after the other. */
    let changes: Promise<void> = Promise.resolve();
    for (const act of acts) {
      await this.#until(() =>
        cluster.healed || cluster.time.now() >= begunAtMs + act.atMs
      );
      if (cluster.healed) break;
      if (act.type === "add_member" || act.type === "remove_member") {
        changes = changes.then(() => this.#change(act));
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

  #do(
    act: Exclude<PlannedAct, { type: "add_member" | "remove_member" }>,
  ): void {
    this.#say(describeAct(act));
    switch (act.type) {
      case "transfer": {
        const to = this.#machine(act.node);
        const leader = this.#leader();
        if (leader === undefined) return;
        this.#attempt(leader, async (member) => {
          await promised<void>(
            member,
            (target) => member.transferLeadership(nameOf(to), target),
          );
        });
        return;
      }
      case "snapshot":
        this.#attempt(
          this.#machine(act.node),
          (member) => member.takeSnapshot(),
        );
        return;
      case "compact":
        this.#attempt(this.#machine(act.node), (member) => member.compact());
        return;
      case "leader_fault":
        this.#strikeLeader(act.how, act.forMs);
        return;
      case "voter_fault":
        this.#voterFaults.push(act);
        return;
    }
  }

  #machine(index: number): SimulatedMachine {
    return this.#cluster.machines[index] as SimulatedMachine;
  }

  /** Asks the member on `machine` for something that may be refused, or come to nothing with its process. */
  #attempt(
    machine: SimulatedMachine,
    act: (member: RaftMember) => Promise<void>,
  ): void {
    if (this.member(machine) === undefined) return;
    this.#options.operator.ask(async ({ parts }) => {
      const member = parts.raft?.member(SIMULATED_GROUP);
      if (member !== undefined) await act(member);
    }, machine).catch((error) => this.#say(`hears: ${reasonOf(error)}`));
  }

  #strikeLeader(how: LeaderFault, forMs: number): void {
    const machine = this.#leader();
    if (machine === undefined) return;
    const cluster = this.#cluster;
    const node = cluster.machines.indexOf(machine);
    const others = cluster.machines.map((_, index) => index)
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
    cluster.strike(fault);
  }

  async #change(
    act: Extract<PlannedAct, { type: "add_member" | "remove_member" }>,
  ): Promise<void> {
    if (this.#cluster.healed) return;
    const machine = this.#machine(act.node);
    const wanted = this.#wanted.get(machine);
    if ((act.type === "add_member") === (wanted !== undefined)) return;
    this.#say(describeAct(act));
    if (act.type === "add_member") {
      const uid = this.#nextUid++;
      await this.#again(() => this.#create(machine, uid));
      await this.#again(() =>
        this.#changeMembers(
          {
            type: "add",
            node: nameOf(machine),
            uid,
            kind: act.kind,
          },
          (members) => members.some((member) => member.uid === uid),
        )
      );
      this.#wanted.set(machine, { uid });
    } else {
      const node = nameOf(machine);
      await this.#again(() =>
        this.#changeMembers(
          { type: "remove", node },
          (members) => members.every((member) => member.node !== node),
        )
      );
      this.#wanted.delete(machine);
      await this.#again(() => this.#remove(machine));
    }
    this.#say(`done: ${describeAct(act)}`);
  }

  /** Tries until it is said to be done. */
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

  #create(machine: SimulatedMachine, uid: number): Promise<boolean> {
    return this.#options.operator.ask(async ({ parts: { raft } }) => {
      if (raft === undefined) return false;
      if (raft.member(SIMULATED_GROUP)?.uid === uid) return true;
      await raft.createMember({
        group: SIMULATED_GROUP,
        groupId: GROUP_ID,
        uid,
        machine: RA_KV_MACHINE,
        initial: [],
      });
      return true;
    }, machine);
  }

  #remove(machine: SimulatedMachine): Promise<boolean> {
    return this.#options.operator.ask(async ({ parts: { raft } }) => {
      if (raft === undefined) return false;
      try {
        await raft.removeMember(SIMULATED_GROUP);
      } catch (error) {
        if (!isWhorlError(error, "not_found")) throw error;
      }
      return true;
    }, machine);
  }

  /** Asks the leader for a change, and says whether it is agreed upon. */
  async #changeMembers(
    change: Parameters<RaftMember["changeMembership"]>[0],
    isDone: (members: readonly Member[]) => boolean,
  ): Promise<boolean> {
    const leader = this.#leader();
    if (leader === undefined) return false;
    return await this.#options.operator.ask(async ({ parts: { raft } }) => {
      const member = raft?.member(SIMULATED_GROUP);
      if (member === undefined || member.role !== "leader") return false;
      const { membership, commitIndex } = member;
      if (isDone(membership.members)) return membership.index <= commitIndex;
      await promised(
        member,
        (target: RaftTarget<{ index: number; term: number }>) =>
          member.changeMembership(change, target),
      );
      return false;
    }, leader);
  }

  /**
   * Lets time pass until the group is whole: it has one leader, the members that
   * it should have run, and all have applied all that there is. The violation if
   * that does not come.
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
            `The group has not settled ${GROUP_SETTLE_MS_MAX} ms after all faults ended: ${lacking}; ${this.#describe()}`,
        }];
      }
      await time.run(time.now() + LOOK_MS);
    }
  }

  /** What keeps the group from being whole. */
  #lacking(): string | undefined {
    const machine = this.#leader();
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

/** What a target of `begin` is told, as a promise. */
function promised<Result>(
  member: RaftMember,
  begin: (target: RaftTarget<Result>) => void,
): Promise<Result> {
  return new Promise((resolve, reject) =>
    begin({
      done: resolve,
      failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
    })
  );
}

function nameOf({ host }: SimulatedMachine): string {
  return `${host}@${host}`;
}

/** The whole state of a member's machine as a text, equal for equal states. */
function digestOf(member: RaftMember): string {
  const state = member.state as RaKvState;
  return `${stateDigest(state)} of ${state.keys.size} keys at ${state.timeMs}`;
}
