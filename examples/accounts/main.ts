/**
 * accounts: a node of the bank, with a prompt on it.
 *
 *     deno task accounts dev1
 *
 * `README.md` tells what to type.
 *
 * @module
 */
import { startNode } from "../../mod.ts";
import { argumentsOf, ProgramLog, promptOn, run } from "../tutorial_program.ts";
import { Accounts } from "./accounts.ts";

const USAGE = `\
deno task accounts NAME [options]

NAME is dev1, dev2, dev3, or another one with a --port.

  --port PORT     where the node listens; 0 takes a free one
  --data DIR      where it keeps all that it knows [data/accounts/NAME]
  --cookie TEXT   the secret all nodes share
  --durable       as for the other examples; accounts are on disk in any case`;

const PORTS = {
  dev1: { port: "8501" },
  dev2: { port: "8502" },
  dev3: { port: "8503" },
};

/** The cluster of `ra_kv` that has the accounts. */
const BANK = "bank";

const HELP = `\
  await cluster.join("dev1@127.0.0.1:8501", { staged: false })
                                                typed at dev2: join dev1, at once
  await raKv.startCluster("bank", ["dev1@127.0.0.1", …])
                                                once: these nodes agree on the accounts
  await accounts.open("ann", 1000)              open an account with 1000 cents
  await accounts.balance("ann")                 what is on it, from any node
  await accounts.transfer("rent", "ann", "bob", 300)
                                                move 300 cents, once for each "rent"`;

async function main(): Promise<number> {
  const options = argumentsOf(Deno.args, { usage: USAGE, ports: PORTS });
  const dataDirectory = options.data ?? `data/accounts/${options.name}`;
  const log = await ProgramLog.open("warning");
  await Deno.mkdir(dataDirectory, { recursive: true });
  await using node = await startNode({
    name: `${options.name}@127.0.0.1`,
    listen: `127.0.0.1:${options.port}`,
    cookie: options.cookie,
    dataDirectory,
    // `ra_kv` is on disk in any case, and nothing else is used.
    storage: options.durable ? "deno_kv" : "memory",
  });
  return await promptOn(node, {
    names: { accounts: new Accounts(node.raKv, BANK) },
    help: HELP,
    banner:
      `${node.name} listens at ${node.address}. .help for help, Ctrl-D or .exit stops the node`,
    dataDirectory,
    log,
  });
}

await run(main);
