/**
 * `whorl bucket consistent`: have a bucket served by consensus.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** Time that ensembles have to be there, in milliseconds, and some more. */
const TIMEOUT_MS = 60_000;

/** `whorl bucket consistent` */
export const bucketConsistentCommand: Command = {
  name: "bucket consistent",
  summary: "serve a bucket by consensus, permanently",
  about:
    "From now on the keys of the bucket are served by a Raft group for each preference list: a read sees every " +
    "write that was acknowledged before it, a write with a context is refused if the key was changed since, and " +
    "both need a majority of the members of the group. Mark a bucket before it is used: what was stored in it " +
    "before becomes invisible. It cannot be undone.\n\n" +
    "All members must be up, be of a version that can do it, and have a data directory. Takes effect at once; " +
    "it is done when this command says so.",
  positionals: [{ name: "BUCKET", says: "its name" }],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "bucket consistent accounts --data data/dev1",
      says: "before anything is in it",
    },
    { line: "bucket list --data data/dev1", says: "which ones there are" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const bucket = invocation.words[0]!;
      const result = await session.call("bucket_consistent", { bucket }, {
        ...options,
        timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      });
      if (invocation.on("json")) writeJson(world.output, result);
      else world.output.write(`Success: bucket '${bucket}' is consistent\n`);
      return ExitCode.ok;
    }),
};
