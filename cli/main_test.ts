import { assert, assertEquals, assertMatch } from "@std/assert";
import { WhorlError } from "../src/base/errors.ts";
import { COMMANDS } from "./command_table.ts";
import { HELP_COLUMNS_MAX } from "./help.ts";
import { capturedOutput } from "./output.ts";
import { fakeSession } from "./testing/fake_session.ts";
import { run } from "./testing/fake_world.ts";

const shownCommands = COMMANDS.filter(({ hidden }) => !hidden);

Deno.test("whorl without a command prints help, and so do --help and help", async () => {
  const bare = await run("");
  assertEquals([bare.code, bare.remarks], [0, ""]);
  for (const command of shownCommands) {
    assert(bare.out.includes(command.name), command.name);
  }
  assertEquals((await run("--help")).out, bare.out);
  assertEquals((await run("help")).out, bare.out);
  assert(!bare.out.includes("run-node"), "what is not for people is not shown");
});

Deno.test("help of every command has usage, an example that parses, and fits 100 columns", async () => {
  for (const command of shownCommands) {
    const help = await run(["help", ...command.name.split(" ")]);
    assertEquals(help.code, 0);
    assertEquals((await run(`${command.name} --help`)).out, help.out);
    assertEquals((await run(`${command.name} -h`)).out, help.out);
    assert(help.out.includes(`Usage: whorl ${command.name}`), command.name);
    assert(command.examples.length > 0, `${command.name} has an example`);
    assert(help.out.includes("--json"));
    for (const line of help.out.split("\n")) {
      assert(line.length <= HELP_COLUMNS_MAX, line);
    }
    for (const { line } of command.examples) {
      const [name] = line.split(" ");
      assert(COMMANDS.some((other) => other.name.split(" ")[0] === name), line);
    }
  }
  for (const line of (await run("")).out.split("\n")) {
    assert(line.length <= HELP_COLUMNS_MAX, line);
  }
});

Deno.test("help fits 100 columns with colour, and has no colour if that is disabled", async () => {
  const colored = await run("help import", {
    output: capturedOutput({ color: true, isTerminal: true }),
  });
  assert(colored.out.includes("\x1b[1m"));
  assert(!(await run("help import")).out.includes("\x1b"));
});

Deno.test("a group without a command lists its commands and fails; with --help it succeeds", async () => {
  const bare = await run("cluster");
  assertEquals([bare.code, bare.out], [2, ""]);
  assertMatch(bare.remarks, /cluster commit/);
  assertEquals((await run("cluster --help")).code, 0);
  assertEquals((await run("help cluster")).code, 0);
});

Deno.test("--version prints the version", async () => {
  assertEquals((await run("--version")).out, "whorl 1.2.3\n");
});

Deno.test("usage errors end with code 2, suggest similar names, and do nothing", async () => {
  const cases: [string, RegExp][] = [
    ["pign", /no command "pign". Did you mean "ping"\?/],
    ["frobnicate", /no command "frobnicate"\n/],
    ["cluster jion x", /"cluster jion". Did you mean "cluster join"\?/],
    ["ping --jsno", /no flag --jsno. Did you mean --json\?/],
    ["ping --nod=x", /no flag --nod. Did you mean --node\?/],
    ["ping -x", /no flag -x/],
    ["ping --json=yes", /--json takes no value/],
    ["ping extra", /"extra" is one word too many for whorl ping\n/],
    [
      "ra_kv start-cluster c a@h b@h",
      /"b@h" is one word too many .* NODES: names of the nodes, with commas between/,
    ],
    [
      "get users",
      /KEY is missing: the key, as text\nUsage: whorl get BUCKET KEY/,
    ],
    ["ping --data", /--data needs a value/],
    ["ping --data --cookie=x", /--data needs a value/],
    ["ping --data a --data b", /--data is given more than once/],
    ["ping --data a --node dev1@h:1", /give one/],
    ["ping --node dev1", /NAME@HOST:PORT/],
    ["ping --node dev1@h:99999 --cookie c", /NAME@HOST:PORT/],
    ["ping --node dev1@h:1", /needs the cluster's cookie/],
    ["ping --timeout soon", /--timeout must be a time/],
    ["ping --timeout 0", /--timeout must be a time/],
    ["get b k --r most", /--r must be a number, one, quorum or all/],
    ["put b k {oops", /VALUE is not JSON.*--text/],
    ["put b k", /VALUE is missing/],
    ["put b k 1 --file x", /give one/],
    ["put b k 1 --context x --blind", /--blind/],
    ["import x --bucket b", /needs --key/],
    ["import x --bucket b --key k --format xml", /--format must be one of/],
    ["import x --bucket b --key k --concurrency 0", /between 1 and 4096/],
    ["ring-status --only rign", /Did you mean ring\?/],
    ["stop --node dev1@h:1 --cookie c --force", /give --data/],
    ["start --detach --prompt", /nobody to type/],
    ["transfers --watch --once", /opposites: give one/],
    ["transfers --interval never", /--interval must be a time/],
    ["handoff enable outbuond", /DIRECTION must be.*Did you mean outbound\?/],
    ["handoff enable", /DIRECTION is missing/],
    ["handoff enable both --all --node a@h", /give one/],
    ["transfer-limit many", /N must be a whole number between 0 and 1024/],
    ["transfer-limit 1025", /N must be a whole number between 0 and 1024/],
    ["transfer-limit dev1 4", /NODE must be a member/],
    ["repair", /PARTITION is missing/],
    ["cluster partition x=1", /PARTITION must be id=N or index=N/],
    ["wait-for-service", /SERVICE is missing/],
    ["wait-for-service kv dev1", /NODE must be a member/],
    ["wait-for-service kv --timeout soon", /--timeout must be a time/],
    ["completions tcsh", /SHELL must be one of/],
    ["--frob ping", /command comes first/],
  ];
  for (const [line, expected] of cases) {
    const { code, out, remarks, opened } = await run(line);
    assertEquals([code, out, opened.length], [2, "", 0], line);
    assertMatch(remarks, expected, line);
  }
});

Deno.test("with --json a usage error is reported in JSON as well", async () => {
  const { code, out } = await run("get users --json");
  assertEquals(code, 2);
  assertEquals(JSON.parse(out).error.code, "usage");
});

Deno.test("every command that talks to a node says when it is not running and ends with 1", async () => {
  const words: Record<string, string> = {
    "cluster join": "dev1@127.0.0.1:10101",
    "cluster partition": "id=1",
    repair: "1",
    "wait-for-service": "kv",
    "handoff enable": "both",
    "handoff disable": "both",
    "cluster force-remove": "dev3@127.0.0.1",
    "cluster replace": "dev3@127.0.0.1 dev4@127.0.0.1",
    "cluster force-replace": "dev3@127.0.0.1 dev4@127.0.0.1",
    "cluster resize-ring": "128",
    "bucket consistent": "accounts",
    down: "dev3@127.0.0.1",
    put: "b k 1",
    get: "b k",
    delete: "b k",
    import: "- --bucket b --key k",
    "ra_kv start-cluster": "c",
    "ra_kv members": "c",
    "ra_kv add-member": "c dev3@127.0.0.1",
    "ra_kv remove-member": "c dev3@127.0.0.1",
    "ra_kv overview": "c",
    "ra_kv put": "c k 1",
    "ra_kv get": "c k",
    "ra_kv delete": "c k",
    "ra_kv cas": "c k 0 1",
    "ra_kv watch": "c k",
    "ra_kv entry": "c 1",
    "ra_kv live-indexes": "c",
    "ra_kv snapshot": "c",
    "ra_kv compact": "c",
    "ra_kv transfer-leadership": "c dev3@127.0.0.1",
    "ra_kv force-shrink": "c dev3@127.0.0.1 --yes",
    "ra_kv delete-cluster": "c --yes",
  };
  for (const command of shownCommands.filter((one) => one.talksToNode)) {
    const line = `${command.name} ${words[command.name] ?? ""} --data nowhere`;
    const ran = await run(line);
    assertEquals([ran.code, ran.out], [1, ""], line);
    assertEquals(
      ran.remarks,
      "Node is not running!\nCannot connect: nobody answers\n",
      line,
    );
    const json = await run(`${line} --json`);
    assertEquals(json.code, 1);
    assertEquals(JSON.parse(json.out).error.code, "node_not_running");
  }
});

Deno.test("the node is found by flag, by environment, and else in the default directory", async () => {
  const session = fakeSession();
  const found = async (line: string, env: Record<string, string> = {}) =>
    (await run(line, { session, env })).opened[0];
  assertEquals((await found("ping"))?.target, { dataDirectory: "data/whorl" });
  assertEquals((await found("ping", { WHORL_DATA: "d" }))?.target, {
    dataDirectory: "d",
  });
  assertEquals(
    await found("--timeout 1.5s --node n@h:1 ping", { WHORL_COOKIE: "c" }),
    {
      target: { node: "n@h", address: "h:1" },
      options: { cookie: "c", timeoutMs: 1500 },
    },
  );
  assertEquals(
    await found("ping --cookie x --node n@[::1]:9", { WHORL_COOKIE: "c" }),
    {
      target: { node: "n@[::1]", address: "[::1]:9" },
      options: { cookie: "x", timeoutMs: 10_000 },
    },
  );
});

Deno.test("the cookie is the first line of its file, and errors name the file", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "sesame\n# not this\n");
    const session = fakeSession();
    const { opened } = await run(["ping", "--cookie-file", path], { session });
    assertEquals(opened[0]?.options.cookie, "sesame");
    await Deno.writeTextFile(path, "\n");
    const empty = await run(["ping", "--cookie-file", path], { session });
    assertEquals(empty.code, 1);
    assert(empty.remarks.includes(path));
  } finally {
    await Deno.remove(path);
  }
  const missing = await run(["ping", "--cookie-file", path]);
  assert(missing.remarks.includes(path));
});

Deno.test("a failure of the node is reported with its code, and the session is closed", async () => {
  const session = fakeSession();
  session.answers.ping = new WhorlError("timeout", "Cannot hear the node");
  const ran = await run("ping", { session });
  assertEquals(ran.code, 1);
  assertEquals(ran.remarks, "whorl: Cannot hear the node (timeout)\n");
  assertEquals(session.closed, 1);
});

Deno.test("words after -- are taken literally", async () => {
  const session = fakeSession();
  await run("put b -- -key- -1", { session });
  assertEquals(session.kv.stored.get("b/-key-"), [-1]);
});

Deno.test("numbers stay text where a key is expected", async () => {
  const session = fakeSession();
  await run("put 007 1e3 5", { session });
  assertEquals([...session.kv.stored.keys()], ["007/1e3"]);
});
