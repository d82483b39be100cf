/**
 * Saying which members did not answer.
 *
 * @module
 */
import type { MemberFailure } from "../src/node/admin_protocol.ts";
import { quotedName } from "../src/ring/text_table.ts";
import type { Output } from "./output.ts";

/** What is said of a failure. */
type Unanswered = Pick<MemberFailure, "node" | "code" | "message">;

/** Who did not answer, and why, on one line each. One that is no member was not asked. */
export function failureLines(failures: readonly Unanswered[]): string[] {
  return failures.map(({ node, code, message }) =>
    code === "not_member"
      ? `${message} (${code})`
      : `${quotedName(node)} did not answer: ${message} (${code})`
  );
}

/** Remarks who did not answer. */
export function remarkFailures(
  output: Output,
  failures: readonly Unanswered[],
): void {
  for (const line of failureLines(failures)) output.remark(`${line}\n`);
}
