/**
 * `whorl dev`: a cluster of nodes in one terminal, for trying things out.
 *
 * @module
 */
import { resolve } from "node:path";
import { WhorlError } from "../../src/base/errors.ts";
import type { AdminSession } from "../../src/node/admin_protocol.ts";
import { parseInvocation } from "../arguments.ts";
import type { Command, Invocation } from "../command.ts";
import { joinCluster } from "../dev_cluster.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import type { UpLine } from "../node_child.ts";
import { NODE_FLAGS, type NodeSetup, nodeSetup } from "../node_flags.ts";
import { nodeCommand, NodeParent } from "../node_parent.ts";
import { pidOfParent, takePidFile } from "../pid_file.ts";
import { styleFor } from "../style.ts";
import type { World } from "../world.ts";
import { runNodeCommand } from "./run_node.ts";

const NODES_DEFAULT = 3;
const NODES_MAX = 9;
const PORT_BASE_DEFAULT = 10_100;
const DATA_DEFAULT = "data";

/** Node flags that make sense for several nodes at once. */
const SHARED_FLAGS = [
  "cluster",
  "ring-size",
  "storage",
  "masters",
  "placement",
  "coordinators",
  "module",
  "log-level",
];

/** `whorl dev` */
export const devCommand: Command = {
  name: "dev",
  summary: "run three joined nodes in this terminal",
  about:
    "Starts dev1, dev2 and dev3, each a process with its own data directory below --data, and joins them if " +
    "they are not joined yet. Lines are prefixed by the node they come from. A node that is killed is started " +
    "again. Ctrl-C stops all, the last one first.\n\n" +
    'Nodes keep their data: the next "whorl dev" goes on with it. "whorl dev --clean" removes it.',
  positionals: [],
  flags: [
    {
      name: "nodes",
      value: "N",
      says: `how many nodes, 1 to ${NODES_MAX}`,
      default: String(NODES_DEFAULT),
    },
    {
      name: "data",
      value: "DIR",
      says: "where the nodes' data directories are",
      default: DATA_DEFAULT,
    },
    {
      name: "port-base",
      value: "PORT",
      says: "dev1 listens on the port after it, dev2 on the next",
      default: String(PORT_BASE_DEFAULT),
    },
    {
      name: "clean",
      says: "remove the data of the dev nodes, and nothing else",
    },
    ...NODE_FLAGS.filter(({ name }) => SHARED_FLAGS.includes(name)),
  ],
  examples: [
    { line: "dev", says: "a cluster of three" },
    { line: "dev --nodes 5 --storage memory", says: "five, without a disk" },
    { line: "ring-status --data data/dev1", says: "in another terminal" },
    { line: "dev --clean", says: "start empty next time" },
  ],
  async run(invocation, world): Promise<number> {
    const root = resolve(invocation.text("data") ?? DATA_DEFAULT);
    if (invocation.on("clean")) return await clean(root, world);
    const count = invocation.count("nodes", { min: 1, max: NODES_MAX }) ??
      NODES_DEFAULT;
    const portBase = invocation.count("port-base", {
      min: 0,
      max: 65_535 - NODES_MAX,
    }) ?? PORT_BASE_DEFAULT;
    await Deno.mkdir(root, { recursive: true });
    using pidFiles = new DisposableStack();
    const nodes: DevNode[] = [];
    for (let number = 1; number <= count; number++) {
      const node = await devNode(invocation, world, root, portBase, number);
      pidFiles.use(await takePidFile(node.setup.directory));
      nodes.push(node);
    }
    return await runAll(nodes, invocation, world);
  },
};

interface DevNode {
  /** Short name for prefixes. */
  readonly label: string;
  readonly invocation: Invocation;
  readonly setup: NodeSetup;
  up?: UpLine;
}

/** The flags `whorl start` would need for node `number`, understood the same way. */
async function devNode(
  invocation: Invocation,
  world: World,
  root: string,
  portBase: number,
  number: number,
): Promise<DevNode> {
  const label = `dev${number}`;
  // A base of 0 lets each node take a free port.
  const port = portBase === 0 ? 0 : portBase + number;
  const shared = SHARED_FLAGS.flatMap((name) =>
    invocation.texts(name).map((value) => `--${name}=${value}`)
  );
  const own = parseInvocation(runNodeCommand, NODE_FLAGS, [
    ...shared,
    `--name=${label}@127.0.0.1`,
    `--listen=127.0.0.1:${port}`,
    `--data=${root}/${label}`,
    `--cookie-file=${root}/dev-cookie`,
  ]);
  return { label, invocation: own, setup: await nodeSetup(own, world) };
}

async function runAll(
  nodes: DevNode[],
  invocation: Invocation,
  world: World,
): Promise<number> {
  const { output } = world;
  const { dim, nth } = styleFor(output.color);
  const say = (line: string) => output.remark(`${dim(`dev  | ${line}`)}\n`);
  const parent = new NodeParent(
    nodes.map((node, index) => ({
      id: node.label,
      ...nodeCommand(world, node.invocation, node.setup),
      onLog: (line) =>
        output.remark(`${nth(index)(`${node.label} |`)} ${line}\n`),
      onUp: (up, { pid }) => {
        node.up = up;
        say(`${up.up} is up at ${up.address}, process ${pid}`);
      },
    })),
    say,
  );
  return await parent.run(world, async (ended) => {
    await using sessions = new AsyncDisposableStack();
    const members: { session: AdminSession; up: UpLine }[] = [];
    for (const { up, setup } of nodes) {
      const { cookie } = setup.options;
      const target = { node: up!.up, address: up!.address };
      const session = sessions.use(await world.openSession(target, { cookie }));
      members.push({ session, up: up! });
    }
    const joined = await joinCluster(members, ended);
    say(
      joined.length === 0
        ? "joined already"
        : `joined ${joined.join(", ")} to ${members[0]!.up.up}`,
    );
    await sessions.disposeAsync();
    if (invocation.on("json")) {
      writeJson(output, nodes.map(({ up }) => up));
    }
    say(
      `ready; try: whorl ring-status --data ${nodes[0]!.setup.directory}`,
    );
    await new Promise<void>((resolve) => {
      ended.addEventListener("abort", () => resolve(), { once: true });
      if (ended.aborted) resolve();
    });
  });
}

async function clean(root: string, world: World): Promise<number> {
  const removed: string[] = [];
  for (let number = 1; number <= NODES_MAX; number++) {
    const directory = `${root}/dev${number}`;
    if (await pidOfParent(directory) !== undefined) {
      throw new WhorlError(
        "store_locked",
        `Cannot remove ${directory} while its node runs: stop it first`,
        { details: { directory } },
      );
    }
    if (await removeIfThere(directory)) removed.push(directory);
  }
  if (await removeIfThere(`${root}/dev-cookie`)) {
    removed.push(`${root}/dev-cookie`);
  }
  for (const path of removed) world.output.write(`removed ${path}\n`);
  if (removed.length === 0) world.output.write("nothing to remove\n");
  return ExitCode.ok;
}

async function removeIfThere(path: string): Promise<boolean> {
  try {
    await Deno.remove(path, { recursive: true });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
