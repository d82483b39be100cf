/**
 * The handoff of a node, as a test wants it: what it tells can be set, and what
 * it is told is done to that and to nothing else.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import type {
  HandoffConfig,
  HandoffControl,
  HandoffStatus,
  HeldPartition,
  RepairStatus,
  TransferStatus,
} from "../../handoff/transfer.ts";

/** A fake with its insides open. */
export interface FakeHandoff extends HandoffControl {
  config: HandoffConfig;
  transfers: readonly TransferStatus[];
  completed: number;
  failed: number;
  history: readonly RepairStatus[];
  held: readonly HeldPartition[];
}

/** The handoff of `node`, which has nothing to do. */
export function fakeHandoff(node: string): FakeHandoff {
  const fake: FakeHandoff = {
    config: { concurrency: 2, outbound: true, inbound: true },
    transfers: [],
    completed: 0,
    failed: 0,
    history: [],
    held: [],
    status: (): HandoffStatus => ({
      node,
      config: fake.config,
      transfers: fake.transfers,
      completed: fake.completed,
      failed: fake.failed,
    }),
    setConcurrency(concurrency) {
      if (concurrency > 1_024) {
        throw new WhorlError(
          "invalid_argument",
          `Cannot run ${concurrency} transfers at once: the most is 1024`,
        );
      }
      return fake.config = { ...fake.config, concurrency };
    },
    setEnabled(direction, enabled) {
      const directions = direction === "both"
        ? ["inbound", "outbound"]
        : [direction];
      return fake.config = {
        ...fake.config,
        ...Object.fromEntries(directions.map((name) => [name, enabled])),
      };
    },
    repair(partition, module) {
      const started: RepairStatus = {
        module: module ?? "kv",
        partition,
        state: "running",
        done: [],
        pending: [`${node}/${partition - 1}`, `${node}/${partition + 1}`],
        items: 0,
        reason: null,
      };
      fake.history = [started, ...fake.history];
      return Promise.resolve([started]);
    },
    repairs: () => fake.history,
    heldPartitions: () => Promise.resolve(fake.held),
  };
  return fake;
}

/** A transfer that is half done, but for what `differs`. */
export function fakeTransfer(
  differs: Partial<TransferStatus> = {},
): TransferStatus {
  return {
    id: "1",
    kind: "ownership",
    module: "kv",
    direction: "outbound",
    source: "dev1@127.0.0.1",
    sourcePartition: 42,
    target: "dev4@127.0.0.1",
    targetPartition: differs.sourcePartition ?? 42,
    state: "sending",
    startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    items: 500,
    bytes: 60_000,
    itemsTotal: 1_000,
    itemsPerSecond: 100,
    bytesPerSecond: 12_000,
    failures: 0,
    reason: null,
    ...differs,
  };
}
