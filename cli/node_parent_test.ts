import { assert, assertEquals, assertMatch } from "@std/assert";
import { NodeParent, PARENT_LIMITS, type ParentedNode } from "./node_parent.ts";
import { capturedOutput } from "./output.ts";
import type { StopSignal, World } from "./world.ts";

const quick = { ...PARENT_LIMITS, backoff: { minMs: 1, maxMs: 5 } };

/** A parent of nodes that are a line of JavaScript each, and what became of it. */
function parentOf(
  scripts: readonly string[],
  limits = quick,
): {
  told: string[];
  pids: number[];
  signal: () => void;
  code: Promise<number>;
  /** Resolves when all are up. */
  booted: Promise<void>;
  /** Resolves when something that matches has been told. */
  until: (expected: RegExp) => Promise<void>;
} {
  const told: string[] = [];
  const pids: number[] = [];
  const waiting: { expected: RegExp; resolve: () => void }[] = [];
  const tell = (line: string) => {
    told.push(line);
    for (const { expected, resolve } of waiting) {
      if (expected.test(line)) resolve();
    }
  };
  const nodes = scripts.map((script, index): ParentedNode => ({
    id: `n${index + 1}`,
    program: Deno.execPath(),
    args: ["eval", script],
    env: { UP: `{"up":"n${index + 1}","address":"h:1"}` },
    onLog: (line) => tell(`n${index + 1}: ${line}`),
    onUp: (_, { pid }) => {
      pids.push(pid);
      tell(`n${index + 1} up ${pids.length}`);
    },
  }));
  let handler: ((signal: StopSignal) => void) | undefined;
  const world = {
    output: capturedOutput(),
    onStopSignal(given: typeof handler): Disposable {
      handler = given;
      return { [Symbol.dispose]: () => void (handler = undefined) };
    },
  } as unknown as World;
  const parent = new NodeParent(nodes, tell, limits);
  return {
    told,
    pids,
    signal: () => handler?.("SIGTERM"),
    code: parent.run(world),
    booted: parent.supervisor.booted,
    until: (expected) =>
      new Promise((resolve) => {
        if (told.some((line) => expected.test(line))) return resolve();
        waiting.push({ expected, resolve });
      }),
  };
}

const UP = `console.log(Deno.env.get("UP"));`;
const UNTIL_PARENT_ENDS = `for await (const _ of Deno.stdin.readable);`;
/** Is up, and stops on SIGTERM or when its parent is gone. */
const obedient = `Deno.addSignalListener("SIGTERM", () => {
  console.error("bye");
  Deno.exit(0);
}); ${UP} ${UNTIL_PARENT_ENDS}`;
/** Is up, and stops when its parent is gone only. */
const deaf =
  `Deno.addSignalListener("SIGTERM", () => {}); ${UP} ${UNTIL_PARENT_ENDS}`;

Deno.test({
  name: "NodeParent ends with 0 when its node ends normally",
  async fn() {
    const { code, told } = parentOf([`${UP} console.error("warm");`]);
    assertEquals(await code, 0);
    // Two streams: which of them is read first is left to chance.
    assertEquals(told.slice(0, 2).sort(), ["n1 up 1", "n1: warm"]);
    assertEquals(told.slice(2), ["n1 has stopped"]);
  },
});

Deno.test({
  name:
    "NodeParent starts a node again that is killed, and stops it in order when told to",
  async fn() {
    const warming = obedient.replace(UP, `${UP} console.error("warm");`);
    const { code, told, pids, signal, until } = parentOf([warming]);
    await until(/up 1/);
    await until(/warm/);
    Deno.kill(pids[0]!, "SIGKILL");
    await until(/up 2/);
    // What it logged long before is not told as the reason.
    assert(told.includes("n1: warm"));
    assert(
      told.includes(
        "The process of n1 has ended (SIGKILL)",
      ),
      told.join("\n"),
    );
    signal();
    assertEquals(await code, 0);
    assert(told.includes("n1: bye"), "it was asked, not killed");
  },
});

Deno.test({
  name: "NodeParent does not retry a node that fails its first start",
  async fn() {
    const { code, told } = parentOf([
      `console.error("port in use"); Deno.exit(3);`,
    ]);
    assertEquals(await code, 1);
    assertEquals(told[0], "n1: port in use");
    assertEquals(told[1], "n1 did not start (exit code 3)");
    assertEquals(told.length, 2);
  },
});

Deno.test({
  name: "NodeParent gives up on a node that fails too often",
  async fn() {
    const { code, told, pids } = parentOf([`${UP} Deno.exit(1);`]);
    assertEquals(await code, 1);
    assertEquals(pids.length, 1 + quick.restartsMax);
    assertMatch(told.at(-1)!, /Gave up on n1/);
  },
});

Deno.test({
  name: "NodeParent stops its nodes in reverse order",
  async fn() {
    const { code, told, signal, booted } = parentOf([obedient, obedient]);
    await booted;
    signal();
    assertEquals(await code, 0);
    assertEquals(told.filter((line) => line.endsWith("bye")), [
      "n2: bye",
      "n1: bye",
    ]);
  },
});

Deno.test({
  name: "NodeParent kills a node that does not stop in time",
  async fn() {
    const { code, signal, booted } = parentOf([deaf], {
      ...quick,
      shutdownMs: 50,
    });
    await booted;
    signal();
    assertEquals(await code, 0);
  },
});

Deno.test({
  name: "NodeParent kills its nodes at the second signal",
  async fn() {
    const { code, signal, booted } = parentOf([deaf]);
    await booted;
    signal();
    signal();
    assertEquals(await code, 1);
  },
});

Deno.test({
  name: "NodeParent can be stopped while a node is starting",
  async fn() {
    const { code, signal, until } = parentOf([
      `console.error("starting"); ${UNTIL_PARENT_ENDS}`,
    ]);
    await until(/starting/);
    signal();
    assertEquals(await code, 130);
  },
});
