/**
 * `kv` under attack: no acknowledged write lost, nothing shown that nobody
 * wrote, nothing replaced that lives again, and all replicas equal in the end.
 *
 * @module
 */
import { checkAcknowledgedWrites } from "../../src/simulation/checkers/acknowledged_writes.ts";
import type {
  KvInput,
  KvOutput,
  KvRead,
  KvRecord,
} from "../../src/simulation/checkers/kv_history.ts";
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import { HistoryRecorder } from "../../src/simulation/history.ts";
import type {
  AttackedStore,
  AttackedStoreKind,
  AttackSetting,
} from "./attacked_store.ts";
import { awaitConvergence } from "./convergence.ts";
import { FAULTS } from "./fault_table.ts";
import { type LoadWritten, type Quorum, startKvLoad } from "./kv_load.ts";
import type { Load } from "./load_clients.ts";
import type { NemesisCluster } from "./nemesis_cluster.ts";
import { checkStoppedCluster } from "./stopped_cluster.ts";

const CLIENTS_PER_NODE = 2;
/**
 * Rounds whose keys are read and judged again after each later one. Older ones
 * have been judged so often, and the keys of all would take too long to read.
 */
const ROUNDS_KEPT = 15;

/** See the module comment. */
export const KV_STORE: AttackedStoreKind = {
  name: "kv",
  faults: FAULTS,
  storage: "deno_kv",
  make: (setting) => new KvStore(setting),
};

/** What is known of a round that is over. */
interface Round {
  readonly keys: readonly string[];
  readonly quorum: Quorum;
  readonly records: readonly KvRecord[];
}

class KvStore implements AttackedStore {
  readonly #setting: AttackSetting;
  readonly #history: HistoryRecorder<KvInput, KvOutput>;
  /** The newest ones. */
  readonly #rounds: Round[] = [];
  #load: { load: Load; quorum: Quorum; firstId: number } | undefined;
  #reads: ReadonlyMap<string, KvRead> = new Map();

  constructor(setting: AttackSetting) {
    this.#setting = setting;
    this.#history = new HistoryRecorder<KvInput, KvOutput>(
      setting.now,
      setting.onRecord,
    );
  }

  get records(): readonly KvRecord[] {
    return this.#history.records;
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  roundWords(round: number): string {
    return `${quorumOf(round)} quorums`;
  }

  startRound(round: number, cluster: NemesisCluster): Load {
    const quorum = quorumOf(round);
    const firstId = this.#history.records.length;
    const load = startKvLoad({
      seed: `${this.#setting.seed} load ${round}`,
      clients: CLIENTS_PER_NODE * cluster.nodes.length,
      addresses: cluster.nodes.map(({ address }) => address),
      keyName: (key) => `round${round}/${key}`,
      quorum,
      history: this.#history,
    });
    this.#load = { load, quorum, firstId };
    return load;
  }

  endRound(): void {
    if (this.#load === undefined) return;
    const { load, quorum, firstId } = this.#load;
    const records = this.#history.records.slice(firstId);
    this.#rounds.push({ keys: load.keys, quorum, records });
    if (this.#rounds.length > ROUNDS_KEPT) this.#rounds.shift();
  }

  get #keys(): readonly string[] {
    return this.#rounds.flatMap(({ keys }) => keys);
  }

  async converge(
    cluster: NemesisCluster,
    deadline: number,
  ): Promise<number | string> {
    const convergence = await awaitConvergence(
      cluster,
      this.#keys,
      deadline,
      this.#setting.signal,
    );
    if (!convergence.converged) return convergence.difference;
    this.#reads = convergence.reads;
    return convergence.reads.size;
  }

  judge(): readonly Violation[] {
    // What was written in earlier rounds must be there as well.
    return this.#rounds.flatMap((round) => this.#judgeRound(round));
  }

  #judgeRound({ keys, quorum, records }: Round): readonly Violation[] {
    const ofRound = new Map(
      keys.map((key) => [key, this.#reads.get(key) as KvRead]),
    );
    return checkAcknowledgedWrites(
      records,
      ofRound,
      quorum === "strict"
        ? { readsSeeAcknowledged: true }
        : { counts: onPrimaries },
    );
  }

  /** Stops the cluster and looks at what its nodes have on disk. */
  async checkEnd(cluster: NemesisCluster): Promise<readonly Violation[]> {
    const { tell } = this.#setting;
    tell("stopping the nodes to read their disks");
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    const keys = this.#keys;
    const found = await checkStoppedCluster(cluster.nodes, keys);
    tell(
      found.length === 0
        ? `all replicas of ${keys.length} keys are equal, no dot was issued twice`
        : `${found.length} VIOLATIONS on disk`,
    );
    return found;
  }
}

function quorumOf(round: number): Quorum {
  return round % 2 === 1 ? "strict" : "sloppy";
}

/** Until handoff, what fallbacks alone have taken is not where the final read looks; nor may the one primary that has it be the damaged one. */
function onPrimaries({ output }: KvRecord): boolean {
  return (output as LoadWritten).primaryNodes >= 2;
}
