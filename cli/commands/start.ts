/**
 * `whorl start`: run a node under a small parent that restarts it.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type { Prompt } from "../../src/prompt/prompt.ts";
import type { Command, Invocation } from "../command.ts";
import { UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { eachLine } from "../lines.ts";
import { LogFile } from "../log_file.ts";
import { START_TIMEOUT_MS, type UpLine, upLine } from "../node_child.ts";
import { NODE_FLAGS, type NodeSetup, nodeSetup } from "../node_flags.ts";
import { nodeCommand, nodeFlagArgs, NodeParent } from "../node_parent.ts";
import { HISTORY_FILE_NAME, LOG_FILE_NAME } from "../node_directory.ts";
import { takePidFile } from "../pid_file.ts";
import { nodePrompt } from "../node_prompt.ts";
import { ReconnectingSession } from "../reconnecting_session.ts";
import type { World } from "../world.ts";

/** `whorl start` */
export const startCommand: Command = {
  name: "start",
  summary: "start a node, here or in the background",
  about:
    "Runs a node under a small parent process, which starts it again when it crashes or is killed. In the " +
    "foreground Ctrl-C stops both in order; a second Ctrl-C ends them by force. With --detach both run on in " +
    "the background, the log goes to node.log in the data directory, and the command returns once the node " +
    "answers. With --prompt there is a prompt on the node to type JavaScript at.\n\n" +
    "What the node is (its name, ring and data) is kept in --data: starting again on the same directory " +
    "continues it, without joining again.",
  positionals: [],
  flags: [
    ...NODE_FLAGS,
    { name: "detach", short: "d", says: "run in the background" },
    { name: "prompt", says: "show a prompt on the node" },
    {
      name: "log-file",
      value: "FILE",
      says: "log there instead of to the terminal",
      hidden: true,
    },
  ],
  examples: [
    {
      line:
        "start --name dev1@127.0.0.1 --listen 127.0.0.1:10101 --data data/dev1 --prompt",
      says: "a node with a prompt",
    },
    {
      line:
        "start --detach --data /var/lib/whorl --cookie-file /etc/whorl/cookie",
      says: "a node in the background",
    },
    { line: "stop --data /var/lib/whorl", says: "stop it again" },
  ],
  async run(invocation, world): Promise<number> {
    if (invocation.on("detach") && invocation.on("prompt")) {
      throw new UsageError("--detach leaves nobody to type at --prompt");
    }
    const setup = await nodeSetup(invocation, world);
    if (invocation.on("detach")) return await detach(invocation, world, setup);
    using _pidFile = await takePidFile(setup.directory);
    const logPath = invocation.text("log-file");
    using log = logPath === undefined ? undefined : new LogFile(logPath);
    return await runParent(invocation, world, setup, log);
  },
};

async function runParent(
  invocation: Invocation,
  world: World,
  setup: NodeSetup,
  log: LogFile | undefined,
): Promise<number> {
  const { output } = world;
  const wantsPrompt = invocation.on("prompt");
  let prompt: Prompt | undefined;
  let session: ReconnectingSession | undefined;
  let up: UpLine | undefined;
  const say = (line: string) => {
    if (log !== undefined) log.write(line);
    else if (prompt !== undefined) prompt.printAbove(line);
    else output.remark(`${line}\n`);
  };
  const parent = new NodeParent([{
    id: setup.options.name,
    ...nodeCommand(world, invocation, setup),
    onLog: say,
    onUp: (line, { pid }) => {
      const isFirst = up === undefined;
      up = line;
      void session?.forget();
      say(`${line.up} is up at ${line.address}, process ${pid}`);
      // Who started this process in the background waits for this line.
      if (isFirst && log !== undefined) output.write(upLine(line));
      if (isFirst && invocation.on("json")) {
        writeJson(output, { node: line.up, address: line.address, pid });
      }
    },
  }], say);
  if (!wantsPrompt) return await parent.run(world);
  return await parent.run(world, async (ended) => {
    await using opened = session = new ReconnectingSession(() =>
      world.openSession({ node: up!.up, address: up!.address }, {
        cookie: setup.options.cookie,
      })
    );
    prompt = nodePrompt(opened, up!.up, world, {
      ending: "stops the node",
      historyPath: `${setup.directory}/${HISTORY_FILE_NAME}`,
      signal: ended,
    });
    await prompt.run();
    prompt = undefined;
  });
}

/** Starts the parent in the background and waits until the node answers. */
async function detach(
  invocation: Invocation,
  world: World,
  setup: NodeSetup,
): Promise<number> {
  const { options, directory, cookieFile } = setup;
  const logPath = `${directory}/${LOG_FILE_NAME}`;
  const loggedBytes = await sizeOf(logPath);
  const process = new Deno.Command(world.self.program, {
    args: [
      ...world.self.args({ run: true, writes: [directory] }),
      "start",
      `--log-file=${logPath}`,
      ...nodeFlagArgs(invocation, setup),
    ],
    env: cookieFile === null ? { WHORL_COOKIE: options.cookie } : {},
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();
  const { promise: isUp, resolve } = Promise.withResolvers<UpLine>();
  const letGo = new AbortController();
  const heard = Promise.all([
    eachLine(
      process.stdout,
      (line) => resolve(JSON.parse(line)),
      letGo.signal,
    ),
    eachLine(
      process.stderr,
      (line) => world.output.remark(`${line}\n`),
      letGo.signal,
    ),
  ]);
  const first = await Promise.race([isUp, process.status]);
  if ("success" in first) {
    await heard;
    const said = await lastLine(
      logPath,
      loggedBytes,
      `Cannot start ${options.name}: `,
    );
    const what = said ?? `${options.name} did not start`;
    world.output.remark(`${what}; see ${logPath}\n`);
    return ExitCode.failed;
  }
  letGo.abort();
  await heard;
  process.unref();
  await answers(world, first, options.cookie);
  if (invocation.on("json")) {
    writeJson(world.output, {
      node: first.up,
      address: first.address,
      parentPid: process.pid,
      log: logPath,
    });
  } else {
    world.output.write(
      `${first.up} is up at ${first.address}, in the background; its log is ${logPath}\n`,
    );
  }
  return ExitCode.ok;
}

/** Bytes in the file; none if it is not there. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** The last line of the file that begins so and is not of an earlier start, which left `earlierBytes`. */
async function lastLine(
  path: string,
  earlierBytes: number,
  beginning: string,
): Promise<string | undefined> {
  try {
    const bytes = await Deno.readFile(path);
    // A log that has become shorter has been begun anew.
    const from = bytes.length < earlierBytes ? 0 : earlierBytes;
    return new TextDecoder().decode(bytes.subarray(from)).split("\n")
      .findLast((line) => line.startsWith(beginning));
  } catch (error) {
    // The parent may have failed before it had a log, and has said why.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function answers(
  world: World,
  { up, address }: UpLine,
  cookie: string,
): Promise<void> {
  const options = { cookie, timeoutMs: START_TIMEOUT_MS };
  await using session = await world.openSession({ node: up, address }, options);
  const { node } = await session.call("ping", {}, options);
  if (node !== up) {
    throw new WhorlError(
      "name_taken",
      `Cannot find ${up} at ${address} as another node answers: it is ${node}`,
    );
  }
}
