/**
 * flavio: a node of the application, its HTTP interface, and a prompt on it.
 *
 *     deno task flavio dev1
 *
 * `README.md` tells what to type.
 *
 * @module
 */
import { startNode } from "../../mod.ts";
import { argumentsOf, ProgramLog, promptOn, run } from "../tutorial_program.ts";
import { Flavio } from "./flavio.ts";
import { serveFlavio } from "./flavio_http.ts";
import flavioModule from "./flavio_vnode.ts";

const USAGE = `\
deno task flavio NAME [options]

NAME is dev1 to dev4, or another one with --port and --http.

  --port PORT     where the node listens; 0 takes a free one
  --http PORT     where it serves HTTP; 0 takes a free one
  --data DIR      where it keeps what it knows of its cluster [data/flavio/NAME]
  --durable       keeps the messages there too, and not in memory
  --cookie TEXT   the secret all nodes share`;

/** The ports of the tutorial. */
const PORTS = {
  dev1: { port: "10019", http: "10018" },
  dev2: { port: "10029", http: "10028" },
  dev3: { port: "10039", http: "10038" },
  dev4: { port: "10049", http: "10048" },
};
const HOST = "127.0.0.1";

const HELP = `\
  await cluster.join("dev1@127.0.0.1:10019")    typed at another node: stage it to join dev1
  await flavio.ping()                           the partition of some vnode
  await flavio.add(2, 5)                        add on one vnode
  await flavio.quorumAdd(2, 4)                  add on three
  await flavio.stats()                          additions of each vnode
  await flavio.postMsg("ann", "news", "hi")     append to a stream, on three vnodes
  await flavio.getMsgs("ann", "news", 1, 10)    ten messages from number 1 on
  await flavio.getMsgs("ann", "news", null, 10) the last ten
  await flavio.listStreams("ann")               streams of a user, by vnode
  await flavio.listUsers()                      users, by vnode`;

async function main(): Promise<number> {
  const options = argumentsOf(Deno.args, {
    usage: USAGE,
    ports: PORTS,
    flags: { http: { type: "string" } },
  });
  const http = options.http ?? "";
  if (!/^\d{1,5}$/.test(http)) throw new TypeError(USAGE);
  const dataDirectory = options.data ?? `data/flavio/${options.name}`;
  const log = await ProgramLog.open("warning");
  await Deno.mkdir(dataDirectory, { recursive: true });
  await using node = await startNode({
    name: `${options.name}@${HOST}`,
    listen: `${HOST}:${options.port}`,
    cookie: options.cookie,
    dataDirectory,
    storage: options.durable ? "deno_kv" : "memory",
    modules: [{ url: new URL("./flavio_vnode.ts", import.meta.url) }],
  });
  const flavio = new Flavio(node.module(flavioModule));
  await using server = serveFlavio(flavio, {
    hostname: HOST,
    port: Number(http),
  });
  const where = `${node.address}, and for HTTP at ${HOST}:${server.addr.port}`;
  log.say(`${node.name} listens at ${where}`);
  return await promptOn(node, {
    names: { flavio },
    help: HELP,
    dataDirectory,
    log,
  });
}

await run(main);
