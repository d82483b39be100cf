/**
 * Snapshots being received by members of this node, at most one per group.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { GroupProcess } from "./group_process.ts";
import type { SnapshotReceiver } from "./log/raft_log.ts";
import type { StateDecoder } from "./machine.ts";
import type { SnapshotMeta } from "./raft_entry.ts";
import { readEntries, readOffer, readPiece } from "./snapshot_calls.ts";

/** Silence after which a transfer is aborted, in milliseconds. */
export const SNAPSHOT_IDLE_MS = 30_000;

interface Receiving {
  readonly transfer: number;
  /** The connection it arrives on. */
  readonly connection: object;
  readonly snapshot: SnapshotMeta;
  readonly receiver: SnapshotReceiver;
  readonly decoder: StateDecoder<unknown>;
  /** The applied index that the sender was told. */
  readonly appliedIndex: number;
  timer: TimerHandle | undefined;
}

/** Receives snapshots; see the module comment. */
export class SnapshotReceivers {
  readonly #runtime: Runtime;
  readonly #member: (group: string) => GroupProcess | undefined;
  /** Transfers that the core of a group wants. */
  readonly #expected = new Map<string, number>();
  readonly #receiving = new Map<string, Receiving>();
  /** Transfers that wait for the disk before they begin. */
  readonly #beginning = new Map<string, number>();

  constructor(
    runtime: Runtime,
    member: (group: string) => GroupProcess | undefined,
  ) {
    this.#runtime = runtime;
    this.#member = member;
  }

  /** The member of `group` wants the offered snapshot. */
  expect(group: string, transfer: number): void {
    this.#expected.set(group, transfer);
  }

  /** The member no longer wants the snapshot. Its core is told when the transfer has ended, as it waits for that. */
  forget(group: string): void {
    this.#expected.delete(group);
    this.#beginning.delete(group);
    const receiving = this.#receiving.get(group);
    if (receiving !== undefined) this.#abort(group, receiving);
  }

  /**
   * Handles a call of `snapshot_calls.ts` that came over `connection` from the
   * node `from`.
   *
   * @throws {WhorlError} `not_found` if there is no such member,
   * `snapshot_refused` if the snapshot is not wanted, `protocol_error`, or a
   * failure of the disk.
   */
  async call(
    connection: object,
    from: string,
    method: string,
    args: unknown,
  ): Promise<unknown> {
    if (method === "raft_snapshot_begin") {
      return await this.#begin(connection, from, args);
    }
    const { group, transfer, bytes } = readPiece(args);
    const receiving = this.#receiving.get(group);
    if (
      receiving === undefined || receiving.transfer !== transfer ||
      receiving.connection !== connection
    ) throw notWanted(group);
    this.#watch(group, receiving);
    try {
      switch (method) {
        case "raft_snapshot_live":
          await receiving.receiver.writeLive(readEntries(bytes));
          return null;
        case "raft_snapshot_state":
          // Decoded as it arrives: all at the end would block the node.
          receiving.decoder.add(bytes);
          await receiving.receiver.writeState(bytes);
          return null;
        case "raft_snapshot_end":
          await this.#end(group, receiving);
          return null;
      }
    } catch (error) {
      this.#abort(group, receiving);
      throw error;
    }
    throw new WhorlError("unknown_command", `Cannot call '${method}'`);
  }

  async #begin(
    connection: object,
    from: string,
    args: unknown,
  ): Promise<number> {
    const { group, groupId, uid, term, transfer, snapshot } = readOffer(args);
    const member = this.#member(group);
    if (
      member === undefined ||
      groupId !== undefined && groupId !== member.groupId
    ) {
      throw new WhorlError(
        "not_found",
        `Cannot take a snapshot as this node has no member of ${group}`,
      );
    }
    this.forget(group);
    member.message(from, uid, {
      type: "install_snapshot",
      term,
      snapshot,
      transfer,
    });
    if (this.#expected.get(group) !== transfer) throw notWanted(group);
    this.#expected.delete(group);
    this.#beginning.set(group, transfer);
    let receiver: SnapshotReceiver;
    try {
      receiver = await member.log.receiveSnapshot(snapshot);
    } catch (error) {
      if (this.#beginning.get(group) === transfer) {
        this.#beginning.delete(group);
      }
      member.snapshotAborted(snapshot);
      throw error;
    }
    if (this.#beginning.get(group) !== transfer) {
      receiver.abort().catch(() => {});
      member.snapshotAborted(snapshot);
      throw notWanted(group);
    }
    this.#beginning.delete(group);
    const receiving: Receiving = {
      transfer,
      connection,
      snapshot,
      receiver,
      decoder: member.stateDecoder(),
      appliedIndex: member.appliedIndex,
      timer: undefined,
    };
    this.#receiving.set(group, receiving);
    this.#watch(group, receiving);
    return receiving.appliedIndex;
  }

  async #end(group: string, receiving: Receiving): Promise<void> {
    const member = this.#member(group);
    if (member === undefined) throw notWanted(group);
    const { snapshot, receiver, decoder, appliedIndex } = receiving;
    this.#forgetTimer(receiving);
    // From here on it belongs to the log and can no longer be aborted.
    this.#receiving.delete(group);
    try {
      await member.installSnapshot(
        snapshot,
        receiver,
        decoder.end(),
        appliedIndex,
      );
    } catch (error) {
      receiver.abort().catch(() => {});
      member.snapshotAborted(snapshot);
      throw error;
    }
  }

  #watch(group: string, receiving: Receiving): void {
    this.#forgetTimer(receiving);
    receiving.timer = this.#runtime.setTimer(
      SNAPSHOT_IDLE_MS,
      () => this.#abort(group, receiving),
    );
  }

  #forgetTimer(receiving: Receiving): void {
    if (receiving.timer !== undefined) {
      this.#runtime.clearTimer(receiving.timer);
    }
    receiving.timer = undefined;
  }

  #abort(group: string, receiving: Receiving): void {
    if (this.#receiving.get(group) !== receiving) return;
    this.#drop(group);
    this.#member(group)?.snapshotAborted(receiving.snapshot);
  }

  #drop(group: string): void {
    const receiving = this.#receiving.get(group);
    if (receiving === undefined) return;
    this.#receiving.delete(group);
    this.#forgetTimer(receiving);
    // Files that cannot be removed now are removed when the log is opened next.
    receiving.receiver.abort().catch(() => {});
  }

  /** Aborts the transfers over `connection`, which has ended. */
  connectionEnded(connection: object): void {
    for (const [group, receiving] of [...this.#receiving]) {
      if (receiving.connection === connection) this.#abort(group, receiving);
    }
  }

  /** Aborts all transfers. */
  close(): void {
    for (const group of [...this.#receiving.keys()]) this.#drop(group);
    this.#expected.clear();
    this.#beginning.clear();
  }
}

function notWanted(group: string): WhorlError {
  return new WhorlError(
    "snapshot_refused",
    `Cannot take a snapshot of ${group} as it is not wanted, or no longer`,
  );
}
