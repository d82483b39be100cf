/**
 * A small system under simulation, for tests of the tools around a simulation.
 * A client's node sends every value to its owner, which stores it. It has a
 * planted bug: the owner acknowledges before its disk has synced, so that a
 * power loss at the right moment loses an acknowledged write.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import type { Violation } from "../checkers/violation.ts";
import { describeFault, hostOf } from "../schedule/fault_words.ts";
import {
  countOutcomes,
  HistoryRecorder,
  type OperationRecord,
} from "../history.ts";
import type { PlannedFault, Schedule } from "../schedule/schedule.ts";
import type { SimulationResult } from "../simulation_result.ts";
import { Trace } from "../trace/trace.ts";
import { VirtualTime } from "../virtual_time.ts";

const TIMEOUT_MS = 400;

type Operation = OperationRecord<unknown, unknown>;

interface ToyNode {
  readonly host: string;
  readonly synced: Set<number>;
  readonly unsynced: Set<number>;
  up: boolean;
  paused: boolean;
  lives: number;
}

/**
 * Runs `schedule` on the toy.
 *
 * @param honest Whether it acknowledges only after its sync, without the bug.
 */
export function runToy(
  schedule: Schedule,
  options: { readonly trace: boolean; readonly honest?: boolean },
): Promise<SimulationResult> {
  return new ToyCluster(schedule, options.trace, options.honest ?? false).run();
}

class ToyCluster {
  readonly #schedule: Schedule;
  readonly #honest: boolean;
  readonly #time = new VirtualTime();
  readonly #trace: Trace;
  readonly #history = new HistoryRecorder<unknown, unknown>(() =>
    this.#time.now()
  );
  readonly #nodes: readonly ToyNode[];
  readonly #active = new Set<PlannedFault>();
  #messages = 0;

  constructor(schedule: Schedule, trace: boolean, honest: boolean) {
    this.#schedule = schedule;
    this.#honest = honest;
    this.#trace = new Trace(trace, () => this.#time.now());
    this.#nodes = Array.from({ length: schedule.nodes }, (_, index) => ({
      host: hostOf(index),
      synced: new Set(),
      unsynced: new Set(),
      up: true,
      paused: false,
      lives: 1,
    }));
  }

  async run(): Promise<SimulationResult> {
    const { schedule, loadMs } = {
      schedule: this.#schedule,
      loadMs: this.#schedule.loadMs,
    };
    for (const node of this.#nodes) {
      this.#trace.add(node.host, "start", "life 1");
      this.#trace.add(node.host, "up", `${node.host}:10000`);
    }
    for (const fault of schedule.faults) {
      this.#time.schedule(fault.atMs, () => this.#begin(fault));
    }
    for (const number of schedule.operations) {
      const chance = seededChance(`${schedule.seed} operation ${number}`);
      this.#time.schedule(
        chance.next() * loadMs,
        () => this.#write(number, chance),
      );
    }
    await this.#time.run(loadMs + 10_000);
    this.#trace.add("world", "heal", "all faults end");
    this.#active.clear();
    const violations = this.#lostWrites();
    for (const { check, message } of violations) {
      this.#trace.add("world", "violation", `${check}: ${message}`);
    }
    return {
      schedule,
      violations,
      undecided: [],
      history: this.#history.records,
      counts: countOutcomes(this.#history.records),
      virtualMs: this.#time.now(),
      events: this.#time.events,
      trace: this.#trace,
    };
  }

  #write(number: number, chance: Chance): void {
    const client = `c${1 + number % this.#schedule.clientCount}`;
    const coordinator = this.#nodes[number % this.#nodes.length] as ToyNode;
    const owner = chance.pick(this.#nodes);
    const key = `k${this.#nodes.indexOf(owner) + 1}`;
    const record = this.#history.invoke(client, key, {
      type: "put",
      value: number,
    });
    this.#trace.add(client, "invoke", `${record.id} ${key} put ${number}`);
    const timeout = this.#time.schedule(TIMEOUT_MS, () => {
      this.#history.lose(record, "timeout");
      this.#end(client, record);
    });
    if (!coordinator.up) {
      this.#time.cancel(timeout);
      this.#history.fail(record, "node_not_running");
      return this.#end(client, record);
    }
    const acknowledged = (): void => {
      if (record.returnedAtMs !== undefined) return;
      this.#time.cancel(timeout);
      this.#history.succeed(record, { stored: number });
      this.#end(client, record);
    };
    const stored = (): void =>
      this.#send(owner, coordinator, `ack ${number}`, chance, acknowledged);
    const arrived = (): void => this.#store(owner, number, chance, stored);
    this.#send(coordinator, owner, `put ${number}`, chance, arrived);
  }

  #end(client: string, { id, key, outcome, error }: Operation): void {
    this.#trace.add(client, outcome, `${id} ${key} ${error ?? "stored"}`);
  }

  #store(
    owner: ToyNode,
    value: number,
    chance: Chance,
    acknowledge: () => void,
  ): void {
    const { syncMsMin, syncMsMax } = this.#schedule.disk;
    const life = owner.lives;
    owner.unsynced.add(value);
    if (!this.#honest) acknowledge();
    const syncMs = syncMsMin + chance.next() * (syncMsMax - syncMsMin);
    this.#time.schedule(syncMs, () => {
      if (owner.lives !== life || !owner.up) return;
      owner.unsynced.delete(value);
      owner.synced.add(value);
      this.#trace.add(owner.host, "log", `info kv: synced ${value}`);
      if (this.#honest) acknowledge();
    });
  }

  #send(
    from: ToyNode,
    to: ToyNode,
    text: string,
    chance: Chance,
    arrive: () => void,
  ): void {
    const id = ++this.#messages;
    const message = { id, from: from.host, to: to.host };
    const { delayMsMin, delayMsMax, lossProbability } = this.#schedule.network;
    this.#trace.add(from.host, "send", text, message);
    if (this.#cut(from, to) || chance.chance(lossProbability)) {
      return this.#trace.add(from.host, "lost", text, message);
    }
    this.#time.schedule(
      delayMsMin + chance.next() * (delayMsMax - delayMsMin),
      () => {
        if (!to.up || to.paused) return;
        this.#trace.add(to.host, "receive", text, message);
        arrive();
      },
    );
  }

  #cut(from: ToyNode, to: ToyNode): boolean {
    const [one, other] = [this.#nodes.indexOf(from), this.#nodes.indexOf(to)];
    for (const fault of this.#active) {
      if (fault.type !== "partition") continue;
      if (fault.from.includes(one) && fault.to.includes(other)) return true;
      if (
        !fault.oneWay && fault.from.includes(other) && fault.to.includes(one)
      ) return true;
    }
    return false;
  }

  #begin(fault: PlannedFault): void {
    this.#trace.add("world", "fault", describeFault(fault));
    this.#active.add(fault);
    const node = "node" in fault ? this.#nodes[fault.node] : undefined;
    if (
      node !== undefined &&
      (fault.type === "kill" || fault.type === "power_loss")
    ) {
      node.up = false;
      node.lives++;
      this.#trace.add(
        node.host,
        "fault",
        fault.type === "kill" ? "is killed" : "loses power",
      );
      if (fault.type === "power_loss") node.unsynced.clear();
    }
    if (node !== undefined && fault.type === "pause") node.paused = true;
    this.#time.schedule(fault.forMs, () => {
      this.#trace.add("world", "fault_end", describeFault(fault));
      this.#active.delete(fault);
      if (node === undefined) return;
      if (!node.up) this.#trace.add(node.host, "start", `life ${node.lives}`);
      node.up = true;
      node.paused = false;
      // A process that was only killed finds what is in the page cache.
      for (const value of node.unsynced) node.synced.add(value);
      this.#trace.add(node.host, "up", `${node.host}:10000`);
    });
  }

  #lostWrites(): Violation[] {
    return this.#history.records.flatMap(
      ({ id, key, input, outcome }): Violation[] => {
        const owner = this.#nodes[Number(key.slice(1)) - 1] as ToyNode;
        const { value } = input as { value: number };
        return outcome !== "ok" || owner.synced.has(value) ? [] : [{
          check: "lost_write",
          message: `${key} lacks the value ${value}, which was acknowledged`,
          key,
          operations: [id],
        }];
      },
    );
  }
}
