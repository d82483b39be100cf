/**
 * What is not rates: for how long nobody is served when a leader is lost, how
 * long a member takes to come back, and what groups cost that do nothing.
 *
 * @module
 */
import { connect } from "../../mod.ts";
import { cpuSeconds, memoryMb } from "../process_usage.ts";
import type { MeasuredProcess } from "../measured_process.ts";
import { settle } from "../measured_ring.ts";
import { GROUP, type MeasuredRaft } from "./measured_raft.ts";

/** Puts until one is acknowledged, which is how a client notices that there is a leader again. */
async function untilPut(
  put: (timeoutMs: number) => Promise<unknown>,
): Promise<void> {
  for (;;) {
    try {
      await put(10_000);
      return;
    } catch {
      // What came of it is unknown; the next one tells whether there is a leader.
    }
  }
}

/**
 * SIGKILL (`failover`) or SIGSTOP (`silent`) of the leader, again and again, and
 * the time from there to the next put that is acknowledged to a client of
 * another node.
 */
export async function lossOfLeader(
  cluster: MeasuredRaft,
  kind: "failover" | "silent",
  rounds: number,
): Promise<string> {
  let leader = await cluster.startGroup();
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const at = cluster.nodes.indexOf(leader);
    const other = cluster.nodes[(at + 1) % 3] as MeasuredProcess;
    await using client = await connect({
      nodes: [other.address],
      cookie: "bench",
    });
    const { raKv } = client;
    for (let i = 0; i < 20; i++) await raKv.put(GROUP, "k", i);
    const lostAt = performance.now();
    if (kind === "failover") await leader.kill();
    else Deno.kill(leader.pid, "SIGSTOP");
    await untilPut((timeoutMs) => raKv.put(GROUP, "k", round, { timeoutMs }));
    tookMs.push(performance.now() - lostAt);
    if (kind === "failover") leader = await cluster.startAgain(at);
    else Deno.kill(leader.pid, "SIGCONT");
    await settle([leader]);
    await leader.order({ do: "caught_up", cluster: GROUP });
    const { leader: name } = await raKv.members(GROUP);
    leader = cluster.nodes[cluster.indexOf(name)] as MeasuredProcess;
  }
  tookMs.sort((a, b) => a - b);
  const ms = (share: number): string =>
    (tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))] ??
      0).toFixed(0);
  return `${
    kind === "failover" ? "SIGKILL" : "SIGSTOP"
  } of the leader to the next acknowledged put, ${rounds} times: median ${
    ms(0.5)
  } ms, p90 ${ms(0.9)} ms, worst ${ms(1)} ms\n`;
}

/** The time a killed member takes from the start of its process to a read from its own log, with so many entries behind it. */
export async function restart(
  cluster: MeasuredRaft,
  entries: number,
): Promise<string> {
  const leader = await cluster.startGroup();
  const load = {
    operation: "put",
    concurrency: 256,
    durationMs: 2_000,
    valueBytes: 100,
    keys: 100_000,
  };
  let index = 0;
  while (index < entries) {
    await leader.order({ do: "load", load });
    index = await leader.order<number>({ do: "caught_up", cluster: GROUP });
  }
  const at = (cluster.nodes.indexOf(leader) + 1) % 3;
  await (cluster.nodes[at] as MeasuredProcess).kill();
  const startedAt = performance.now();
  const again = await cluster.startAgain(at);
  const upMs = performance.now() - startedAt;
  await again.order({ do: "caught_up", cluster: GROUP });
  const readMs = performance.now() - startedAt;
  return `restart with ${index} entries in the log: up after ${
    upMs.toFixed(0)
  } ms (the node says ${
    again.startMs.toFixed(0)
  }), reads from its own log after ${readMs.toFixed(0)} ms, ${
    memoryMb(again.pid).toFixed(0)
  } MB\n`;
}

/** Processor time of three nodes with so many groups that do nothing. */
export async function idleGroups(
  cluster: MeasuredRaft,
  groups: number,
): Promise<string> {
  const before = performance.now();
  for (let begun = 0; begun < groups; begun++) {
    await cluster.startGroup(`idle-${begun}`);
  }
  const startedMs = performance.now() - before;
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const pids = cluster.nodes.map(({ pid }) => pid);
  const used = pids.map(cpuSeconds);
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const seconds = (performance.now() - from) / 1000;
  const shares = pids.map((pid, at) =>
    100 * (cpuSeconds(pid) - (used[at] as number)) / seconds
  );
  return `${groups} idle groups on three nodes, started in ${
    (startedMs / 1000).toFixed(1)
  } s: ${
    shares.map((share) => `${share.toFixed(1)} %`).join(", ")
  } of a core, ${
    pids.map((pid) => `${memoryMb(pid).toFixed(0)} MB`).join(", ")
  }\n`;
}
