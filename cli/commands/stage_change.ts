/**
 * Staging a change of membership and saying what came of it, for the commands
 * that do: `cluster leave`, `force-remove`, `replace` and `force-replace`.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import type {
  AdminSession,
  CallOptions,
  StagedResult,
} from "../../src/node/admin_protocol.ts";
import {
  joinEndedText,
  stagedText,
  type StagedVerb,
  stageFailureText,
} from "../../src/ring/admin_messages.ts";
import type { Invocation } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import type { World } from "../world.ts";
import { WHORL_COMMANDS } from "./command_names.ts";

/** What a command stages. */
export interface StagedCall {
  readonly verb: StagedVerb;
  /** The member it is about. @default {the node that is asked} */
  readonly node?: string | undefined;
  /** Who takes its place. */
  readonly replacement?: string;
  /** Has the node stage it. */
  call(session: AdminSession, options: CallOptions): Promise<StagedResult>;
}

/** Stages a change and resolves to the exit code. @throws {WhorlError} What the originals have no words for. */
export function stageChange(
  invocation: Invocation,
  world: World,
  { verb, node, replacement, call }: StagedCall,
): Promise<number> {
  return withSession(invocation, world, async (session, options) => {
    const { output } = world;
    try {
      const result = await call(session, options);
      if (invocation.on("json")) {
        writeJson(output, {
          ...result,
          ...replacement === undefined ? {} : { replacement },
        });
      } else {
        output.write(
          result.staged
            ? stagedText(verb, result.node, replacement)
            : joinEndedText(result.node),
        );
      }
      return ExitCode.ok;
    } catch (error) {
      if (!isWhorlError(error) || invocation.on("json")) throw error;
      const about = node ?? session.node;
      const text = stageFailureText(
        verb,
        error.code,
        about,
        replacement,
        WHORL_COMMANDS,
      );
      if (text === null) throw error;
      output.remark(text);
      return ExitCode.failed;
    }
  });
}
