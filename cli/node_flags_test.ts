import { assertEquals, assertRejects } from "@std/assert";
import { inTempDirectory } from "../src/environment/testing/temp_directory.ts";
import { parseInvocation } from "./arguments.ts";
import { UsageError } from "./command.ts";
import { runNodeCommand } from "./commands/run_node.ts";
import { NODE_FLAGS, nodeSetup } from "./node_flags.ts";
import { DataDirectory } from "../src/storage/data_directory.ts";
import { systemDisk } from "../src/storage/system_disk.ts";
import { nodeCommand } from "./node_parent.ts";
import { denoArgs } from "./system_world.ts";
import type { World } from "./world.ts";

const world = (env: Record<string, string> = {}): World => ({
  env: (name: string) => env[name],
  self: { program: "deno", args: (needs: unknown) => [JSON.stringify(needs)] },
} as unknown as World);

const parse = (words: readonly string[]) =>
  parseInvocation(runNodeCommand, NODE_FLAGS, words);

Deno.test("nodeSetup() turns flags into node options and leaves defaults to the node", () =>
  inTempDirectory(async (directory) => {
    const bare = await nodeSetup(parse([`--data=${directory}/a`]), world());
    assertEquals(bare.options, {
      name: "whorl@127.0.0.1",
      listen: "127.0.0.1:10100",
      dataDirectory: `${directory}/a/node`,
      cookie: (await Deno.readTextFile(`${directory}/a/cookie`)).trim(),
      modules: [],
      peers: {},
    });
    assertEquals(bare.cookieFile, `${directory}/a/cookie`);
    const full = await nodeSetup(
      parse([
        `--data=${directory}/a`,
        "--name=n@h",
        "--listen=h:1",
        "--advertise=h:2",
        "--cluster=c",
        "--cookie=secret",
        "--ring-size=128",
        "--storage=memory",
        "--masters=2",
        "--placement=task",
        "--coordinators=worker",
        "--module=https://example.org/m.ts",
        "--module=/m.ts",
        "--peer=p@h=h:3",
        "--requests-max=9",
        "--kv-mailbox=requestsMax=500",
        "--kv-mailbox=waitMsMax=50",
        "--log-level=debug",
      ]),
      world(),
    );
    assertEquals(full, {
      options: {
        name: "n@h",
        listen: "h:1",
        dataDirectory: `${directory}/a/node`,
        cookie: "secret",
        modules: [
          { url: "https://example.org/m.ts" },
          { url: "file:///m.ts" },
        ],
        peers: { "p@h": "h:3" },
        advertise: "h:2",
        clusterName: "c",
        storage: "memory",
        ringSize: 128,
        masters: 2,
        masterPlacement: "task",
        coordinatorPlacement: "worker",
        requestsMax: 9,
        kvMailbox: { requestsMax: 500, waitMsMax: 50 },
      },
      directory: `${directory}/a`,
      cookieFile: null,
      logLevel: "debug",
      moduleFlags: ["--allow-import"],
    });
    const wrongs = [
      "--peer=p",
      "--masters=0",
      "--ring-size=x",
      "--kv-mailbox=requestsMax",
      "--kv-mailbox=requestsMax=0",
      "--kv-mailbox=requests=5",
      "--kv-mailbox=toString=5",
    ];
    for (const wrong of wrongs) {
      await assertRejects(
        async () =>
          await nodeSetup(parse([`--data=${directory}`, wrong]), world()),
        UsageError,
      );
    }
  }));

Deno.test("nodeSetup() continues the node in the directory, unless flags say otherwise", () =>
  inTempDirectory(async (directory) => {
    const identity = {
      nodeId: "0".repeat(32),
      name: "n@h",
      cluster: "c",
      ringSize: 16,
      masters: 2,
    };
    await using _ = await DataDirectory.open({
      path: `${directory}/node`,
      disk: systemDisk,
      identity,
    });
    await Deno.writeTextFile(`${directory}/cookie`, "secret");
    const optionsOf = async (...words: string[]) => {
      const { options } = await nodeSetup(
        parse([`--data=${directory}`, ...words]),
        world(),
      );
      const { name, clusterName, ringSize, masters } = options;
      return [name, clusterName, ringSize, masters];
    };
    assertEquals(await optionsOf(), ["n@h", "c", 16, 2]);
    assertEquals(
      await optionsOf(
        "--name=o@h",
        "--cluster=d",
        "--ring-size=8",
        "--masters=1",
      ),
      ["o@h", "d", 8, 1],
    );
    // What is damaged is for the node to name.
    await Deno.writeTextFile(`${directory}/node/identity.json`, "nonsense");
    assertEquals(await optionsOf(), [
      "whorl@127.0.0.1",
      undefined,
      undefined,
      undefined,
    ]);
  }));

Deno.test("nodeSetup() runs a module with its own deno.json", () =>
  inTempDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/deno.json`, "{}");
    const { moduleFlags } = await nodeSetup(
      parse([
        `--data=${directory}/data`,
        "--module=https://example.org/m.ts",
        `--module=${directory}/m.ts`,
      ]),
      world(),
    );
    assertEquals(moduleFlags, [
      "--allow-import",
      `--config=${directory}/deno.json`,
    ]);
  }));

Deno.test("nodeCommand() passes flags on, but secrets only through the environment", () =>
  inTempDirectory(async (directory) => {
    const invocation = parse([
      `--data=${directory}`,
      "--cookie=secret",
      "--placement=subprocess",
      "--peer=p@h=h:3",
    ]);
    const setup = await nodeSetup(invocation, world());
    assertEquals(nodeCommand(world(), invocation, setup), {
      program: "deno",
      args: [
        JSON.stringify({ run: true, writes: [directory], flags: [] }),
        "run-node",
        `--data=${directory}`,
        "--placement=subprocess",
        "--peer=p@h=h:3",
      ],
      env: { WHORL_COOKIE: "secret" },
    });
  }));

Deno.test("denoArgs() gives a node what it needs and no more", () => {
  const args = denoArgs("file:///whorl.ts", { run: false, writes: ["/a,b"] });
  assertEquals(args.includes("--allow-write=/a,,b"), true);
  assertEquals(args.some((word) => word.startsWith("--allow-run")), false);
  assertEquals(args.includes("-A"), false);
  const starts = denoArgs("file:///whorl.ts", {
    run: true,
    writes: ["/a"],
    flags: ["--allow-import"],
  });
  assertEquals(starts.slice(-2), ["--allow-import", "file:///whorl.ts"]);
  assertEquals(starts.includes(`--allow-run=${Deno.execPath()}`), true);
});
