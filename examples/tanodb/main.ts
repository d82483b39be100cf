/**
 * A node of tanodb with its HTTP interface and a prompt:
 *
 *     deno task tanodb dev1
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runPrompt, startNode } from "../../mod.ts";
import { Tanodb } from "./tanodb.ts";
import { serveTanodb } from "./tanodb_http.ts";
import { TanodbMetrics } from "./tanodb_metrics.ts";
import tanodbModule from "./tanodb_vnode.ts";

const USAGE = `\
Usage: deno task tanodb dev1 [flags]      (or dev2 … dev9)

  --data DIR    keep everything in DIR [default: in memory only]
  --http PORT   where HTTP is served [default: 8180, 8280 for dev2, …]
  --port PORT   where other nodes are heard [default: 8181, 8281 for dev2, …]

All on 127.0.0.1; port 0 takes a free one.`;

const HELP = `\
  await tanodb.ping()                           the partition of some vnode
  await tanodb.put("mybucket", "k1", 42)        write to three vnodes
  await tanodb.get("mybucket", "k1")
  await tanodb.delete("mybucket", "k1")
  await tanodb.keys("mybucket")                 what each vnode has in a bucket
  await tanodb.single.put("mybucket", "k1", 42) to one vnode: also get, delete`;

/** Everybody is on this machine, or a secret would have to be where this word is. */
const COOKIE = "tanodb";
const HOST = "127.0.0.1";

/** What the command line says. */
interface Settings {
  readonly name: string;
  readonly port: number;
  readonly httpPort: number;
  readonly dataDirectory: string | undefined;
}

/** @throws {TypeError} If the arguments make no sense. */
function settingsOf(args: string[]): Settings {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      data: { type: "string" },
      port: { type: "string" },
      http: { type: "string" },
    },
  });
  const [name, ...others] = positionals;
  const number = /^dev([1-9])$/.exec(name ?? "")?.[1];
  if (number === undefined || others.length > 0) {
    throw new TypeError("Cannot start a node as its name must be dev1 to dev9");
  }
  return {
    name: `${name}@${HOST}`,
    port: portOf(values.port ?? `8${number}81`),
    httpPort: portOf(values.http ?? `8${number}80`),
    dataDirectory: values.data,
  };
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65_536) return Number(text);
  throw new TypeError(
    `Cannot listen as a port must be a number from 0 to 65535: current value is '${text}'`,
  );
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Runs a node until its prompt is left; resolves to whether nothing failed. */
async function run(settings: Settings): Promise<boolean> {
  const { name, port, httpPort, dataDirectory } = settings;
  if (dataDirectory !== undefined) {
    await Deno.mkdir(dataDirectory, { recursive: true });
  }
  await using node = await startNode({
    name,
    listen: `${HOST}:${port}`,
    cookie: COOKIE,
    modules: [{ url: new URL("tanodb_vnode.ts", import.meta.url) }],
    ...(dataDirectory === undefined ? {} : { dataDirectory }),
  });
  const metrics = new TanodbMetrics();
  const tanodb = new Tanodb(node.module(tanodbModule), metrics.countOperation);
  await using server = serveTanodb({ tanodb, node, metrics }, {
    hostname: HOST,
    port: httpPort,
  });
  say(
    `${node.name} is up at ${node.address}, HTTP at http://${HOST}:${server.addr.port}`,
  );
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  const wentWell = await runPrompt(node, {
    names: { tanodb },
    help: HELP,
    signal: stop.signal,
    ...(dataDirectory === undefined
      ? {}
      : { historyPath: `${dataDirectory}/history` }),
  });
  // If it is over because the node gave up, that is what went wrong.
  await Promise.race([node.stopped, undefined]);
  return wentWell;
}

async function main(): Promise<number> {
  let settings: Settings;
  try {
    settings = settingsOf(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    say(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  try {
    return await run(settings) ? 0 : 1;
  } catch (error) {
    say(error instanceof Error ? error.message : `${error}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
