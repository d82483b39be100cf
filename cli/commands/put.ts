/**
 * `whorl put`: write one key.
 *
 * @module
 */
import { type Command, UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import {
  BUCKET_AND_KEY,
  CONTEXT_FLAG,
  quorumFlag,
  VALUE_FLAGS,
  VALUE_WORD,
  valueArgument,
  writeQuorumsOf,
} from "./kv_values.ts";

/** `whorl put` */
export const putCommand: Command = {
  name: "put",
  summary: "write a key",
  about:
    "Writes to a quorum of replicas. VALUE is JSON; --text takes it as a string, --file stores a file's " +
    'bytes, and "-" reads JSON from standard input.\n\n' +
    "What is there is read first and replaced. With --context the write replaces exactly what that read " +
    "returned; with --blind it replaces nothing and stands beside what is there, as a sibling.",
  positionals: [
    ...BUCKET_AND_KEY,
    VALUE_WORD,
  ],
  flags: [
    ...VALUE_FLAGS,
    CONTEXT_FLAG,
    { name: "blind", says: "do not read first; may leave a sibling" },
    quorumFlag("w", "replicas that must have stored it", "quorum"),
    quorumFlag("pw", "primaries among them", "0"),
    quorumFlag("dw", "replicas that must have it on disk", "quorum"),
  ],
  talksToNode: true,
  examples: [
    {
      line: `put users ann '{"age":41}' --data data/dev1`,
      says: "a JSON object",
    },
    {
      line: "put notes today --text 'buy milk' --data data/dev1",
      says: "a piece of text",
    },
    {
      line: "put photos ann.png --file ann.png --w all --data data/dev1",
      says: "a file, stored by all three replicas before the answer",
    },
  ],
  async run(invocation, world): Promise<number> {
    const [bucket, key] = invocation.words as [string, string];
    const value = await valueArgument(invocation, world, 2);
    const quorums = writeQuorumsOf(invocation);
    const given = invocation.text("context");
    if (given !== undefined && invocation.on("blind")) {
      throw new UsageError("--blind replaces nothing: --context cannot apply");
    }
    return await withSession(invocation, world, async (session, call) => {
      const context = given ??
        (invocation.on("blind")
          ? undefined
          : (await session.kv.get(bucket, key, call)).context ?? undefined);
      const result = await session.kv.put(bucket, key, value, {
        context,
        ...quorums,
        ...call,
      });
      if (invocation.on("json")) {
        writeJson(world.output, {
          bucket,
          key,
          context: result.context,
        });
      } else {
        world.output.write("ok\n");
      }
      return ExitCode.ok;
    });
  },
};
