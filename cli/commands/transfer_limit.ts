/**
 * `whorl transfer-limit`: how many transfers may run at once.
 *
 * @module
 */
import { askMembers } from "../../src/admin/member_calls.ts";
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { isMemberName } from "../member_flag.ts";
import { withSession } from "../session_flags.ts";
import { changeCode, writeConfigs } from "../transfers/config_rows.ts";

/** The most transfers a node runs at once; see `HandoffControl.setConcurrency`. */
const LIMIT_MAX = 1_024;

/** `whorl transfer-limit` */
export const transferLimitCommand: Command = {
  name: "transfer-limit",
  summary: "show or set how many transfers a node runs at once",
  about:
    "Without a number it shows the limits. With one it sets the limit, at NODE or at all members: transfers " +
    "in and out count together. It takes effect at once; transfers beyond a lower limit are stopped and wait " +
    "for their turn. 0 stops all. The setting lasts until the node is restarted.",
  positionals: [
    {
      name: "NODE",
      says: "a member, NAME@HOST; all members if it is left out",
      optional: true,
    },
    {
      name: "N",
      says: `transfers at once, 0 to ${LIMIT_MAX}`,
      optional: true,
    },
  ],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "transfer-limit --data data/dev1", says: "what is set" },
    {
      line: "transfer-limit 4 --data data/dev1",
      says: "four at a time, at every member",
    },
    {
      line: "transfer-limit dev2@127.0.0.1 1 --data data/dev1",
      says: "one at a time at dev2, by way of dev1",
    },
  ],
  run(invocation, world) {
    const { node, limit } = parseWords(invocation.words);
    return withSession(invocation, world, async (session, { timeoutMs }) => {
      const asked = { nodes: node === undefined ? null : [node], timeoutMs };
      const configs = limit === undefined
        ? await askMembers(session, "handoff_config", {}, asked)
        : await askMembers(
          session,
          "handoff_set_concurrency",
          { concurrency: limit },
          asked,
        );
      writeConfigs(world.output, configs, invocation.on("json"));
      // Showing what there is to see of all is no failure; of one it is.
      return limit === undefined && node === undefined
        ? ExitCode.ok
        : changeCode(configs);
    });
  },
};

function parseWords(
  words: readonly string[],
): { node: string | undefined; limit: number | undefined } {
  const [first, second] = words;
  if (first === undefined) return { node: undefined, limit: undefined };
  if (isMemberName(first)) {
    return {
      node: first,
      limit: second === undefined ? undefined : limitOf(second),
    };
  }
  if (second !== undefined) {
    throw new UsageError(
      `NODE must be a member, NAME@HOST: it is ${JSON.stringify(first)}`,
    );
  }
  return { node: undefined, limit: limitOf(first) };
}

function limitOf(text: string): number {
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (limit <= LIMIT_MAX) return limit;
  throw new UsageError(
    `N must be a whole number between 0 and ${LIMIT_MAX}: it is ${
      JSON.stringify(text)
    }`,
  );
}
