import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import type { GroupLog } from "./log/raft_log.ts";
import { StartTurns } from "./log/start_turns.ts";
import type { RaftMachine } from "./machine.ts";
import { storedState } from "./stored_state.ts";

const meta = {
  index: 9,
  term: 2,
  membership: { index: 0, members: [] },
  machineVersion: 0,
};
const pieces = Array.from({ length: 8 }, () => new Uint8Array(500_000));

/** A log with a snapshot and a checkpoint of this many pieces. */
function logOf(snapshot?: number, checkpoint?: number): GroupLog {
  const stored = (count: number | undefined) =>
    Promise.resolve(
      count === undefined ? undefined : { meta, state: pieces.slice(0, count) },
    );
  return {
    readSnapshot: () => stored(snapshot),
    readCheckpoint: () => stored(checkpoint),
  } as unknown as GroupLog;
}

/** A machine whose state is the number of pieces it was decoded from, and how. */
const machine = {
  init: () => "new",
  decode: (all: Iterable<unknown>) => `${[...all].length} at once`,
} as unknown as RaftMachine<string>;

Deno.test("storedState() reads the newest checkpoint, or else the snapshot", async () => {
  const runtime = new ManualRuntime();
  const found = async (...counts: (number | undefined)[]) =>
    (await storedState(logOf(...counts), machine, new StartTurns(runtime)))
      .state;
  assertEquals(await found(), "new");
  assertEquals(await found(1), "1 at once");
  assertEquals(await found(1, 2), "2 at once");
});

Deno.test("storedState() yields to others while it reads a large state", async () => {
  const runtime = new ManualRuntime();
  let added = 0;
  const seen: number[] = [];
  const starting = storedState(logOf(8), {
    ...machine,
    decoder: () => ({
      add: () => {
        added++;
        // Something else that waits for a turn.
        runtime.setTimer(0, () => void seen.push(added));
      },
      end: () => `${added} one by one`,
    }),
  }, new StartTurns(runtime));
  await runtime.advance(0);
  assertEquals(await starting, { point: meta, state: "8 one by one" });
  assertEquals(seen, [3, 3, 3, 6, 6, 6, 8, 8]);
});
