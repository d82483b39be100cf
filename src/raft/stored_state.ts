/**
 * The state that a member's machine begins with when its node starts.
 *
 * @module
 */
import type { GroupLog } from "./log/raft_log.ts";
import type { RaftMachine } from "./machine.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** A state of a machine that was stored, and what it is of. */
export interface StoredState<State> {
  readonly point: SnapshotMeta | undefined;
  readonly state: State;
}

/** That of the newest checkpoint or snapshot. */
export async function storedState<State>(
  log: GroupLog,
  machine: RaftMachine<State>,
): Promise<StoredState<State>> {
  const checkpoint = await log.readCheckpoint();
  if (checkpoint !== undefined) {
    const { meta: point, state } = checkpoint;
    return { point, state: machine.decode(state) };
  }
  const stored = await log.readSnapshot();
  if (stored === undefined) return { point: undefined, state: machine.init() };
  const pieces = await Array.fromAsync(stored.state);
  return { point: stored.meta, state: machine.decode(pieces) };
}
