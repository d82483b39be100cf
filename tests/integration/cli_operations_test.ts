/**
 * Every command of the command line on real nodes, up and down, after riak_test's
 * riak_admin_console_tests and basic_command_line; and what operators do to a
 * cluster by it alone, after verify_staged_clustering, verify_leave and
 * verify_down.
 *
 * Nodes are started by the program itself. Other commands run in this process, so
 * that they take milliseconds, over the same connections.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { COMMANDS } from "../../cli/command_table.ts";
import { runCommandLine } from "../../cli/main.ts";
import { capturedOutput } from "../../cli/output.ts";
import { systemWorld } from "../../cli/system_world.ts";
import { openSession } from "../../src/node/connect.ts";
import { readControlFile } from "../../src/node/control_file.ts";
import { startNode } from "../../src/node/start_node.ts";
import { until } from "../harness/until.ts";

const PROGRAM = new URL("../../cli/whorl.ts", import.meta.url).href;
/** How long anything may take that is waited for, in milliseconds. */
const PATIENCE_MS = 30_000;
const COOKIE = "a cookie for operators";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program, as a shell would. */
async function program(...args: string[]): Promise<Ran> {
  const decoder = new TextDecoder();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--unstable-kv", PROGRAM, ...args],
    env: { NO_COLOR: "1", WHORL_COOKIE: COOKIE },
  }).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Runs a command line in this process. */
async function whorl(args: readonly string[]): Promise<Ran> {
  const output = capturedOutput();
  const world = {
    ...systemWorld({ openSession, startNode, version: "0", module: PROGRAM }),
    output,
    env: (name: string) => name === "WHORL_COOKIE" ? COOKIE : undefined,
    onStopSignal: () => ({ [Symbol.dispose]() {} }),
  };
  const code = await runCommandLine(args, world);
  return { code, out: output.written, err: output.remarks };
}

/** Nodes of an operator: each has a directory, a parent process and itself. */
class Operated implements AsyncDisposable {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  data(number: number): string {
    return `${this.#folder}/dev${number}`;
  }

  file(name: string): string {
    return `${this.#folder}/${name}`;
  }

  async start(number: number): Promise<void> {
    const { code, err } = await program(
      "start",
      "--detach",
      `--name=${nameOf(number)}`,
      "--listen=127.0.0.1:0",
      "--ring-size=16",
      `--data=${this.data(number)}`,
    );
    assertEquals([code, err], [0, ""]);
  }

  /** A command about node `number`, which must do what it is asked to; its output. */
  async tell(number: number, ...words: string[]): Promise<string> {
    const { code, out, err } = await this.ask(number, ...words);
    assertEquals(code, 0, `${words.join(" ")}: ${err}`);
    return out;
  }

  ask(number: number, ...words: string[]): Promise<Ran> {
    return whorl([...words, `--data=${this.data(number)}`]);
  }

  async pid(number: number): Promise<number> {
    return (await readControlFile(this.data(number)))!.pid;
  }

  /** `NAME@HOST:PORT` of a node. */
  async place(number: number): Promise<string> {
    const { address } = (await readControlFile(this.data(number)))!;
    return `${nameOf(number)}${address.slice(address.lastIndexOf(":"))}`;
  }

  /** SIGKILL of the node and the parent that would start it again. */
  async kill(number: number): Promise<void> {
    const parent = Number(
      await Deno.readTextFile(`${this.data(number)}/whorl.pid`),
    );
    const node = await this.pid(number);
    Deno.kill(parent, "SIGKILL");
    Deno.kill(node, "SIGKILL");
    await until(
      "both have ended",
      async () => (await this.ask(number, "ping")).code === 1,
      PATIENCE_MS,
    );
  }

  /** Plans and commits, and waits until all members agree and nothing moves. */
  async commit(number: number): Promise<string> {
    const plan = await this.tell(number, "cluster", "plan");
    assertEquals(
      await this.tell(number, "cluster", "commit"),
      "Cluster changes committed\n",
    );
    await this.settled(number);
    return plan;
  }

  async settled(number: number): Promise<void> {
    await until("the cluster is at rest", async () => {
      const { out } = await this.ask(number, "ring-status", "--json");
      const { ringReady, transfers } = JSON.parse(out);
      return ringReady === true && transfers?.length === 0;
    }, PATIENCE_MS);
  }

  /**
   * Waits until `number` knows that all agree: it may hear a moment later than
   * another one that all have seen the ring, and the claimant may have changed
   * that once more meanwhile.
   */
  async agree(number: number): Promise<void> {
    await until(`dev${number} knows that all agree`, async () => {
      const { code, out } = await this.ask(number, "ringready");
      assertMatch(out, code === 0 ? /^TRUE/ : /^FALSE/);
      return code === 0;
    }, PATIENCE_MS);
  }

  async members(number: number): Promise<Record<string, string>> {
    const { members } = JSON.parse(
      await this.tell(number, "member-status", "--json"),
    );
    return Object.fromEntries(
      members.map((
        { node, status }: { node: string; status: string },
      ) => [node, status]),
    );
  }

  /** Waits until `number` has heard, by gossip, that the members are these and no others. */
  async hears(
    number: number,
    members: Readonly<Record<string, string>>,
  ): Promise<void> {
    const wanted = Object.entries(members).join();
    await until(`dev${number} has heard of ${wanted}`, async () => {
      return Object.entries(await this.members(number)).join() === wanted;
    }, PATIENCE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const homes = [...Deno.readDirSync(this.#folder)]
      .filter(({ name }) => name.startsWith("dev"));
    await Promise.all(homes.map(({ name }) =>
      whorl([
        "stop",
        "--force",
        "--timeout=1",
        `--data=${this.#folder}/${name}`,
      ])
    ));
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function nameOf(number: number): string {
  return `dev${number}@127.0.0.1`;
}

async function operated(count: number): Promise<Operated> {
  const nodes = new Operated(await Deno.makeTempDir({ prefix: "whorl-" }));
  try {
    await Promise.all(
      Array.from({ length: count }, (_, i) => nodes.start(i + 1)),
    );
  } catch (error) {
    await nodes[Symbol.asyncDispose]();
    throw error;
  }
  return nodes;
}

/** What a command is to do. */
interface Case {
  /** Its words after its name. */
  readonly words?: readonly string[];
  /** Exit code on a node that runs. @default {0} */
  readonly code?: number;
  /** What it prints, on standard output if it ends with 0, else as its error. */
  readonly says: RegExp;
  /** A command line it does not understand. @default {one word more than it takes} */
  readonly wrong?: readonly string[];
  /** What it tells people besides, on standard error. @default {nothing} */
  readonly remarks?: RegExp;
}

/** In this order, on a cluster of dev1 and dev2; `FILE` and `DEV1` stand for what is not known yet. */
const CASES: Readonly<Record<string, Case>> = {
  "ping": { says: /^pong\n$/ },
  "member-status": { says: /Valid:2 \/ Leaving:0/ },
  "cluster status": { says: /dev2@127\.0\.0\.1/ },
  "ring-status": { says: /dev1@127\.0\.0\.1/ },
  "ringready": { says: /^TRUE All nodes agree on the ring/ },
  "services": { says: /kv/ },
  "capabilities": { says: /handoff/ },
  "wait-for-service": {
    words: ["kv", nameOf(2)],
    says: /./,
    wrong: ["kv", "not a name"],
  },
  "tree": { says: /handoff_sup/ },
  "stats": { says: /requests\./ },
  "put": { words: ["b", "k", "41"], says: /./, wrong: ["b"] },
  "get": { words: ["b", "k"], says: /^41\n$/, wrong: ["b"] },
  "delete": { words: ["b", "k"], says: /./, wrong: [] },
  "import": {
    words: ["FILE", "--bucket=i", "--key=id", "--quiet"],
    says: /2/,
    wrong: ["FILE"],
  },
  "ra_kv start-cluster": {
    words: ["s"],
    says:
      /^Started s on dev1@127\.0\.0\.1, dev2@127\.0\.0\.1; dev\d@127\.0\.0\.1 leads\n$/,
  },
  "ra_kv clusters": { says: /^s\tdev\d@127\.0\.0\.1\t/ },
  "ra_kv members": { words: ["s"], says: /dev2@127\.0\.0\.1\t\w+\tvoter/ },
  "ra_kv put": { words: ["s", "k", "41"], says: /^ok, index \d+\n$/ },
  "ra_kv get": { words: ["s", "k"], says: /^41\n$/, wrong: ["s"] },
  "ra_kv cas": {
    words: ["s", "k", "0", "42"],
    code: 1,
    says: /index_mismatch/,
    wrong: ["s", "k", "none", "42"],
  },
  "ra_kv watch": {
    words: ["s", "--prefix=", "--after=0", "--count=1"],
    says: /^\d+ put k 41\n$/,
    wrong: ["s"],
  },
  "ra_kv entry": {
    words: ["s", "1"],
    says: /^1 in term \d+ at .*: noop\n$/,
    wrong: ["s", "first"],
  },
  "ra_kv live-indexes": { words: ["s"], says: /^\d+\n$/ },
  "ra_kv delete": {
    words: ["s", "other"],
    code: 1,
    says: /^Not found: s\/other\n$/,
  },
  "ra_kv snapshot": { words: ["s"], says: /dev1@127\.0\.0\.1\t[1-9]/ },
  "ra_kv compact": { words: ["s"], says: /dev2@127\.0\.0\.1\t[1-9]/ },
  "ra_kv overview": { words: ["s"], says: /leader\t[1-9]/ },
  "ra_kv transfer-leadership": {
    words: ["s", nameOf(3)],
    code: 1,
    says: /unknown_member/,
    wrong: ["s"],
  },
  "ra_kv add-member": {
    words: ["s", nameOf(2)],
    code: 1,
    says: /already_member/,
    wrong: ["s"],
  },
  "ra_kv remove-member": {
    words: ["s", nameOf(3)],
    code: 1,
    says: /not_member/,
    wrong: ["s"],
  },
  "ra_kv force-shrink": {
    words: ["s", nameOf(3), "--yes"],
    code: 1,
    says: /not_reachable|unknown_cluster/,
    wrong: ["s", nameOf(1)],
  },
  "ra_kv delete-cluster": {
    words: ["s", "--yes"],
    says: /^Deleted s on dev1@127\.0\.0\.1, dev2@127\.0\.0\.1\n$/,
    wrong: ["s"],
  },
  "transfers": { says: /./ },
  "handoff summary": { says: /dev2@127\.0\.0\.1/ },
  "handoff details": {
    says: /^$/,
    remarks: /^There are no transfers, and none wait\n$/,
  },
  "handoff config": { says: /dev2@127\.0\.0\.1/ },
  "handoff disable": { words: ["outbound"], says: /./, wrong: ["sideways"] },
  "handoff enable": { words: ["outbound"], says: /./, wrong: [] },
  "transfer-limit": { words: ["3"], says: /3/, wrong: ["many"] },
  "cluster partitions": { says: /primary/ },
  "cluster partition": { words: ["id=3"], says: /3/, wrong: ["three"] },
  "cluster partition-count": { says: /16/ },
  "repair": { words: ["3", "--wait"], says: /done/, wrong: ["three"] },
  "repairs": { says: /done/ },
  "cluster join": {
    words: ["DEV1"],
    code: 1,
    says: /node itself|itself/,
    wrong: [],
  },
  "cluster leave": { words: [nameOf(2)], says: /Success: staged leave/ },
  "cluster force-remove": {
    words: [nameOf(1)],
    code: 1,
    says: /claimant/,
    wrong: [],
  },
  "cluster replace": {
    words: [nameOf(2), nameOf(3)],
    code: 1,
    says: /./,
    wrong: [nameOf(2)],
  },
  "cluster force-replace": {
    words: [nameOf(2), nameOf(3)],
    code: 1,
    says: /./,
    wrong: [nameOf(2)],
  },
  "cluster plan": {
    says: /leave +'dev2@127\.0\.0\.1'/,
    remarks:
      /^Carry it out with: whorl cluster commit --plan \w+ --data \S+\n$/,
  },
  "cluster resize-ring": {
    words: ["32"],
    code: 1,
    says: /other changes are staged.*pending_changes/,
    wrong: ["many"],
  },
  "cluster clear": { says: /Cleared staged cluster changes/ },
  "cluster commit": { code: 1, says: /nothing_planned|plan/ },
  "bucket consistent": {
    words: ["accounts"],
    says: /Success: bucket 'accounts' is consistent/,
    wrong: [],
  },
  "bucket list": { says: /accounts/ },
  "down": { words: [nameOf(2)], code: 1, says: /is_up|is up/, wrong: [] },
};

/** Commands that talk to no node, or never come back by themselves; other tests have them. */
const ELSEWHERE = [
  "start",
  "stop",
  "attach",
  "dev",
  "new",
  "simulate",
  "completions",
  "run-node",
];

Deno.test("every command for a node answers for one that runs and for one that does not, as text and as JSON", async () => {
  const commands = COMMANDS.map(({ name }) => name);
  assertEquals(
    [...Object.keys(CASES), ...ELSEWHERE].sort(),
    commands.toSorted(),
    "a command has no case here",
  );
  await using nodes = await operated(2);
  const place = await nodes.place(1);
  const mistaken = `dev9@127.0.0.1${place.slice(place.lastIndexOf(":"))}`;
  const { code, err } = await nodes.ask(2, "cluster", "join", mistaken);
  assertEquals(code, 1);
  assertMatch(err, /^Node dev9@127\.0\.0\.1 is not reachable!\n/);
  assertMatch(err, /as dev1@127\.0\.0\.1 answers there/);
  await nodes.tell(2, "cluster", "join", place);
  await nodes.commit(1);
  const file = nodes.file("two.ndjson");
  await Deno.writeTextFile(file, '{"id":1}\n{"id":2}\n');
  const dev1 = await nodes.place(1);
  const wordsOf = (name: string, words: readonly string[]): string[] => [
    ...name.split(" "),
    ...words.map((word) =>
      word === "FILE" ? file : word === "DEV1" ? dev1 : word
    ),
  ];
  const nobody = nodes.data(9);
  for (const [name, { words = [], ...expected }] of Object.entries(CASES)) {
    const { code = 0, says, remarks = /^$/ } = expected;
    const { wrong = [...words, "x", "y", "z"] } = expected;
    const line = wordsOf(name, words);

    const up = await nodes.ask(1, ...line);
    assertEquals(up.code, code, `${line.join(" ")}: ${up.err}`);
    assertMatch(code === 0 ? up.out : up.err, says, line.join(" "));
    if (code === 0) assertMatch(up.err, remarks, line.join(" "));
    else assertEquals(up.out, "", line.join(" "));

    const asJson = await nodes.ask(1, ...line, "--json");
    // What was staged or put in place once may be refused the second time.
    assertEquals(asJson.err, "", line.join(" "));
    const values = asJson.out.trimEnd().split("\n").map((each) =>
      JSON.parse(each)
    );
    assert(values.length >= 1, line.join(" "));
    const [value] = values;
    if (code === 1) assertEquals(typeof value.error.code, "string", name);

    const down = await whorl([...line, `--data=${nobody}`]);
    assertEquals(
      down,
      { code: 1, out: "", err: notRunning(nobody) },
      line.join(" "),
    );
    const downAsJson = await whorl([...line, `--data=${nobody}`, "--json"]);
    assertEquals([downAsJson.code, downAsJson.err], [1, ""], name);
    assertEquals(JSON.parse(downAsJson.out).error.code, "node_not_running");

    const misread = await nodes.ask(1, ...wordsOf(name, wrong));
    assertEquals([misread.code, misread.out], [2, ""], `${name} ${wrong}`);
    assertMatch(misread.err, /^whorl: .*\nUsage: whorl /, name);

    const help = await whorl([...line, "--help"]);
    assertEquals([help.code, help.err], [0, ""], name);
    assertMatch(help.out, new RegExp(`whorl ${name}`), name);
  }
});

/** What a command says when no node runs on `data`. */
function notRunning(data: string): string {
  return `Node is not running!\nCannot talk to a node on ${data} as none runs there\n`;
}

Deno.test("the program ends with the documented exit codes and writes where scripts look", async () => {
  await using nodes = await operated(1);
  const data = `--data=${nodes.data(1)}`;
  assertEquals(await program("ping", data), {
    code: 0,
    out: "pong\n",
    err: "",
  });
  const json = await program("ping", data, "--json");
  assertEquals([json.code, json.err], [0, ""]);
  assertEquals(JSON.parse(json.out).node, nameOf(1));
  const wrong = await program("pong", data);
  assertEquals([wrong.code, wrong.out], [2, ""]);
  assertMatch(wrong.err, /There is no command "pong"/);
  assertEquals(await program("stop", data), { code: 0, out: "ok\n", err: "" });
  assertEquals(await program("ping", data), {
    code: 1,
    out: "",
    err: notRunning(nodes.data(1)),
  });
  const again = await program("stop", data);
  assertEquals([again.code, again.err], [1, notRunning(nodes.data(1))]);
});

Deno.test("an operator joins, replaces, removes nodes and has them leave by the command line, and their processes end", async () => {
  await using nodes = await operated(4);
  const place = await nodes.place(1);
  const early = await nodes.ask(1, "cluster", "commit");
  assertEquals(early.code, 1);
  assertMatch(early.err, /plan/);
  for (const number of [2, 3]) {
    assertEquals(
      await nodes.tell(number, "cluster", "join", place),
      `Success: staged join request for '${nameOf(number)}' to '${
        nameOf(1)
      }'\n`,
    );
  }
  await nodes.hears(2, {
    [nameOf(1)]: "valid",
    [nameOf(2)]: "joining",
    [nameOf(3)]: "joining",
  });
  const lines = Array.from({ length: 200 }, (_, id) => `{"id":${id}}\n`);
  await Deno.writeTextFile(nodes.file("rows.ndjson"), lines.join(""));
  await nodes.tell(
    1,
    "import",
    nodes.file("rows.ndjson"),
    "--bucket=b",
    "--key=id",
    "--quiet",
  );
  const readAll = async (number: number): Promise<void> => {
    for (let id = 0; id < lines.length; id += 7) {
      assertEquals(
        await nodes.tell(number, "get", "b", `${id}`),
        lines[id],
      );
    }
  };
  const plan = await nodes.commit(3);
  assertMatch(plan, /join +'dev2@127\.0\.0\.1'/);
  await nodes.agree(2);
  await readAll(3);

  // A fourth takes the place of the third.
  await nodes.tell(4, "cluster", "join", await nodes.place(2));
  const third = await nodes.pid(3);
  await nodes.tell(2, "cluster", "replace", nameOf(3), nameOf(4));
  await nodes.commit(2);
  await ended(nodes, 3, third);
  await readAll(4);
  await nodes.hears(1, {
    [nameOf(1)]: "valid",
    [nameOf(2)]: "valid",
    [nameOf(4)]: "valid",
  });

  // What was staged is forgotten.
  await nodes.tell(1, "cluster", "leave", nameOf(2));
  await nodes.tell(1, "cluster", "clear");
  assertMatch(
    await nodes.tell(1, "cluster", "plan"),
    /There are no staged changes/,
  );

  // The second leaves by itself; started again it is alone, and joins anew.
  const second = await nodes.pid(2);
  await nodes.tell(2, "cluster", "leave");
  await nodes.commit(1);
  await ended(nodes, 2, second);
  assertMatch(
    await Deno.readTextFile(`${nodes.data(2)}/node.log`),
    /has left its cluster and stops/,
  );
  await readAll(1);
  await nodes.start(2);
  assertEquals(await nodes.members(2), { [nameOf(2)]: "valid" });
  assertEquals((await nodes.ask(2, "get", "b", "0")).code, 1);
  await nodes.tell(2, "cluster", "join", await nodes.place(4));
  await nodes.commit(4);
  await readAll(2);

  // The fourth is gone for good: it is marked, then removed.
  await nodes.kill(4);
  await until("it is seen to be down", async () => {
    const { out } = await nodes.ask(1, "ringready");
    return /^FALSE \['dev4@127\.0\.0\.1'\] down/.test(out);
  }, PATIENCE_MS);
  assertMatch(await nodes.tell(1, "down", nameOf(4)), /dev4@127\.0\.0\.1/);
  await nodes.hears(2, {
    [nameOf(1)]: "valid",
    [nameOf(2)]: "valid",
    [nameOf(4)]: "down",
  });
  await nodes.tell(1, "cluster", "force-remove", nameOf(4));
  await nodes.commit(1);
  await nodes.hears(1, { [nameOf(1)]: "valid", [nameOf(2)]: "valid" });
  await nodes.agree(1);
});

/** The node has ended, and so has its parent, which does not start it again. */
async function ended(
  nodes: Operated,
  number: number,
  pid: number,
): Promise<void> {
  await until(`${nameOf(number)} has ended`, async () => {
    const { success } = await new Deno.Command("kill", {
      args: ["-0", `${pid}`],
      stderr: "null",
    }).output();
    return !success && (await nodes.ask(number, "ping")).code === 1;
  }, PATIENCE_MS);
  await until("its parent has ended", async () => {
    using file = await Deno.open(`${nodes.data(number)}/whorl.pid`, {
      write: true,
    }).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    return file === undefined || await file.tryLock(true);
  }, PATIENCE_MS);
}
