/**
 * `ra_kv` under attack: all that its clients saw is linearizable, and healed
 * members are equal.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../../src/base/errors.ts";
import { linearizabilityViolations } from "../../../src/simulation/checkers/linearizability.ts";
import {
  raKvModel,
  type RaKvOutput,
} from "../../../src/simulation/checkers/ra_kv_model.ts";
import type { Violation } from "../../../src/simulation/checkers/violation.ts";
import {
  HistoryRecorder,
  type OperationRecord,
} from "../../../src/simulation/history.ts";
import type {
  AttackedStore,
  AttackedStoreKind,
  AttackSetting,
} from "../attacked_store.ts";
import { HOST_FAULTS } from "../faults/host_faults.ts";
import { LINK_FAULTS } from "../faults/link_faults.ts";
import { PARTITION_FAULTS } from "../faults/partition_faults.ts";
import { PROCESS_FAULTS } from "../faults/process_faults.ts";
import type { Load } from "../load_clients.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import { pause } from "../pause.ts";
import { shortName } from "../short_name.ts";
import { LEADER_FAULTS } from "./leader_faults.ts";
import { LOG_FAULTS } from "./log_faults.ts";
import { awaitAgreement } from "./member_agreement.ts";
import {
  GROUP,
  type RaKvAsked,
  type RaKvHistory,
  type Seen,
  startRaKvLoad,
} from "./ra_kv_load.ts";

/** Few, as each more of them on a key makes its history much harder to judge. */
const CLIENTS = 6;
/** Time all members get to be equal again once the nodes were restarted, in milliseconds. */
const RESTARTED_MS_MAX = 30_000;
/** Time until a member that could not be added again is tried once more, in milliseconds. */
const ADD_AGAIN_MS = 250;

/** See the module comment. */
export const RA_KV_STORE: AttackedStoreKind = {
  name: "ra_kv",
  faults: [
    ...PROCESS_FAULTS,
    ...PARTITION_FAULTS,
    ...LINK_FAULTS,
    ...HOST_FAULTS,
    ...LOG_FAULTS,
    ...LEADER_FAULTS,
  ],
  storage: "memory",
  make: (setting) => new RaKvStore(setting),
};

class RaKvStore implements AttackedStore {
  readonly #setting: AttackSetting;
  readonly #history: RaKvHistory;
  readonly #keys: string[] = [];
  readonly #settled = new Map<string, Seen>();
  #load: Load | undefined;
  #changed: readonly string[] = [];

  constructor(setting: AttackSetting) {
    this.#setting = setting;
    this.#history = new HistoryRecorder<RaKvAsked, RaKvOutput>(
      setting.now,
      setting.onRecord,
    );
  }

  get records(): readonly OperationRecord<RaKvAsked, RaKvOutput>[] {
    return this.#history.records;
  }

  async prepare({ nodes }: NemesisCluster): Promise<void> {
    const { raKv } = await nodes[0]!.client();
    await raKv.startCluster(GROUP, nodes.map(({ name }) => name));
  }

  startRound(round: number, { nodes }: NemesisCluster): Load {
    this.#load = startRaKvLoad({
      seed: `${this.#setting.seed} load ${round}`,
      clients: CLIENTS,
      watchers: nodes.length,
      addresses: nodes.map(({ address }) => address),
      keyName: (key) => `round${round}/${key}`,
      history: this.#history,
    });
    return this.#load;
  }

  /** Gets alone would be no sign of progress. */
  counts({ input }: OperationRecord<unknown, unknown>): boolean {
    return (input as RaKvAsked).watching !== true;
  }

  endRound(): void {
    this.#keys.push(...this.#load?.keys ?? []);
  }

  async converge(
    cluster: NemesisCluster,
    deadline: number,
  ): Promise<number | string> {
    await this.#addLost(cluster, deadline);
    const agreed = await awaitAgreement({
      members: () => Promise.resolve(cluster.nodes),
      keys: this.#keys,
      settled: this.#settled,
      history: this.#history,
      deadline,
      signal: this.#setting.signal,
    });
    if (typeof agreed === "string") return agreed;
    this.#changed = agreed.changed;
    await this.#tidy(cluster);
    return this.#keys.length;
  }

  /** A node that has lost everything knows of no group: its operator adds it again. */
  async #addLost(
    { nodes }: NemesisCluster,
    deadline: number,
  ): Promise<void> {
    for (const lost of nodes) {
      while (performance.now() < deadline) {
        this.#setting.signal.throwIfAborted();
        try {
          const { raKv } = await lost.client();
          const { failures } = await raKv.overview(GROUP);
          const missing = failures.some(({ node, code }) =>
            node === lost.name && code === "unknown_cluster"
          );
          if (!missing) break;
          this.#setting.tell(`${shortName(lost.name)} is added again`);
          await raKv.addMember(GROUP, lost.name);
        } catch (error) {
          if (!isWhorlError(error)) throw error;
          this.#setting.tell(
            `not yet: ${shortName(lost.name)}: ${error.code}: ${
              reasonOf(error)
            }`,
          );
          await pause(ADD_AGAIN_MS, this.#setting.signal);
        }
      }
    }
  }

  /** What was damaged and is not needed any more goes, so that a later damage does not meet it. */
  async #tidy({ nodes }: NemesisCluster): Promise<void> {
    const { raKv } = await nodes[0]!.client();
    await raKv.takeSnapshot(GROUP);
    await raKv.compact(GROUP);
  }

  judge(): readonly Violation[] {
    return judgeKeys(this.#history.records, this.#changed);
  }

  /** Restarts all nodes: their members must have it all on their disks. */
  async checkEnd(cluster: NemesisCluster): Promise<readonly Violation[]> {
    const { tell } = this.#setting;
    tell("stopping the nodes and starting them again");
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    await Promise.all(cluster.nodes.map((node) => node.start()));
    const found = await this.converge(
      cluster,
      performance.now() + RESTARTED_MS_MAX,
    );
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    if (typeof found === "string") {
      return [{
        check: "convergence",
        message:
          `Members are not equal ${RESTARTED_MS_MAX} ms after a restart of all: ${found}`,
      }];
    }
    tell(`${found} keys are on each disk as they were`);
    return this.judge();
  }
}

/** What is wrong with the history of `keys`; what takes too many steps to judge has not passed. */
export function judgeKeys(
  records: readonly OperationRecord<RaKvAsked, RaKvOutput>[],
  keys: readonly string[],
): readonly Violation[] {
  const wanted = new Set(keys);
  return linearizabilityViolations(
    records.filter(({ key }) => wanted.has(key)),
    raKvModel,
  );
}
