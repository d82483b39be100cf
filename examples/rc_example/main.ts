/**
 * rc_example: a node of the store, with a prompt on it.
 *
 *     deno task rc_example dev1
 *
 * `README.md` tells what to type.
 *
 * @module
 */
import { startNode } from "../../mod.ts";
import { argumentsOf, ProgramLog, promptOn, run } from "../tutorial_program.ts";
import { RcExample } from "./rc_example.ts";

const USAGE = `\
deno task rc_example NAME [options]

NAME is dev1, dev2, dev3, or another one with a --port.

  --port PORT     where the node listens; 0 takes a free one
  --data DIR      where it keeps what it knows of its cluster [data/rc_example/NAME]
  --durable       keeps the values there too, and not in memory
  --cookie TEXT   the secret all nodes share
  --quiet         shows warnings only`;

/** The ports of the tutorial. */
const PORTS = {
  dev1: { port: "8199" },
  dev2: { port: "8299" },
  dev3: { port: "8399" },
};

const HELP = `\
  await cluster.join("dev1@127.0.0.1:8199", { staged: false })
                                                typed at dev2: join dev1, at once
  await rc_example.ping()                       which vnode answers? .ping("k1")
  rc_example.ringStatus()                       who owns which partition
  await rc_example.put("k1", "v1")              write
  await rc_example.get("k1")                    read, from any node
  await rc_example.delete("k1")                 delete, and see what was there
  await rc_example.keys()                       all keys, by vnode
  await rc_example.values()                     all values, by vnode
  await rc_example.clear()                      empty the store
  await rc_example.replicatedCommand("k1", "get")
                                                ask three vnodes, take the first answer`;

async function main(): Promise<number> {
  const options = argumentsOf(Deno.args, {
    usage: USAGE,
    ports: PORTS,
    flags: { quiet: { type: "boolean", default: false } },
  });
  const dataDirectory = options.data ?? `data/rc_example/${options.name}`;
  const log = await ProgramLog.open(options.quiet ? "warning" : "info");
  await Deno.mkdir(dataDirectory, { recursive: true });
  await using node = await startNode({
    name: `${options.name}@127.0.0.1`,
    listen: `127.0.0.1:${options.port}`,
    cookie: options.cookie,
    dataDirectory,
    storage: options.durable ? "deno_kv" : "memory",
    modules: [{ url: new URL("./rc_example_vnode.ts", import.meta.url) }],
  });
  node.subscribe((event) => {
    if (event.type !== "member_changed" || options.quiet) return;
    const { node, before, after } = event;
    if (before === null) return;
    log.say(`'${node}' changed from '${before}' to '${after}'`);
  });
  return await promptOn(node, {
    names: { rc_example: new RcExample(node) },
    help: HELP,
    banner:
      `${node.name} listens at ${node.address}. .help for help, Ctrl-D or .exit stops the node`,
    dataDirectory,
    log,
  });
}

await run(main);
