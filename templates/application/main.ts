/**
 * A node of app_name, with a prompt on it.
 *
 *     deno task dev1
 *
 * @module
 */
import { parseArgs } from "node:util";
import {
  isWhorlError,
  runPrompt,
  startNode,
  withPromptText,
} from "@whorl/whorl";
import { AppNameApi } from "./app_name_api.ts";
import appNameModule from "./app_name_vnode.ts";

/** Milliseconds a new member waits for its partitions before it says that it is up; they come in any case. */
const SETTLED_MS_MAX = 30_000;

const HELP = `\
  await app_name.add("milk", "2 litres")        add an entry to a list
  await app_name.entries("milk")                the entries of a list
  await app_name.lists()                        the names of all lists
`;

const { values: flags } = parseArgs({
  options: {
    name: { type: "string", default: "dev1@127.0.0.1" },
    listen: { type: "string", default: "127.0.0.1:0" },
    data: { type: "string", default: "data/dev1" },
    /** Address of a member whose cluster to join, unless the node is in one. */
    join: { type: "string" },
    /** Run until SIGTERM instead of until the prompt is left. */
    "no-prompt": { type: "boolean", default: false },
  },
});

try {
  Deno.exit(await main() ? 0 : 1);
} catch (error) {
  if (!isWhorlError(error)) throw error;
  say(`app_name: ${error.message} (${error.code})`);
  Deno.exit(1);
}

/** Runs the node; resolves to whether all went well. */
async function main(): Promise<boolean> {
  const cookie = Deno.env.get("WHORL_COOKIE");
  if (!cookie) {
    say("app_name: WHORL_COOKIE must hold the secret that all nodes share");
    return false;
  }
  const told = new AbortController();
  Deno.addSignalListener("SIGTERM", () => told.abort());
  await Deno.mkdir(flags.data, { recursive: true });
  await using node = await startNode({
    name: flags.name,
    listen: flags.listen,
    cookie,
    dataDirectory: `${flags.data}/node`,
    modules: [{
      url: new URL("./app_name_vnode.ts", import.meta.url),
      module: appNameModule,
    }],
  });
  if (flags.join !== undefined && node.clusterStatus().members.length === 1) {
    // Staged joins wait for a plan and a commit: see README.md.
    const members = node.events("member_changed");
    await node.join(flags.join, { staged: false });
    for await (const { node: name, after } of members) {
      if (name === node.name && after === "valid") break;
    }
    await node.settled(SETTLED_MS_MAX, ["app_name"]);
  }
  say(`${node.name} is up at ${node.address}`);
  if (flags["no-prompt"]) {
    const ended = new Promise((resolve) =>
      told.signal.addEventListener("abort", resolve)
    );
    await Promise.race([ended, node.stopped]);
    return true;
  }
  const api = new AppNameApi(node);
  const wentWell = await runPrompt(node, {
    names: {
      app_name: {
        add: (list: string, text: string) => api.add(list, text),
        entries: async (list: string) => {
          const entries = await api.entries(list);
          const lines = entries.map(({ id, text }) => `${id}  ${text}`);
          return withPromptText(entries, lines.join("\n") || "nothing");
        },
        lists: () => Array.fromAsync(api.lists()),
      },
    },
    help: HELP,
    ending: "stops the node",
    historyPath: `${flags.data}/prompt-history`,
    signal: told.signal,
  });
  await node.stop();
  // A node that gave itself up says why.
  await node.stopped;
  return wentWell;
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
