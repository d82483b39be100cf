import { assertEquals } from "@std/assert";
import type { Fault } from "./fault.ts";
import { FaultPlay } from "./fault_play.ts";
import type { NemesisCluster } from "./nemesis_cluster.ts";

Deno.test("FaultPlay counts a fault that has struck, and none that found nothing to strike", async () => {
  const told: string[] = [];
  const cluster = {
    tell: (text: string) => void told.push(text),
  } as unknown as NemesisCluster;
  let healed = 0;
  const kinds: Fault[] = [true, false].map((isThere) => ({
    name: isThere ? "strikes" : "misses",
    says: "",
    draw: () => ({ plan: null, claims: ["all"], words: "words" }),
    strike: () => Promise.resolve(isThere ? () => void healed++ : undefined),
  }));
  const play = new FaultPlay(cluster, kinds);
  const planned = kinds.map(({ name }) => ({
    fault: name,
    plan: null,
    claims: ["all"],
    words: "words",
    atMs: 0,
    forMs: 1,
  }));
  await play.play(planned, new AbortController().signal);
  assertEquals([...play.counts], [["strikes", 1]]);
  assertEquals([healed, play.active], [1, []]);
  assertEquals(
    told.at(-1),
    "- misses: there was nothing to do it to",
  );
});
