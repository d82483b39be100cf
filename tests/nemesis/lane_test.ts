import { assert } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import { Lane } from "./lane.ts";

const NEVER = new AbortController().signal;
/** Of what would take minutes behind what has been given up. */
const SOON_MS_MAX = 5_000;
const MINUTES_OF_BYTES = 1_000_000;

function throttled(bytesPerSecond: number): Lane {
  const lane = new Lane(seededChance("throttled"));
  lane.impose(lane, { bytesPerSecond });
  return lane;
}

/** Fails unless `bytes` pass before long. */
async function passesSoon(lane: Lane, bytes: number): Promise<void> {
  const limit = AbortSignal.timeout(SOON_MS_MAX);
  await lane.passed(bytes, limit);
  assert(!limit.aborted, `${bytes} bytes have not passed`);
}

Deno.test("Lane.passed() gives all that pass together so many bytes a second", async () => {
  const lane = throttled(10_000);
  const startedAt = performance.now();
  await Promise.all([lane.passed(1_000, NEVER), lane.passed(1_000, NEVER)]);
  const tookMs = performance.now() - startedAt;
  assert(tookMs >= 199, `${tookMs} ms`);
});

Deno.test("Lane.passed() gives the time of what was given up to what waits and what comes", async () => {
  const lane = throttled(1_000);
  const giveUp = new AbortController();
  const first = lane.passed(MINUTES_OF_BYTES, giveUp.signal);
  const waits = passesSoon(lane, 16);
  giveUp.abort();
  await Promise.all([first, waits]);
  await passesSoon(lane, 16);
});

Deno.test("Lane.lift() of the last rate leaves nothing of it to the next one", async () => {
  const lane = throttled(1_000);
  const giveUp = new AbortController();
  const first = lane.passed(MINUTES_OF_BYTES, giveUp.signal);
  giveUp.abort();
  await first;
  lane.lift(lane);
  lane.impose(lane, { bytesPerSecond: 1_000 });
  await passesSoon(lane, 16);
});
