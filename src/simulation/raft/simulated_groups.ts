/**
 * The Raft groups of a simulated cluster, which share what the nodes have: one
 * write-ahead log, one system, one heartbeat frame. After every event each
 * member is checked, and so is each message that arrives. Besides the
 * workload's clients, some watch a group and some read locally at its members.
 *
 * @module
 */
import type { SerializedError } from "../../../supervisors/exit_reason.ts";
import type { SupervisorReport } from "../../../supervisors/supervisor.ts";
import { ByteReader } from "../../base/byte_reader.ts";
import { isStoreFailure } from "../../base/errors.ts";
import type { RaKvState } from "../../ra_kv/ra_kv_machine.ts";
import { readRaftMessage } from "../../raft/raft_message_codec.ts";
import type { RaftSystemProcess } from "../../raft/raft_system.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { GroupWrites } from "../checkers/group_writes.ts";
import type { RaKvInput, RaKvOutput } from "../checkers/ra_kv_model.ts";
import { checkStaleReads } from "../checkers/stale_reads.ts";
import type { Violation } from "../checkers/violation.ts";
import { checkWatch } from "../checkers/watch_events.ts";
import type { OperationRecord } from "../history.ts";
import { groupOf } from "../schedule/fault_words.ts";
import type { GroupPlan } from "../schedule/schedule.ts";
import type { SimulatedCluster } from "../simulated_cluster.ts";
import type { SimulatedMachine } from "../simulated_machine.ts";
import type { SimulatedOperator } from "../simulated_operator.ts";
import { GroupWatcher } from "./group_watcher.ts";
import { FLEETING_KEYS, groupKeys, groupWrites } from "./ra_kv_places.ts";
import { SimulatedGroup } from "./simulated_group.ts";
import { StaleReader } from "./stale_reader.ts";

/**
 * Virtual time within which watches must have delivered the last change, in
 * milliseconds.
 */
const WATCH_MS_MAX = 30_000;
/**
 * How long after its expiry a value may remain on a member, in milliseconds.
 */
const EXPIRY_MS_MAX = 3_000;
/** Interval between checks of a condition, in virtual milliseconds. */
const LOOK_MS = 20;
/** The watches of each group: one with values, one without. */
const WATCHERS = [true, false];

/** Options of the groups. */
export interface SimulatedGroupsOptions {
  readonly cluster: SimulatedCluster;
  readonly operator: SimulatedOperator;
  readonly plans: readonly GroupPlan[];
}

/** All groups of a cluster. */
export class SimulatedGroups {
  readonly #cluster: SimulatedCluster;
  readonly #groups: readonly SimulatedGroup[];
  readonly #plans: readonly GroupPlan[];
  readonly #violations: Violation[] = [];
  readonly #systems = new WeakSet<RaftSystemProcess>();
  readonly #forgetDeaths = new Map<SimulatedMachine, () => void>();
  /** Machines whose logs were damaged. */
  readonly #rotten = new Set<SimulatedMachine>();
  readonly #watchers = new Map<SimulatedGroup, GroupWatcher[]>();
  readonly #readers = new Map<SimulatedGroup, StaleReader>();

  constructor({ cluster, operator, plans }: SimulatedGroupsOptions) {
    this.#cluster = cluster;
    this.#plans = plans;
    const rotten = this.#rotten;
    this.#groups = plans.map((plan, number) =>
      new SimulatedGroup({
        name: groupOf(number),
        cluster,
        operator,
        plan,
        rotten,
      })
    );
  }

  /** What was violated. */
  get violations(): readonly Violation[] {
    return [
      ...this.#violations,
      ...this.#groups.flatMap(({ violations }) => violations),
    ];
  }

  /**
   * Checks whether something below a supervisor exited for a reason other than
   * its disk: a member that breaks its own invariants is restarted, and nobody
   * would notice.
   */
  reported(life: string, report: SupervisorReport): void {
    if (report.type !== "child_exited" && report.type !== "start_failed") {
      return;
    }
    const { supervisor, reason } = report;
    if (supervisor !== "raft_groups" && supervisor !== "raft_sup") return;
    if (typeof reason !== "object" || reason.type !== "crash") return;
    const isRotten = [...this.#rotten].some(({ host }) =>
      life.startsWith(`${host} `)
    );
    for (
      let error: SerializedError | undefined = reason.error;
      error !== undefined;
      error = error.cause
    ) {
      const { code } = error;
      // A failed disk closes the log under it.
      if (isStoreFailure(code) || code === "closed") return;
      if (isRotten && code === "tail_lost") return;
    }
    const { message, stack, cause } = reason.error;
    this.#violations.push({
      check: "raft_member_crashed",
      message: `A part of ${supervisor} in ${life} has ended: ${message}\n${
        cause?.stack ?? stack ?? ""
      }`,
    });
  }

  /**
   * Creates the groups, and lets time pass until each has a leader; returns
   * violations if they get none.
   */
  async begin(): Promise<Violation[]> {
    const cluster = this.#cluster;
    cluster.time.observe(() => this.#look());
    for (const group of this.#groups) {
      const violations = await group.begin();
      if (violations.length > 0) return violations;
    }
    const onViolation = (violation: Violation): void =>
      void this.#violations.push(violation);
    for (const group of this.#groups) {
      const { name } = group;
      const chance = cluster.chance.fork(`watchers of ${name}`);
      const watchers = WATCHERS.map((values, number) =>
        new GroupWatcher({
          name: `Watcher ${number + 1} of ${name}`,
          group: name,
          cluster,
          chance: chance.fork(`${number}`),
          values,
          onViolation,
        })
      );
      this.#watchers.set(group, watchers);
      for (const watcher of watchers) watcher.begin();
      const reader = new StaleReader({
        group,
        cluster,
        chance: cluster.chance.fork(`stale reads of ${name}`),
        keys: groupKeys(),
        fleeting: (key) => FLEETING_KEYS.has(key),
        onViolation,
      });
      this.#readers.set(group, reader);
      reader.begin();
    }
    return [];
  }

  #look(): void {
    for (const machine of this.#cluster.machines) {
      const system = machine.node?.parts.raft;
      if (system !== undefined && !this.#systems.has(system)) {
        this.#begins(machine, system);
      }
      for (const group of this.#groups) group.look(machine);
    }
  }

  /**
   * The system of a node, in a new incarnation or after a failure of its disk.
   */
  #begins(machine: SimulatedMachine, system: RaftSystemProcess): void {
    this.#systems.add(system);
    this.#forgetDeaths.get(machine)?.();
    this.#forgetDeaths.set(
      machine,
      machine.onDeath(() => {
        for (const group of this.#groups) group.ends(machine);
      }),
    );
    const handle = system.handleFrame.bind(system);
    system.handleFrame = (from, type, bytes, start, end) => {
      if (type === FrameType.raftMessage) {
        const reader = new ByteReader(bytes, start, end);
        const groupId = reader.u48();
        const uid = reader.u48();
        this.#groups.find((group) => group.has(groupId))
          ?.heard(groupId, uid, from, machine, readRaftMessage(reader));
      }
      handle(from, type, bytes, start, end);
    };
  }

  /**
   * Performs the planned acts of each group, each at its time, relative to now;
   * resolves once the cluster is healed and all changes begun are done.
   */
  async run(): Promise<void> {
    await Promise.all(
      this.#groups.map((group, number) =>
        group.run((this.#plans[number] as GroupPlan).acts)
      ),
    );
  }

  /**
   * Lets time pass until each group is whole; returns violations if they do not
   * get there.
   */
  async untilSettled(): Promise<Violation[]> {
    for (const group of this.#groups) {
      const violations = await group.untilSettled();
      if (violations.length > 0) return violations;
    }
    return [];
  }

  /**
   * Checks what watches and local reads have seen against what clients wrote,
   * once everything has settled.
   */
  async judge(
    history: readonly OperationRecord<unknown, unknown>[],
  ): Promise<Violation[]> {
    const records = history as readonly OperationRecord<
      RaKvInput,
      RaKvOutput
    >[];
    const violations: Violation[] = [];
    for (const group of this.#groups) {
      violations.push(
        ...await this.#untilExpired(group, records),
        ...await this.#untilTold(group),
      );
    }
    this.stop();
    for (const group of this.#groups) {
      const writes = new GroupWrites(groupWrites(records, group.name));
      for (const { name, events, values } of this.#watchers.get(group) ?? []) {
        violations.push(...checkWatch({
          name,
          events,
          values,
          fleeting: (key) => FLEETING_KEYS.has(key),
        }, writes));
      }
      const { reads = [] } = this.#readers.get(group) ?? {};
      violations.push(...checkStaleReads(reads, writes));
    }
    return violations;
  }

  /**
   * Lets time pass until no member has an expired value. Where a clock has
   * jumped, expiry times are unknown.
   */
  async #untilExpired(
    group: SimulatedGroup,
    history: readonly OperationRecord<RaKvInput, RaKvOutput>[],
  ): Promise<Violation[]> {
    const { name } = group;
    const { time, machines, schedule } = this.#cluster;
    if (schedule.faults.some(({ type }) => type === "clock_jump")) return [];
    const ends = history.flatMap(({ key, returnedAtMs }) => {
      const [place, of = ""] = key.split("/");
      const ttlMs = FLEETING_KEYS.get(of);
      return place === name && ttlMs !== undefined
        ? [(returnedAtMs ?? 0) + ttlMs]
        : [];
    });
    const untilMs = Math.max(time.now(), ...ends) + EXPIRY_MS_MAX;
    const holding = (): string[] =>
      machines.flatMap((machine) => {
        // The remains of a removed member receive nothing more.
        if (!group.isMember(machine)) return [];
        const state = group.member(machine)?.state as RaKvState | undefined;
        return (state?.expiries.size ?? 0) > 0 ? [machine.host] : [];
      });
    while (holding().length > 0) {
      if (time.now() >= untilMs) {
        return [{
          check: "expired_late",
          message: `Values of ${name} are on ${
            holding().join(", ")
          } ${EXPIRY_MS_MAX} ms after their time`,
        }];
      }
      await time.run(time.now() + LOOK_MS);
    }
    return [];
  }

  /** Lets time pass until watches have delivered the last change. */
  async #untilTold(group: SimulatedGroup): Promise<Violation[]> {
    const { time } = this.#cluster;
    const leader = group.leader();
    const state = leader && group.member(leader)?.state as
      | RaKvState
      | undefined;
    if (state === undefined) return [];
    let last = 0;
    state.changes.visitAfter(state.changes.floor, ({ index }) => {
      last = index;
      return true;
    });
    const untilMs = time.now() + WATCH_MS_MAX;
    const behind = (): GroupWatcher[] =>
      (this.#watchers.get(group) ?? []).filter(({ index }) => index < last);
    while (behind().length > 0) {
      if (time.now() >= untilMs) {
        return behind().map(({ name, index }) => ({
          check: "watch_behind",
          message:
            `${name} has heard of nothing after index ${index} for ${WATCH_MS_MAX} ms, and there is a change at ${last}`,
        }));
      }
      await time.run(time.now() + LOOK_MS);
    }
    return [];
  }

  /** Stops all watches and reads. */
  stop(): void {
    for (const watchers of this.#watchers.values()) {
      for (const watcher of watchers) watcher.stop();
    }
    for (const reader of this.#readers.values()) reader.stop();
  }
}
