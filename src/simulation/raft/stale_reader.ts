/**
 * A client that reads locally at one member of a Raft group after another,
 * without asking the leader, and records how far the member had applied.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { isWhorlError } from "../../base/errors.ts";
import type { RaKvClient } from "../../ra_kv/ra_kv_client.ts";
import { isYetToBeAdded, type RaftMember } from "../../raft/raft_member.ts";
import type { StaleRead } from "../checkers/stale_reads.ts";
import type { Violation } from "../checkers/violation.ts";
import type { SimulatedCluster } from "../simulated_cluster.ts";
import type { SimulatedMachine } from "../simulated_machine.ts";
import type { SimulatedGroup } from "./simulated_group.ts";

/** Time between two reads, in virtual milliseconds. */
const EVERY_MS = 150;
/** Longer than the read of a value takes on a disk that stalls for a while. */
const TIMEOUT_MS = 5_000;

/** Options of a reader. */
export interface StaleReaderOptions {
  readonly group: SimulatedGroup;
  readonly cluster: SimulatedCluster;
  readonly chance: Chance;
  readonly keys: readonly string[];
  readonly fleeting: (key: string) => boolean;
  /** Called for what no application should ever see. */
  readonly onViolation: (violation: Violation) => void;
}

/** Reads until it is stopped. */
export class StaleReader {
  /**
   * In the order of their answers, which for one member is the order of the
   * requests.
   */
  readonly reads: StaleRead[] = [];
  readonly #options: StaleReaderOptions;
  /** Numbers of the incarnations of members. */
  readonly #lives = new Map<RaftMember, number>();
  #over = false;

  constructor(options: StaleReaderOptions) {
    this.#options = options;
  }

  /** Starts reading. */
  begin(): void {
    if (this.#over) return;
    this.#options.cluster.time.schedule(EVERY_MS, () => {
      if (this.#over) return;
      this.#readSome();
      this.begin();
    });
  }

  #readSome(): void {
    const { group, cluster, chance, keys } = this.#options;
    const having = cluster.machines.filter((machine) =>
      cluster.serves(machine) && group.member(machine) !== undefined
    );
    if (having.length === 0) return;
    const machine = chance.pick(having);
    const key = chance.pick(keys);
    machine.process?.setTimer(0, () => {
      const { node } = machine;
      const member = group.member(machine);
      if (node === undefined || member === undefined) return;
      this.#read(node.raKv, machine, member, key);
    });
  }

  async #read(
    raKv: RaKvClient,
    machine: SimulatedMachine,
    member: RaftMember,
    key: string,
  ): Promise<void> {
    const { group, fleeting, onViolation } = this.#options;
    const { appliedIndex } = member;
    const isAsked = !isYetToBeAdded(member);
    try {
      const { value, index } = await raKv.get(group.name, key, {
        consistency: "stale",
        timeoutMs: TIMEOUT_MS,
      });
      // Else another member may have answered, or another incarnation of this one.
      const isItsAnswer = isAsked && group.member(machine) === member;
      this.reads.push({
        life: isItsAnswer
          ? this.#lifeOf(member)
          : `an unknown member (read ${this.reads.length + 1})`,
        key,
        value: value === undefined ? null : value as string,
        index,
        appliedIndex: isItsAnswer ? appliedIndex : 0,
        commitIndex: group.commitIndex,
        fleeting: fleeting(key),
      });
    } catch (error) {
      if (isWhorlError(error)) return;
      onViolation({
        check: "stale_read_failed",
        message: `${error instanceof Error ? error.stack : error}`,
      });
    }
  }

  #lifeOf(member: RaftMember): string {
    const life = this.#lives.getOrInsertComputed(
      member,
      () => this.#lives.size + 1,
    );
    return `${member.node} (life ${life} of a member)`;
  }

  /** Stops reading. */
  stop(): void {
    this.#over = true;
  }
}
