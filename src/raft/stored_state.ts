/**
 * The state that a member's machine begins with when its node starts.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { RaftMachine } from "./machine.ts";
import { decoderOf } from "./machine_host.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** So much of a state is read in one go, in bytes: others on the node are served while it starts. */
const SLICE_BYTES = 64 * 1024;

/** A state of a machine that was stored, and what it is of. */
export interface StoredState<State> {
  readonly point: SnapshotMeta | undefined;
  readonly state: State;
}

/** That of the newest checkpoint or snapshot. */
export async function storedState<State>(
  log: GroupLog,
  machine: RaftMachine<State>,
  runtime: Runtime,
): Promise<StoredState<State>> {
  const stored = await log.readCheckpoint() ?? await log.readSnapshot();
  if (stored === undefined) return { point: undefined, state: machine.init() };
  const decoder = decoderOf(machine);
  let bytes = 0;
  for await (const piece of stored.state) {
    if (bytes > 0 && bytes + piece.length > SLICE_BYTES) {
      bytes = 0;
      await new Promise<void>((resolve) => runtime.setTimer(0, resolve));
    }
    decoder.add(piece);
    bytes += piece.length;
  }
  return { point: stored.meta, state: decoder.end() };
}
