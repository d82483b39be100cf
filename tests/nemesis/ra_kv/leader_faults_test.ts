import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../../src/base/errors.ts";
import type { Fault } from "../fault.ts";
import type { NemesisCluster } from "../nemesis_cluster.ts";
import { LEADER_FAULTS } from "./leader_faults.ts";

/** Nodes of which the first leads as long as `leads` says so. */
function bench(leads: () => string | undefined) {
  const state = { paused: 0, blocked: 0 };
  const nodes = ["a", "b", "c"].map((name) => ({
    name,
    running: true,
    pause: () => void state.paused++,
    resume: () => void state.paused--,
    client: () =>
      Promise.resolve({
        raKv: {
          members: () => {
            const leader = leads();
            return leader === undefined
              ? Promise.reject(new WhorlError("timeout", "nobody leads"))
              : Promise.resolve({ leader });
          },
        },
      }),
  }));
  const cluster = {
    nodes,
    node: (name: string) => nodes.find((node) => node.name === name),
    tell: () => {},
    network: {
      impose: () => {
        state.blocked++;
        return { [Symbol.dispose]: () => void state.blocked-- };
      },
    },
  } as unknown as NemesisCluster;
  return { cluster, state };
}

function faultNamed(name: string): Fault {
  return LEADER_FAULTS.find((fault) => fault.name === name) as Fault;
}

const { signal } = new AbortController();

Deno.test("faults of the leader strike nobody where nobody leads", async () => {
  const { cluster, state } = bench(() => undefined);
  for (const { strike } of LEADER_FAULTS) {
    assertEquals(await strike(cluster, null, signal), undefined);
  }
  assertEquals(state, { paused: 0, blocked: 0 });
});

Deno.test("leader_asleep lasts once another one leads", async () => {
  const leaders = ["a", "a", "b"];
  const { cluster, state } = bench(() => leaders.shift());
  const heal = await faultNamed("leader_asleep")
    .strike(cluster, null, signal);
  assertEquals(state, { paused: 0, blocked: 1 });
  await heal?.();
  assertEquals(state, { paused: 0, blocked: 0 });
});

Deno.test("leader_asleep ends with the run, and takes all back", async () => {
  const over = new AbortController();
  let questions = 0;
  const { cluster, state } = bench(() => {
    if (++questions === 3) over.abort(new Error("The run is over"));
    return "a";
  });
  const { strike } = faultNamed("leader_asleep");
  await assertRejects(
    async () => await strike(cluster, null, over.signal),
    Error,
    "The run is over",
  );
  assertEquals([questions, state], [3, { paused: 0, blocked: 0 }]);
});
