/**
 * The vnodes of app_name on simulated clusters: machines lose power, links
 * break, clocks jump. A seed that fails fails again, event by event.
 *
 * @module
 */
import assert from "node:assert/strict";
import { drawSchedule, FAULT_TYPES, simulate } from "@whorl/whorl/testing";
import { AppNameApi } from "./app_name_api.ts";
import appNameModule from "./app_name_vnode.ts";

const SEEDS = 10;

/** A list is read from two sound replicas, and nothing mends one that has rotted: say what you want then. */
const FAULTS = FAULT_TYPES.filter((type) => type !== "bit_rot");

Deno.test("app_name keeps every entry it acknowledged, whatever happens to its nodes", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const schedule = drawSchedule(seed, {
      nodes: 3,
      operations: 40,
      faults: FAULTS,
    });
    const { violations } = await simulate({
      seed,
      // A node that is cut off acknowledges alone, so a disk that says it has
      // synced and has not would lose entries, and rightly.
      schedule: {
        ...schedule,
        disk: { ...schedule.disk, liesAboutSync: false },
      },
      vnode: appNameModule,
      workload: async ({ number, chance, record }) => {
        const list = `list ${chance.below(5)}`;
        await record(list, `entry ${number}`, async (access) => {
          const api = new AppNameApi(access);
          await api.add(list, "milk", `entry ${number}`);
        });
      },
      check: async ({ history, nodes, eventually }) => {
        const added = history.filter(({ outcome }) => outcome === "ok");
        const lost: string[] = [];
        for (const { key: list, input: id } of added) {
          const entries = await eventually(
            `Reading ${list}`,
            () => new AppNameApi(nodes[0]!).entries(list),
          );
          if (!entries.some((entry) => entry.id === id)) {
            lost.push(`${list}, ${id}`);
          }
        }
        const lists = await eventually(
          "Listing",
          () => Array.fromAsync(new AppNameApi(nodes[0]!).lists()),
        );
        for (const { key: list } of added) {
          if (!lists.includes(list)) lost.push(list);
        }
        return lost.map((what) => ({
          check: "acknowledged_entries",
          message: `${what} was acknowledged and is gone`,
        }));
      },
    });
    assert.deepEqual(violations, [], `seed ${seed}`);
  }
});
