/**
 * The state that a member's machine begins with when its node starts.
 *
 * @module
 */
import type { GroupLog } from "./log/raft_log.ts";
import type { StartTurns } from "./log/start_turns.ts";
import type { RaftMachine } from "./machine.ts";
import { decoderOf } from "./machine_host.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** Bytes of a state that take about as long as an entry does. */
const ENTRY_BYTES = 64;

/** A state of a machine that was stored, and what it is of. */
export interface StoredState<State> {
  readonly point: SnapshotMeta | undefined;
  readonly state: State;
}

/** That of the newest checkpoint or snapshot. */
export async function storedState<State>(
  log: GroupLog,
  machine: RaftMachine<State>,
  turns: StartTurns,
): Promise<StoredState<State>> {
  const stored = await log.readCheckpoint() ?? await log.readSnapshot();
  if (stored === undefined) return { point: undefined, state: machine.init() };
  const decoder = decoderOf(machine);
  turns.begin();
  for await (const piece of stored.state) {
    await turns.step(piece.length / ENTRY_BYTES, () => decoder.add(piece));
  }
  return { point: stored.meta, state: decoder.end() };
}
