/**
 * The nemesis itself: a short run on three nodes, and what is left of one that
 * is interrupted or killed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { decodeHistory } from "../../src/simulation/history.ts";
import { textLines } from "../harness/text_lines.ts";
import { FAULTS } from "./fault_table.ts";
import { KV_STORE } from "./kv_store.ts";
import { run } from "./machine.ts";
import { runNemesis } from "./nemesis.ts";
import { summaryText } from "./nemesis_summary.ts";
import { removeLeftovers } from "./run_directory.ts";
import { logsIn, withReports } from "./short_run.ts";

const MAIN = new URL("main.ts", import.meta.url).pathname;
/** A short form: which kinds of faults it plays, and for how long. */
interface ShortForm {
  /** Chosen because its short rounds have every kind that three nodes can meet, with a compiler or without. */
  readonly seed: string;
  readonly kinds: readonly string[];
  readonly rounds: number;
  readonly durationMs: number;
  readonly roundMs: number;
}

/** Kinds that have a form of their own: two rounds are too short for all. */
const HINDERED = ["starve", "throttle", "clock_rate", "short_write"];
/** Loss is left out: where the machine can lose packets, the seed would draw otherwise. */
const LEFT_OUT = ["loss", ...HINDERED];
const FORMS: Readonly<Record<string, ShortForm>> = {
  "processes, links, disks and stores fail": {
    seed: "short 225678",
    kinds: FAULTS.map(({ name }) => name)
      .filter((name) => !LEFT_OUT.includes(name)),
    rounds: 2,
    // A second round, no third: the faults of two take 21 s at least.
    durationMs: 20_000,
    roundMs: 9_000,
  },
  "processors, links, disks and clocks are hindered": {
    // Half of the writes are short, on all nodes.
    seed: "short 978",
    kinds: HINDERED,
    rounds: 1,
    durationMs: 0,
    roundMs: 3_000,
  },
};

for (const [what, form] of Object.entries(FORMS)) {
  Deno.test(`three processes lose nothing while ${what}`, () =>
    withReports((reports) => playShort(form, reports)));
}

async function playShort(
  { kinds, rounds, ...form }: ShortForm,
  reports: string,
): Promise<void> {
  const lines: string[] = [];
  const summary = await runNemesis({
    ...form,
    store: KV_STORE,
    nodes: 3,
    only: kinds,
    reports,
    tell: (line) => lines.push(line),
    signal: new AbortController().signal,
  });
  const told = [...lines, summaryText(summary)].join("\n");
  if (!summary.passed) throw new Error(`${told}\n${logsIn(summary)}`);
  assertEquals(summary.rounds, rounds, told);
  for (const { name, injected, skipped } of summary.faults) {
    assertEquals(injected > 0, skipped === undefined, `${name}\n${told}`);
    if (name === "short_write" && injected > 0) {
      assert((summary.disks?.shortWrites ?? 0) > 0, told);
    }
  }
  assertEquals(summary.faults.map(({ name }) => name), kinds);
  // Of a run that has passed only the summary is kept, and no process lives.
  assertEquals(await contents(summary.directory), ["summary.json"]);
  assertEquals(await processesOf(reports), []);
}

async function contents(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => name).sort();
}

/** Command lines that name `path`, our own tools apart. */
async function processesOf(path: string): Promise<string[]> {
  const all = await run("ps", "-A", "-ww", "-o", "pid=,stat=,args=");
  return all.split("\n").filter((line) =>
    line.includes(path) && !/^\s*\d+\s+Z/.test(line)
  );
}

Deno.test("a node that ends without reason fails the run, whose report has all there is to look at", () =>
  withReports(async (reports) => {
    let killed = false;
    const summary = await runNemesis({
      store: KV_STORE,
      seed: "a fall",
      nodes: 3,
      durationMs: 0,
      roundMs: 2_000,
      only: ["delay"],
      reports,
      tell: (line) => {
        if (killed || !line.includes("+ delay")) return;
        killed = true;
        // Somebody else ends a node, as a bug of its own would.
        const [run] = [...Deno.readDirSync(reports)];
        const { processes } = JSON.parse(
          Deno.readTextFileSync(`${reports}/${run!.name}/run.json`),
        );
        Deno.kill(processes[0], "SIGKILL");
      },
      signal: new AbortController().signal,
    });
    assertEquals(summary.passed, false);
    assertEquals(summary.violations.map(({ check }) => check), ["node_fell"]);
    assert(summaryText(summary).includes("FAILED  --seed a fall --nodes 3"));
    const { directory } = summary;
    assertEquals(
      await contents(directory),
      ["data", "history.jsonl", "logs", "schedule.json", "summary.json"],
    );
    assertEquals(
      await contents(`${directory}/logs`),
      ["dev1.log", "dev2.log", "dev3.log", "nemesis.log"],
    );
    assertEquals(await contents(`${directory}/data`), ["dev1", "dev2", "dev3"]);
    const history = decodeHistory(
      await Deno.readTextFile(`${directory}/history.jsonl`),
    );
    const { ok, failed, unknown } = summary.operations;
    assertEquals(history.length, ok + failed + unknown);
    const [round] = JSON.parse(
      await Deno.readTextFile(`${directory}/schedule.json`),
    );
    assertEquals(round[0].fault, "delay");
  }));

/** Starts the program and resolves once it has told a line that `matches`. */
async function startedMain(
  reports: string,
  only: string,
  matches: RegExp,
): Promise<{ child: Deno.ChildProcess; rest: Promise<string> }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", MAIN, "--reports", reports],
      ...["--seed", "cleanup", "--only", only],
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const lines = textLines(child.stdout);
  const seen = Promise.withResolvers<void>();
  const rest = (async () => {
    let text = "";
    for await (const line of lines) {
      text += `${line}\n`;
      if (matches.test(line)) seen.resolve();
    }
    seen.reject(new Error(`It ended early:\n${text}`));
    return text;
  })();
  await seen.promise;
  return { child, rest };
}

Deno.test("an interrupted nemesis removes what it made and says so", () =>
  withReports(async (reports) => {
    const { child, rest } = await startedMain(reports, "delay", /\+ delay/);
    assert((await processesOf(reports)).length >= 3, "nodes run");
    child.kill("SIGINT");
    const text = await rest;
    assertEquals((await child.status).code, 130, text);
    assert(text.includes("Interrupted"), text);
    assertEquals(await processesOf(reports), []);
    assertEquals(await contents(reports), []);
  }));

Deno.test("removeLeftovers() ends and removes what a killed nemesis has left, and nothing of one that lives", () =>
  withReports(async (reports) => {
    const { child, rest } = await startedMain(reports, "pause", /\+ pause/);
    assertEquals(await removeLeftovers(reports), []);
    child.kill("SIGKILL");
    await child.status;
    await rest;
    // A node that stands still does not notice that its driver is gone.
    const left = await processesOf(reports);
    assert(left.length >= 1, "a paused node is left");
    const removed = await removeLeftovers(reports);
    assertEquals(removed.length, 1);
    assert(/process \d+/.test(removed[0] as string), removed[0]);
    assertEquals(await contents(reports), []);
    await gone(() => processesOf(reports));
  }));

/** Resolves once there are none; the system takes its time to end what was killed. */
async function gone(find: () => Promise<string[]>): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const found = await find();
    if (found.length === 0) return;
    assert(performance.now() < deadline, found.join("\n"));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
