/**
 * More than a node takes at once.
 *
 * @module
 */
import { refusalOf, type Scenario } from "./scenario.ts";

/** Requests a node may have under way. */
const REQUESTS_MAX = 6;
const LOAD_MS = 3_000;
/** Of bursts, in virtual milliseconds; longer than the requests of one take. */
const BURST_EVERY_MS = 6_000;

/** All of them. */
export const OVERLOAD_SCENARIOS: readonly Scenario[] = [
  {
    name: "bursts_of_requests",
    what:
      "a node that is asked for more than it may have under way answers as many as it may, and refuses the others at once",
    operations: 20,
    loadMs: LOAD_MS,
    lossMax: 0,
    node: { requestsMax: REQUESTS_MAX },
    async script(story) {
      // What clients do may be refused as well, which is no fault of the cluster.
      await story.sleep(LOAD_MS + BURST_EVERY_MS);
      for (let burst = 1; burst <= 10; burst++) {
        const asked = 1 + story.chance.below(3 * REQUESTS_MAX);
        const askedAtMs = story.now();
        const refusedInMs: number[] = [];
        await Promise.all(
          Array.from({ length: asked }, async (_, at) => {
            const code = await refusalOf(
              story.ask(burst % 3, ({ kv }) => kv.get("burst", `k${at}`)),
            );
            if (code !== "overload") return;
            refusedInMs.push(story.now() - askedAtMs);
          }),
        );
        // That no more are taken is what the invariants of every run look at.
        story.expect(
          refusedInMs.length === Math.max(0, asked - REQUESTS_MAX),
          `${refusedInMs.length} of ${asked} requests were refused`,
        );
        story.expect(
          refusedInMs.every((ms) => ms === 0),
          `Requests were refused after ${Math.max(...refusedInMs)} ms`,
        );
        await story.sleep(BURST_EVERY_MS);
      }
    },
  },
];
