/**
 * The stored state that a member's machine starts from.
 *
 * @module
 */
import type { GroupLog } from "./log/raft_log.ts";
import type { StartTurns } from "./log/start_turns.ts";
import type { RaftMachine } from "./machine.ts";
import { decoderOf } from "./machine_host.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** Bytes of a state that take about as long to decode as an entry to apply. */
const ENTRY_BYTES = 64;

/** A stored state of a machine, with its checkpoint or snapshot. */
export interface StoredState<State> {
  readonly point: SnapshotMeta | undefined;
  readonly state: State;
}

/** Reads the state of the newest checkpoint or snapshot. */
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
