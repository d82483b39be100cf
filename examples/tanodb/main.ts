/**
 * tanodb: a node of the database, its HTTP interface, and a prompt on it.
 *
 *     deno task tanodb dev1
 *
 * `README.md` tells what to type.
 *
 * @module
 */
import { startNode } from "../../mod.ts";
import { argumentsOf, ProgramLog, promptOn, run } from "../tutorial_program.ts";
import { Tanodb } from "./tanodb.ts";
import { serveTanodb } from "./tanodb_http.ts";
import { TanodbMetrics } from "./tanodb_metrics.ts";
import tanodbModule from "./tanodb_vnode.ts";

const USAGE = `\
deno task tanodb NAME [options]

NAME is dev1, dev2, dev3, or another one with --port and --http.

  --port PORT     where the node listens; 0 takes a free one
  --http PORT     where it serves HTTP; 0 takes a free one
  --data DIR      where it keeps what it knows of its cluster [data/tanodb/NAME]
  --durable       keeps the rows there too, and not in memory
  --cookie TEXT   the secret all nodes share`;

/** The ports of the book, and the next ones for nodes. */
const PORTS = {
  dev1: { port: "8181", http: "8180" },
  dev2: { port: "8281", http: "8280" },
  dev3: { port: "8381", http: "8380" },
};
const HOST = "127.0.0.1";

const HELP = `\
  await cluster.join("dev1@127.0.0.1:8181")     typed at another node: stage it to join dev1
  await tanodb.ping()                           the partition of some vnode
  await tanodb.put("mybucket", "k1", 42)        write to three vnodes
  await tanodb.get("mybucket", "k1")            read what was written last
  await tanodb.delete("mybucket", "k1")         delete, and see what was there
  await tanodb.keys("mybucket")                 keys of a bucket, by vnode
  await tanodb.single.put("mybucket", "k1", 42) write to one vnode: also .get, .delete`;

async function main(): Promise<number> {
  const options = argumentsOf(Deno.args, {
    usage: USAGE,
    ports: PORTS,
    flags: { http: { type: "string" } },
  });
  const http = options.http ?? "";
  if (!/^\d{1,5}$/.test(http)) throw new TypeError(USAGE);
  const dataDirectory = options.data ?? `data/tanodb/${options.name}`;
  const log = await ProgramLog.open("warning");
  await Deno.mkdir(dataDirectory, { recursive: true });
  await using node = await startNode({
    name: `${options.name}@${HOST}`,
    listen: `${HOST}:${options.port}`,
    cookie: options.cookie,
    dataDirectory,
    storage: options.durable ? "deno_kv" : "memory",
    modules: [{ url: new URL("./tanodb_vnode.ts", import.meta.url) }],
  });
  const metrics = new TanodbMetrics();
  const tanodb = new Tanodb(node.module(tanodbModule), metrics.countOperation);
  await using server = serveTanodb({ tanodb, node, metrics }, {
    hostname: HOST,
    port: Number(http),
  });
  const { port } = server.addr;
  const where = `${node.address}, and for HTTP at ${HOST}:${port}`;
  log.say(`${node.name} listens at ${where}`);
  return await promptOn(node, {
    names: { tanodb },
    help: HELP,
    dataDirectory,
    log,
  });
}

await run(main);
