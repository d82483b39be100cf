/**
 * Sends a snapshot of this node's member to another member.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { RaftEntry } from "./raft_entry.ts";
import type { SnapshotConnection } from "./raft_world.ts";
import {
  SNAPSHOT_PIECE_BYTES,
  writeEntries,
  writeOffer,
} from "./snapshot_calls.ts";

/** Live entries read at a time. */
const LIVE_ENTRIES_AT_ONCE = 256;

/** The snapshot to send. */
export interface SnapshotToSend {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
  readonly term: number;
  /** The sender's number for the transfer. */
  readonly transfer: number;
  readonly log: GroupLog;
}

/**
 * Sends the latest snapshot of a group over `connection`, and resolves to its
 * index once the other member has installed it.
 *
 * @throws {WhorlError} `not_found` if there is none; the failure that the other
 * end answers; or why reading it here failed, as when a newer one replaced it.
 */
export async function sendSnapshot(
  { group, groupId, uid, term, transfer, log }: SnapshotToSend,
  connection: SnapshotConnection,
): Promise<number> {
  const stored = await log.readSnapshot();
  if (stored === undefined) {
    throw new WhorlError("not_found", `There is no snapshot of ${group}`);
  }
  const { meta, live, state } = stored;
  const applied = await connection.call(
    "raft_snapshot_begin",
    writeOffer({ group, groupId, uid, term, transfer, snapshot: meta }),
  );
  const has = typeof applied === "number" ? applied : 0;
  const send = async (
    method: string,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<void> => {
    await connection.call(method, { group, transfer, bytes });
  };
  let entries: RaftEntry[] = [];
  let byteCount = 0;
  const flush = async (): Promise<void> => {
    if (entries.length === 0) return;
    await send("raft_snapshot_live", writeEntries(entries));
    entries = [];
    byteCount = 0;
  };
  for (const wanted of inRows(live, has)) {
    const found = await log.read(wanted);
    for (const index of wanted) {
      const entry = found.get(index);
      if (entry === undefined) {
        throw new WhorlError(
          "store_corrupt",
          `Cannot send a snapshot of ${group} as entry ${index}, which is live in it, is not in the log any more`,
        );
      }
      entries.push(entry);
      byteCount += entry.body.length;
      if (byteCount >= SNAPSHOT_PIECE_BYTES) await flush();
    }
  }
  await flush();
  for await (const piece of state) {
    for (let at = 0; at < piece.length; at += SNAPSHOT_PIECE_BYTES) {
      await send(
        "raft_snapshot_state",
        piece.subarray(at, at + SNAPSHOT_PIECE_BYTES),
      );
    }
  }
  await send("raft_snapshot_end", new Uint8Array(0));
  return meta.index;
}

/** The indexes behind `has`, in batches. */
function* inRows(
  indexes: Iterable<number>,
  has: number,
): Generator<readonly number[]> {
  let row: number[] = [];
  for (const index of indexes) {
    if (index > has) row.push(index);
    if (row.length < LIVE_ENTRIES_AT_ONCE) continue;
    yield row;
    row = [];
  }
  if (row.length > 0) yield row;
}
